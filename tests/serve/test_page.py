"""The page at / and what it asks for, by HTTP and in a real browser."""

import importlib.resources
import json
import re
import shutil

import httpx
import pytest
from conftest import CORPUS
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import serving

from dragon_finetune.lexical.words import words_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
HOSTILE = '<img src=x onerror=alert(1)> <script>alert("lamp")</script> & <b>the lamp</b>'
TEXTS = {
    **{f"c{number}": text for number, text in enumerate(CORPUS)},
    "hostile": HOSTILE,
    "emoji": "🐉🐉 A dragon lit the lamp 🏮 👩‍🚀, and the lamp's light fell.",
    "rtl": "من أشعل المصباح lamp في البرج؟",
    "long": "The tide came in. " * 120 + "Then the lamp was lit. " + "The tide went out. " * 40,
    **{f"tide{number}": f"House {number} keeps its tide under stair {number * 7}." for number in range(12)},
}
PLAIN = ("--engine", "torch", "--precision", "fp32")


@pytest.fixture(scope="module")
def url(tiny_models, tmp_path_factory):
    chunks = tmp_path_factory.mktemp("page") / "chunks.jsonl"
    rows = [json.dumps({"chunk_id": name, "text": text}) + "\n" for name, text in TEXTS.items()]
    chunks.write_text("".join(rows), encoding="utf-8")
    models = ("--model", tiny_models["byte_bpe"], "--name", "tuned", "--against", tiny_models["wordpiece"])
    with serving(*models, "--chunks", chunks, *PLAIN) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def search(url, **body):
    return httpx.post(f"{url}/try/search", json=body, timeout=60)


def test_each_hit_says_whether_the_other_model_has_it_and_where(url):
    columns = search(url, query="Who lit the lamp?", k=7).json()["columns"]
    assert [column["model"] for column in columns] == ["tuned", "wordpiece"]
    ranks = [[hit["id"] for hit in column["hits"]] for column in columns]
    for column, there in zip(columns, ranks[::-1], strict=True):
        assert len(column["hits"]) == 7
        distances = [hit["distance"] for hit in column["hits"]]
        assert distances == sorted(distances)
        for hit in column["hits"]:
            assert hit["only"] == (hit["id"] not in there)
            assert hit["rank_there"] == (None if hit["only"] else there.index(hit["id"]) + 1)
    assert {hit["only"] for column in columns for hit in column["hits"]} == {True, False}


def test_the_words_of_the_query_are_marked_and_long_texts_are_cut_around_them(url):
    hits = {hit["id"]: hit for hit in search(url, query="Who lights the LAMP?", k=50).json()["columns"][0]["hits"]}
    assert hits.keys() == TEXTS.keys()
    for name, hit in hits.items():
        whole, shown = TEXTS[name], hit["text"]
        assert shown == whole[hit["before"] : len(whole) - hit["after"]]
        assert all({"lamp", "light"} & {*words_of(shown[start:end], "english")} for start, end in hit["marks"])
    marked = {name: [hit["text"][start:end] for start, end in hit["marks"]] for name, hit in hits.items()}
    assert (marked["emoji"], marked["rtl"], marked["c1"]) == (["lamp", "lamp's", "light"], ["lamp"], [])
    assert (marked["long"], hits["long"]["before"] > 1000, hits["long"]["after"] > 0) == (["lamp"], True, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"query": "lamp " * 90}, r"exceed the limit of 64 tokens of tuned.*text 0 has \d{2,}"),
        ({"query": " "}, "text is empty"),
        ({"query": "lamp", "k": 51}, "k: "),
        ({"query": ["lamp"]}, "query: "),
    ],
)
def test_what_is_refused(url, body, words):
    refused = search(url, **body)
    assert refused.status_code == 400
    assert re.search(words, refused.json()["error"])


def test_the_page_may_load_nothing_and_be_framed_by_nobody(url):
    page = httpx.get(url)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.text == importlib.resources.files("dragon_finetune.serve").joinpath("page.html").read_text("utf-8")


def open_tab(browser, url, width=1280, scheme="light"):
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    tab.on("request", lambda request: said.append(request.url) if not request.url.startswith((url, "data:")) else None)
    tab.goto(url)
    tab.wait_for_selector("#models:not([hidden]), #unlock:not([hidden])")
    return tab, said


@in_a_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (390, "light"), (1280, "dark"), (1280, "light")])
def test_searching_by_keyboard_alone(url, browser, width, scheme):
    tab, said = open_tab(browser, url, width, scheme)
    tab.keyboard.type("who lit the lamp j k s")  # letters are typed where one types
    tab.locator("#hits").select_option("50")
    tab.locator("#query").focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector(".hit", state="attached")
    assert f"of {len(TEXTS)} chunks" in tab.inner_text("#status")
    assert HOSTILE in tab.locator("#columns section:nth-child(1) .text").all_inner_texts()
    assert tab.locator("#columns img, #columns script, #columns b").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    columns = tab.locator("#columns > section")
    alone = [True, width == 1280]
    assert [columns.nth(place).is_visible() for place in (0, 1)] == alone
    focused = "[...document.querySelectorAll('.hit')].indexOf(document.activeElement)"
    for pressed, place in (("ArrowDown", 0), ("j", 1), ("j", 2), ("k", 1)):
        tab.keyboard.press(pressed)
        assert tab.evaluate(focused) == place
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(focused) == (len(TEXTS) + 1 if width == 1280 else 1)
    for pressed, shown in (("2", (False, True)), ("s", (True, False)), ("1", (True, True))):
        tab.keyboard.press(pressed)
        assert tuple(columns.nth(place).is_visible() for place in (0, 1)) == shown
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "query"
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor == 'rgb(255, 255, 255)'") == (
        scheme == "light"
    )
    tab.close()
    assert said == []


@in_a_browser
def test_what_is_refused_is_shown_and_the_next_search_answered(url, browser):
    tab, _ = open_tab(browser, url)
    tab.fill("#query", "lamp " * 90)
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#status.wrong")
    assert "exceed the limit of 64 tokens" in tab.inner_text("#status")
    tab.fill("#query", "lamp")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#status:not(.wrong) >> text=nearest")
    tab.close()


@pytest.fixture(scope="module")
def a_tab(url, browser):
    return open_tab(browser, url)[0]


@in_a_browser
@settings(max_examples=40)
@given(parts=st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), st.booleans())))
def test_marks_stand_where_they_are_said_to_whatever_the_characters(a_tab, parts):
    text, marks = "", []
    for part, marked in parts:
        if marked:
            marks.append([len(text), len(text) + len(part)])
        text += part
    found = a_tab.evaluate("([text, marks]) => pieces(text, marks)", [text, marks])
    assert "".join(part for part, _ in found) == text
    assert [part for part, marked in found if marked] == [part for part, marked in parts if marked]


@in_a_browser
def test_without_a_corpus_it_says_how_to_give_one_and_how_programs_call_the_models(server, browser):
    tab, said = open_tab(browser, server)
    assert "--chunks" in tab.inner_text("#bare")
    assert tab.locator("#ask").is_hidden()
    assert f"OLLAMA_BASE_URL={server}\n" in tab.inner_text("#ollama")
    assert f"{server}/v1\n" in tab.inner_text("#openai")
    assert httpx.get(f"{server}/health").json()["models"]["tuned"]["fingerprint"] in tab.inner_text("#cards")
    assert said == []
    assert search(server, query="lamp").status_code == 404
