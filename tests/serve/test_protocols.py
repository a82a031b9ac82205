"""What a request may say, and how it is answered; in both protocols, over a real socket."""

import httpx
import numpy as np
import pytest

LONG = "salt " * 200


def post(server, path, **body):
    return httpx.post(server + path, json=body, timeout=60)


def ollama(server, text, model="tuned", **more):
    return post(server, "/api/embed", model=model, input=text, **more)


def openai(server, text, model="tuned", **more):
    return post(server, "/v1/embeddings", model=model, input=text, **more)


def vector(answer):
    body = answer.json()
    assert answer.status_code == 200, body
    return np.array(body["embeddings"][0] if "embeddings" in body else body["data"][0]["embedding"])


def test_the_role_is_said_by_the_name_by_input_type_or_by_a_prompt_that_is_there_already(server, tuned, texts):
    text = texts[0]
    query, document = np.array(tuned.embed_query(text)), np.array(tuned.embed_documents([text])[0])
    assert np.abs(query - document).max() > 0.01
    prompts = tuned.folder.prompts
    asked = [
        *(ollama(server, text, "tuned:query"), openai(server, text, input_type="search_query")),
        *(openai(server, text, "tuned:query", input_type="query"), ollama(server, prompts.query + text)),
        ollama(server, prompts.query + text, "tuned:query"),
    ]
    for answer in asked:
        np.testing.assert_allclose(vector(answer), query, atol=2e-6)
    for glued in ("search_query" + text, "search_query:" + text, "search_query " + text):
        np.testing.assert_allclose(vector(ollama(server, glued)), query, atol=2e-6)
    told = [
        ollama(server, "search_document" + text),
        ollama(server, text),
        openai(server, text, input_type="passage"),
        ollama(server, prompts.document + text),
    ]
    for answer in told:
        np.testing.assert_allclose(vector(answer), document, atol=2e-6)
    assert openai(server, text, "tuned:query", input_type="document").status_code == 400
    assert "is one of query, search_query" in openai(server, text, input_type="sentence").json()["error"]["message"]
    assert prompts.query in post(server, "/api/show", model="tuned").json()["parameters"]


def test_a_text_over_the_limit_is_refused_with_its_count_or_cut_where_that_is_asked_for(server, tuned):
    count = tuned.dense.counts([LONG], "document")[0]
    for answer in (ollama(server, LONG), ollama(server, ["x", LONG], truncate=False), openai(server, [LONG])):
        assert answer.status_code == 400
        assert f"has {count}" in answer.text
        assert f"limit of {tuned.folder.limit} tokens" in answer.text
    cut = tuned.encode([LONG], role="document", on_overflow="truncate")[0]
    np.testing.assert_allclose(vector(ollama(server, LONG, truncate=True)), cut, atol=2e-6)


def test_no_text_is_no_vector(server):
    # So Ollama is asked to load a model.
    assert ollama(server, "").json()["embeddings"] == ollama(server, []).json()["embeddings"] == []
    for answer in (ollama(server, ["x", " "]), openai(server, ""), openai(server, []), openai(server, [[]])):
        assert answer.status_code == 400


@pytest.mark.parametrize("dimensions", [0, -1, 33, 10**6])
def test_dimensions_that_there_are_not(server, dimensions):
    for ask in (ollama, openai):
        answer = ask(server, "x", dimensions=dimensions)
        assert answer.status_code == 400
        assert "makes 32" in answer.text


@pytest.mark.parametrize("path", ["/api/embed", "/v1/embeddings"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"model": "tuned", "input": "\\ud800"}', "no JSON"),
        (b'{"model": "tuned"}', "input: Field required"),
        (b'{"model": "tuned", "input": {"a": 1}}', "input: "),
        (b'{"model": "tuned", "input": [null]}', "input: "),
        (b'{"model": 7, "input": "x"}', "model: "),
        (b'{"model": "../../etc/passwd", "input": "x"}', "not found; there is tuned"),
        (b'{"model": "tuned:other", "input": "x"}', "not found; there is tuned"),
        (b'{"model": "tuned", "input": "x", "dimensions": 1e400}', "no JSON"),
        (b"[1, 2]", "the body: "),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_place(server, path, body, words):
    answer = httpx.post(server + path, content=body, timeout=60)
    assert answer.status_code in (400, 404)
    told = answer.json()["error"]
    assert words in (told["message"] if path.startswith("/v1") else told)


@pytest.mark.parametrize(
    "path", ["/api/nothing", "/v1/models/../../etc/passwd", "/v1/models/%2e%2e%2fx", "/%00", "/api/embed/"]
)
def test_there_is_nothing_but_what_is_served(server, path):
    answer = httpx.get(server + path)
    assert answer.status_code in (404, 405)
    assert answer.json()["error"]


def test_a_way_of_asking_that_there_is_not(server):
    assert httpx.get(server + "/api/embed").status_code == 405


def test_it_says_how_it_is_and_what_it_did(server):
    ollama(server, "x")
    health = httpx.get(server + "/health").json()
    assert health["status"] == "ok"
    assert health["models"]["tuned"]["dimension"] == 32
    said = httpx.get(server + "/metrics").text
    assert 'dragon_finetune_requests_total{path="/api/embed",status="200"}' in said
    httpx.get(server + "/no/such/place/7")
    assert "no/such" not in httpx.get(server + "/metrics").text
    assert httpx.get(server + "/api/version").json()["version"]
