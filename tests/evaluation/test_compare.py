import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from conftest import run_command

from dragon_finetune import compare
from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder
from dragon_finetune.evaluation.calibration import calibrate
from dragon_finetune.evaluation.comparing import correct_for_looking
from dragon_finetune.evaluation.leaks import find_leaks
from dragon_finetune.evaluation.quality import score_quality
from dragon_finetune.evaluation.scores import evaluate_results
from dragon_finetune.evaluation.training_record import distances_of
from dragon_finetune.files import write_json, write_jsonl
from dragon_finetune.pair import Pair

TOPICS = ["ilse", "hob", "lamp", "oar", "keel"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def answers(topics_found, shift=0.0, scale=1.0):
    """Answers whose n-th question finds so many topics; distances spread over questions, moved and stretched."""
    rng = np.random.default_rng(1)
    results = []
    for number, found in enumerate(topics_found):
        start = 0.5 + rng.random() * 0.8
        chunks = [
            {
                "text": f"<b>Page {rank}</b> & {' '.join(TOPICS[:found]) if rank == 3 else 'nothing'} {'word ' * 60}",
                "distance": round((start + rank * 0.05) * scale + shift, 4),
                "source": "wiki",
                "source_file": f"page_{rank}.jsonl",
                "temporal_order": None,
            }
            for rank in range(10)
        ]
        results.append(
            {
                "question_id": number,
                "question": f"What happened in tale {number} of the third keeper?",
                "category": ["character", "plot_event", "concept"][number % 3],
                "difficulty": ["easy", "medium", "hard"][number % 3],
                "temporal_limit": 3 if number % 7 == 0 else None,
                "expected_topics": TOPICS,
                "retrieved_chunks": chunks,
            }
        )
    return results


BASE = [n % 5 for n in range(60)]
BETTER = [min(5, found + (n % 2) * 2) for n, found in enumerate(BASE)]


def test_a_gain_in_coverage_is_better():
    verdict = compare(answers(BASE), answers(BETTER), leaks=find_leaks(answers(BASE), [])).verdict
    assert (verdict.outcome, verdict.exit_code, verdict.leaks_checked) == ("better", 0, True)
    back = compare(answers(BETTER), answers(BASE)).verdict
    assert (back.outcome, back.exit_code, back.leaks_checked) == ("worse", 1, False)
    assert "Leaks were not looked for" in back.sentence


def test_a_gain_in_distances_alone_is_called_that():
    comparison = compare(answers(BASE), answers(BASE, scale=0.5))
    assert comparison.low > 0
    assert comparison.coverage.difference == 0
    assert (comparison.verdict.outcome, comparison.verdict.exit_code) == ("distances only", 1)


def test_more_that_is_found_counts_where_distances_take_the_points_back():
    comparison = compare(answers(BASE), answers(BETTER, scale=1.45))
    assert comparison.coverage.low > 0
    assert comparison.low <= 0 <= comparison.high
    assert (comparison.verdict.outcome, comparison.verdict.exit_code) == ("finds more", 0)
    assert "By topic coverage the difference is" in comparison.verdict.sentence


def test_no_difference_is_not_shown_and_the_smallest_that_could_be_is_named():
    mixed = [found + (1 if n % 2 else -1) if 0 < found < 4 else found for n, found in enumerate(BASE)]
    verdict = compare(answers(BASE), answers(mixed)).verdict
    assert verdict.outcome == "not shown"
    assert re.search(r"60 questions spread like these show a gain of 0\.\d\d or more", verdict.sentence)


def test_it_says_whose_level_of_distances_was_in_force(tiny, tmp_path):
    assert distances_of(None) is None
    assert distances_of(str(tiny)) == "the model's own"
    words = Words([f"Zorbax{n} lit the lamp. House {n} has an oar of ash." for n in range(20)], dimensions=64)
    folder = make_lexical_folder(tiny, tmp_path / "joined", words).path
    assert (
        distances_of(str(folder)) == "the base's level, kept (level.json), words joined to its vectors (lexicon.json)"
    )


def test_a_contaminated_comparison_has_no_tier_and_shows_the_clean_rest():
    base, tuned = answers(BASE), answers(BETTER)
    leaks = find_leaks(tuned, [Pair("what happened in tale 4 of the third keeper", "x")])
    comparison = compare(base, tuned, leaks=leaks)
    verdict = comparison.verdict
    assert (verdict.outcome, verdict.tier, verdict.exit_code) == ("contaminated", None, 1)
    assert "1 of 60 questions were trained on (4)" in verdict.sentence
    assert "On the 59 others" in verdict.sentence
    assert comparison.clean.questions == 59
    assert not re.search(r"excellent|MVP|minimal|pivot", str(comparison), re.IGNORECASE)


def test_several_candidates_are_corrected_for_looking():
    comparisons = correct_for_looking([compare(answers(BASE), answers(BETTER)), compare(answers(BASE), answers(BASE))])
    assert comparisons[0].p == pytest.approx(2 * comparisons[0].score.p)
    assert comparisons[1].p == 1
    assert "2 candidates" in str(comparisons[0])


@pytest.mark.parametrize(("shift", "scale"), [(-0.3, 1.0), (0.2, 1.0), (0.0, 0.5), (0.0, 2.0)])
def test_calibrated_thresholds_undo_what_moved_all_distances(shift, scale):
    base, tuned = evaluate_results(answers(BASE)), evaluate_results(answers(BASE, shift, scale))
    calibration = calibrate(base, tuned)
    assert calibration.calibrated == calibration.base != calibration.tuned


@pytest.mark.parametrize(
    ("chunks", "limit", "expected"),
    [
        ([], None, {"quality": 0.0, "coverage": 0.0, "flagged": True}),
        ([{"text": "The Iron-Lamp of Ilse!"}], None, {"coverage": 1.0, "precision": 1.0, "quality": 5.0}),
        ([{"text": "iron-lamp ilse"}, {"text": "nothing"}], None, {"precision": 0.5, "semantic": 0.5, "quality": 3.33}),
        ([{"text": "iron-lamp ilse", "book_number": 4}], 3, {"spoiler": True, "flagged": True, "quality": 5.0}),
        ([{"text": "iron-lamp ilse", "temporal_order": 3}], 3, {"spoiler": False, "flagged": False}),
    ],
)
def test_the_newer_hosts_quality(chunks, limit, expected):
    # The TF-IDF cosine of equal bags of words is 1, of disjoint ones 0.
    texts = [{**chunk, "text": chunk["text"].replace("The ", "").replace("of ", "")} for chunk in chunks]
    score = score_quality({"expected_topics": ["Iron-Lamp", "Ilse"], "temporal_limit": limit}, texts)
    assert {name: getattr(score, name) for name in expected} == pytest.approx(expected)


def write_files(folder):
    write_json(folder / "base.json", {"results": answers(BASE)})
    write_json(folder / "tuned.json", {"results": answers(BETTER, -0.2)})
    write_jsonl(folder / "pairs.jsonl", [{"query": "unrelated ask", "positive_text": "x"}])
    return folder


@pytest.fixture
def files(tmp_path):
    return write_files(tmp_path)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a report; never write into its folder."""
    folder = write_files(tmp_path_factory.mktemp("report"))
    arguments = ("compare", "base.json", "tuned.json", "--pairs", "pairs.jsonl", "--html", "report.html")
    done = run_command(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "report.html"


class Strict(HTMLParser):
    VOID = frozenset(("meta", "br"))

    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_holds_no_outside_address_and_is_well_formed(page):
    html = page.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|url\(|@import|https?://", html)
    parser = Strict()
    parser.feed(html)
    assert parser.open == []
    assert "<b>Page" not in html
    assert "&lt;b&gt;Page 3&lt;/b&gt; &amp; <mark>ilse</mark>" in html


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_real_browser(page, width, scheme):
    from playwright.sync_api import sync_playwright

    said = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: said.append(request.url) if "report.html" not in request.url else None)
        tab.goto(page.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.locator("h2").all_inner_texts()[:2] == ["Tiers", "Base and tuned"]
        tab.locator("details").first.click()
        assert tab.locator("details[open] mark").first.is_visible()
        dark = tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (scheme == "dark")
        browser.close()
    assert said == []


def test_the_command_prints_json_markdown_and_exit_codes(files, cli):
    done = cli("compare", "base.json", "tuned.json", "--json", "--markdown", "report.md")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["verdict"]["outcome"] == "better"
    assert printed["calibration"]["thresholds"]["far"] < 1
    assert (files / "report.md").read_text(encoding="utf-8").count("|---|") == 4
    assert cli("compare", "tuned.json", "base.json").returncode == 1
    assert "by the proposed ones" in " ".join(cli("calibrate", "base.json", "tuned.json").stdout.split())
    many = cli("compare", "base.json", "tuned.json", "base.json")
    assert "best of 2 candidates: tuned.json" in many.stdout


@pytest.mark.slow
def test_models_are_compared_without_a_host(tmp_path, cli, tiny, tiny_models):
    rows = [{"chunk_id": f"c{n}", "text": f"Tale {n} tells of {' '.join(TOPICS[: n % 5])}."} for n in range(40)]
    write_jsonl(tmp_path / "chunks.jsonl", rows)
    asked = [{k: v for k, v in each.items() if k != "retrieved_chunks"} for each in answers(BASE)[:9]]
    write_json(tmp_path / "questions.json", {"questions": asked})
    over = ("--chunks", "chunks.jsonl", "--questions", "questions.json")
    done = cli("compare", tiny, tiny, *over, "--json")
    assert done.returncode == 1, done.stderr
    printed = json.loads(done.stdout)
    assert printed["score"]["difference"] == 0
    assert printed["metrics"]["nDCG@10"]["base"] == printed["metrics"]["nDCG@10"]["tuned"]
    done = cli("evaluate", "--model", tiny, *over)
    assert "recall@10" in done.stdout, done.stderr
    refused = cli("evaluate", "--model", tiny)
    assert (refused.returncode, "give --chunks and --questions" in refused.stderr) == (2, True)


def test_evaluate_looks_for_leaks_and_then_names_no_tier(files, cli):
    write_jsonl(files / "leak.jsonl", [{"query": answers(BASE)[0]["question"], "positive_text": "x"}])
    done = cli("evaluate", "base.json", "--pairs", "leak.jsonl", "--era", "b")
    assert done.returncode == 1
    assert "no tier, for questions were trained on" in done.stdout
    assert "era B quality" in done.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"difficulty": "tricky"}, "difficulty is 'tricky'"),
        ({"category": None}, "'category' is missing"),
        ({"expected_topics": []}, "expected_topics is empty"),
        ({"question_id": 1}, "question_id 1 occurs twice"),
        ({"retrieved_chunks": [{"text": "x", "distance": float("nan")}]}, "the distance is nan"),
        ({"question_id": 99}, "different questions"),
    ],
)
def test_bad_files_are_named(files, cli, change, words):
    results = answers(BASE)
    results[0] |= change
    (files / "bad.json").write_text(json.dumps({"results": results}), encoding="utf-8")
    done = cli("compare", "base.json", "bad.json")
    assert done.returncode == 2
    assert words in done.stderr


def test_no_results_at_all(files, cli):
    write_json(files / "bad.json", {"results": []})
    assert "with at least one entry" in cli("compare", "base.json", "bad.json").stderr
    nothing = [{**each, "retrieved_chunks": []} for each in answers(BASE)]
    write_json(files / "nothing.json", {"results": nothing})
    done = cli("compare", "base.json", "nothing.json", "--html", "report.html")
    assert (done.returncode, "believably worse" in done.stdout) == (1, True)
    assert "retrieved no chunk" in cli("calibrate", "base.json", "nothing.json").stderr
