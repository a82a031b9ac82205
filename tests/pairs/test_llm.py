"""Queries that a language model writes."""

import http.server
import json
import threading
from typing import ClassVar

import pytest
from codex_of_pairs import read_codex

from dragon_finetune.errors import DragonFinetuneError
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.llm import LlmSettings, ask_for_queries, cleaned


@pytest.fixture(scope="module")
def codex():
    return read_codex()


class FakeOllama(http.server.BaseHTTPRequestHandler):
    """Speaks Ollama's protocol: the query is the passage's first words; every third answer is beside the point."""

    asked: ClassVar[list[dict]] = []
    broken_from = 10**9

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/api/generate"
        type(self).asked.append(body)
        if len(self.asked) > self.broken_from:
            self.send_error(500)
            return
        passage = body["prompt"].split("\n\n", 1)[1]
        words_of = "Which whale sang?" if len(self.asked) % 3 == 0 else " ".join(passage.split()[:9])
        answer = json.dumps({"model": body["model"], "response": f'<think>hm\n</think>\n"{words_of}"', "done": True})
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def ollama():
    handler = type("Handler", (FakeOllama,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def test_a_language_models_queries_are_kept_if_they_bring_the_passage_back(codex, ollama, tmp_path):
    url, handler = ollama
    some = Corpus(codex.passages[:30])
    settings = LlmSettings("tiny", tmp_path / "queries.jsonl", url, top_k=3)
    pairs = list(ask_for_queries(some, settings))
    assert len(handler.asked) == 30
    assert 15 <= len(pairs) <= 20
    assert not any("whale" in pair.query or "think" in pair.query or '"' in pair.query[:1] for pair in pairs)
    assert list(ask_for_queries(some, settings)) == pairs
    assert len(handler.asked) == 30  # nothing was asked twice


def test_a_server_that_fails_loses_nothing(codex, ollama, tmp_path):
    url, handler = ollama
    handler.broken_from = 5
    some = Corpus(codex.passages[:12])
    settings = LlmSettings("tiny", tmp_path / "queries.jsonl", url)
    with pytest.raises(DragonFinetuneError, match="what it wrote is kept"):
        list(ask_for_queries(some, settings))
    with settings.memory.open("a", encoding="utf-8") as memory:
        memory.write('{"key": "cut sh')  # as a kill would leave it
    handler.broken_from = 10**9
    before = len(handler.asked)
    list(ask_for_queries(some, settings))
    assert len(handler.asked) - before == 12 - 5


@pytest.mark.parametrize(
    ("answer", "query"),
    [
        ("<think>Is it he?</think>\n\nWho lit the lamp?", "Who lit the lamp?"),
        ("Is it he? Let me see.</think>Who lit the lamp?", "Who lit the lamp?"),
        ("<think>Is it he? Let me", ""),
        ("<think>a</think><think>b</think>Who lit the lamp?", "Who lit the lamp?"),
        ('1. "Who lit the lamp?"', "Who lit the lamp?"),
        ("<think>" * 50_000, ""),
    ],
)
def test_a_models_thoughts_are_no_query(answer, query):
    assert cleaned(answer) == query
