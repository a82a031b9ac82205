"""`train --lexicon *.jsonl`: a shell gives the option the first file, and the others stand alone."""

import json

from conftest import make_pairs, run_here


def test_what_a_shell_makes_of_a_pattern_is_the_lexicon(tiny, write_jsonl, tmp_path):
    pairs = write_jsonl("pairs.jsonl", make_pairs(60))
    files = [write_jsonl(f"{name}.jsonl", [{"text": f"The lamp of {name}."}]) for name in ("one", "two", "three")]
    out = ["--base-model", tiny, "--output", tmp_path / "tuned", "--distances", "native", "--dry-run", "--json"]
    done = run_here("train", pairs, *out, "--lexicon", *files)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] > 0
    missing = run_here("train", pairs, *out, "--lexicon", *files, tmp_path / "four.jsonl")
    assert (missing.returncode, "four.jsonl does not exist" in missing.stderr) == (2, True)


def test_a_second_file_without_the_option_is_refused(tiny, write_jsonl, tmp_path):
    pairs = write_jsonl("pairs.jsonl", make_pairs(4))
    done = run_here("train", pairs, "more.jsonl", "--base-model", tiny, "--output", tmp_path / "tuned")
    assert done.returncode == 2
    assert "more.jsonl stands alone; give chunk files as --lexicon more.jsonl" in done.stderr
