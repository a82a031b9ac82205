"""Commands on input as people have it: they say how it was read on stderr, and refuse what is damaged."""

import json

import pytest
from conftest import make_pairs, run_here
from files_of_kinds import write_beir, write_records

from dragon_finetune.files import read_jsonl

TEXTS = [{"body": "The lamp of the Oriel.", "n": "1"}, {"body": "Nine knots of greywick.", "n": "2"}]


@pytest.fixture
def here(tmp_path, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").symlink_to(tiny)
    write_records(tmp_path / "texts.csv", TEXTS)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "audit texts.csv --model tiny --field body",
        "audit texts.csv --model tiny --text-field body",
        "chunk texts.csv out.jsonl --model tiny --text-field body",
        "embed texts.csv --model tiny --out shards --text-field body",
        "pairs texts.csv --out out.jsonl --text-field body",
        "lexicon texts.csv --model tiny --output out --text-field body",
        "evaluate --model tiny --chunks texts.csv --judged judged.json --text-field body",
        "compare tiny tiny --chunks texts.csv --judged judged.json --text-field body",
        "evaluate --model tiny --chunks texts.csv --questions questions.json --text-field body",
    ],
)
def test_every_command_takes_the_field_that_holds_the_text(here, line):
    judged = {"questions": [{"question_id": 1, "question": "who", "answers": ["texts_0"]}]}
    (here / "judged.json").write_text(json.dumps(judged), encoding="utf-8")
    about = {"category": "plot", "difficulty": "easy", "expected_topics": ["lamp"]}
    (here / "questions.json").write_text(
        json.dumps({"questions": [{"question_id": 1, "question": "who", **about}]}), encoding="utf-8"
    )
    done = run_here(*line.split())
    assert "reading texts.csv: CSV, 2 rows" in done.stderr, done.stderr
    without = run_here(*line.rpartition(" --")[0].split())
    assert without.returncode == 2
    assert "texts.csv, row 1: no field 'text'; the record has ['body', 'n']" in without.stderr


def test_stdout_holds_the_one_json_document(here):
    done = run_here("audit", "texts.csv", "--model", "tiny", "--field", "body", "--json")
    assert json.loads(done.stdout)["fields"]["body"]["texts"] == 2


def test_a_folder_is_chunked_with_the_paths_as_ids(here):
    (here / "notes" / "a").mkdir(parents=True)
    (here / "notes" / "a" / "long.md").write_text("Salt and lamp. " * 60, encoding="utf-8")
    done = run_here("chunk", "notes", "out.jsonl", "--model", "tiny", "--max-tokens", 40)
    assert done.returncode == 0, done.stderr
    records = [record for _, record in read_jsonl(here / "out.jsonl")]
    assert [record["chunk_id"] for record in records] == [f"a/long.md#{n}" for n in range(len(records))]
    assert {record["source"] for record in records} == {"a/long.md"}


def test_chunks_of_a_folder_go_into_a_store_and_out_again(here):
    (here / "notes").mkdir()
    for name in ("a.md", "b.md"):
        (here / "notes" / name).write_text(f"The lamp of {name}", encoding="utf-8")
    load = "embed notes --model tiny --out shards --store store --collection notes --replace".split()
    assert "2 records in notes" in run_here(*load).stdout
    (here / "notes" / "b.md").unlink()
    assert run_here(*load).returncode == 0
    done = run_here("doctor", "--model", "tiny", "--store", "store", "--chunks", "notes", "--json")
    assert (done.returncode, json.loads(done.stdout)["collections"][0]["records"]) == (0, 1)


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.txt", "out.jsonl.gz"])
@pytest.mark.parametrize("line", ["chunk texts.csv {} --model tiny --text-field body", "pairs texts.csv --out {}"])
def test_what_is_written_has_the_name_of_json_lines(here, name, line):
    done = run_here(*line.format(name).split())
    assert done.returncode == 2
    assert f"{name} would hold JSON lines" in done.stderr


def test_training_takes_other_forms_and_judges_by_them(here):
    rows = [{"query": each["query"], "pos": [each["positive_text"]]} for each in make_pairs(24)]
    write_records(here / "pairs.jsonl.gz", rows[:12])
    write_records(here / "judge.json", rows[12:])
    line = "train pairs.jsonl.gz --base-model tiny --output out --judge judge.json --batch-size 4 --dry-run"
    done = run_here(*line.split())
    assert done.returncode == 0, done.stderr
    assert "reading pairs.jsonl.gz: JSON lines, 12 records in the form of FlagEmbedding: 12 pairs" in done.stderr
    assert "judge.json: JSON, 12 records in the form of FlagEmbedding: 12 pairs" in done.stderr


DAMAGED = {
    "bad.csv": b'text\n"open\n',
    "bad.parquet": b"PAR1",
    "bad.jsonl.gz": b"no gzip",
    "bad.json": b'{"questions": 1}',
    "bad.txt": b"\xff\xfea",
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize(
    "line",
    [
        "audit {} --model tiny",
        "chunk {} out.jsonl --model tiny",
        "embed {} --model tiny --out s",
        "pairs {} --out o",
        "train {} --base-model tiny --output out",
        "lexicon {} --model tiny --output out",
    ],
)
def test_what_is_damaged_ends_with_2_and_its_name(here, name, line):
    (here / name).write_bytes(DAMAGED[name])
    done = run_here(*line.format(name).split())
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert name in done.stderr
    assert not {"out", "out.jsonl", "o"} & {path.name for path in here.iterdir()}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("evaluate --model tiny --judged set --questions x.json", "--judged asks a model and stands alone"),
        ("evaluate answers.json --judged set", "--judged asks a model and stands alone"),
        ("compare tiny tiny --judged set --html x.html", "need --questions"),
        ("compare answers.json tiny --judged set", "answers.json is an answers file"),
        ("compare tiny tiny --judged set/qrels/dev.tsv", "set/qrels/dev.tsv does not exist"),
        ("compare tiny tiny --judged set", "set has no qrels/test.tsv"),
    ],
)
def test_judged_questions_in_the_wrong_place(here, line, words):
    write_beir(here / "set", splits=("train",))
    done = run_here(*line.split())
    assert done.returncode == 2
    assert words in done.stderr


def test_doctor_finds_the_texts_in_the_field_that_holds_them(here):
    load = "embed texts.csv --model tiny --out shards --store store --collection notes --text-field body"
    assert run_here(*load.split()).returncode == 0
    look = "doctor --model tiny --store store --chunks texts.csv"
    assert run_here(*look.split(), "--text-field", "body").returncode == 0
    assert run_here(*look.split()).returncode == 2


def test_a_time_that_is_no_number_is_refused_by_name(here):
    write_records(here / "chunks.csv", [{"text": "The lamp.", "temporal_order": "soon"}])
    judged = {"questions": [{"question_id": 1, "question": "who", "answers": ["chunks_0"]}]}
    (here / "judged.json").write_text(json.dumps(judged), encoding="utf-8")
    done = run_here(*"evaluate --model tiny --chunks chunks.csv --judged judged.json".split())
    assert done.returncode == 2
    assert "chunks.csv, row 1: temporal_order is 'soon'; it must be a number" in done.stderr


def test_an_empty_cell_is_an_empty_text_to_the_audit_too(here):
    (here / "gap.csv").write_text("text,n\nx,1\n,2\n", encoding="utf-8")
    done = run_here("audit", "gap.csv", "--model", "tiny")
    assert done.returncode == 2
    assert "gap.csv, row 2: the text is empty" in done.stderr
