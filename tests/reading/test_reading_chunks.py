"""Chunks as people have them: every kind of file gives the same records, and what is damaged is named."""

import datetime
import gzip
import json
import random
import tracemalloc

import pytest
from files_of_kinds import KINDS, write_beir, write_records
from hypothesis import given, settings
from hypothesis import strategies as st

from dragon_finetune.chunks import read_chunks
from dragon_finetune.errors import DataError

VISIBLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)
RECORD = st.fixed_dictionaries({"text": VISIBLE, "source": VISIBLE})


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(records=st.lists(RECORD, min_size=1, max_size=6))
def test_every_kind_gives_the_records_that_were_written(tmp_path_factory, kind, records):
    file = write_records(tmp_path_factory.mktemp("kinds") / f"part.{kind}", records)
    read = list(read_chunks([file]))
    assert [{"text": chunk.text, **chunk.metadata} for chunk in read] == records
    assert [chunk.id for chunk in read] == [f"part_{row}" for row in range(len(records))]


def texts(path, **options):
    return [chunk.text for chunk in read_chunks([path], **options)]


def places(path):
    return [chunk.where.removeprefix(f"{path}, ") for chunk in read_chunks([path])]


TWO = [{"text": "Ebbe und Flut: où?"}, {"text": "鐘"}]


@pytest.mark.parametrize(("kind", "word"), [("jsonl", "line"), ("csv", "row"), ("parquet", "row"), ("json", "item")])
def test_places_are_called_as_the_kind_has_them(tmp_path, kind, word):
    file = write_records(tmp_path / f"a.{kind}", TWO)
    assert places(file) == [f"{word} 1", f"{word} 2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_spreadsheets_csv(tmp_path, encoding, separator, end):
    rows = [["id", "text", "note"], ["1", '"Où, là;\ndit-elle ""non""."', ""], ["2", "鐘", "x"]]
    content = end.join(separator.join(row) for row in rows) + end
    (tmp_path / "a.csv").write_bytes(content.encode(encoding))
    one, two = read_chunks([tmp_path / "a.csv"])
    assert (one.text, one.metadata) == ('Où, là;\ndit-elle "non".', {"id": "1"})
    assert (two.text, two.metadata) == ("鐘", {"id": "2", "note": "x"})


@pytest.mark.parametrize("name", ["chunks", "documents"])
def test_json_objects_that_hold_the_list(tmp_path, name):
    (tmp_path / "a.json").write_text(json.dumps({name: TWO, "version": [1]}), encoding="utf-8")
    assert texts(tmp_path / "a.json") == [each["text"] for each in TWO]
    (tmp_path / "a.json").write_text(json.dumps({"chunks": TWO, "documents": TWO}), encoding="utf-8")
    with pytest.raises(DataError, match="holds 'chunks' and 'documents'"):
        texts(tmp_path / "a.json")


def test_json_lines_in_a_json_file_are_seen(tmp_path, capsys):
    write_records(tmp_path / "a.jsonl", TWO).rename(tmp_path / "a.json")
    assert places(tmp_path / "a.json") == ["line 1", "line 2"]
    (tmp_path / "one.json").write_text('{"text": "alone"}\n', encoding="utf-8")
    assert texts(tmp_path / "one.json") == ["alone"]


@pytest.mark.parametrize("field", ["content", "page_content", "document"])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_the_text_is_found_by_its_usual_names_and_said_once(tmp_path, capsys, field, kind):
    file = write_records(tmp_path / f"a.{kind}", [{"book": "1", field: "The tide."}])
    for _ in range(2):
        (chunk,) = read_chunks([file])
        assert (chunk.text, chunk.metadata) == ("The tide.", {"book": "1"})
    said = {"jsonl": "JSON lines, 1 records", "csv": "CSV, 1 rows"}[kind]
    assert capsys.readouterr().err == f"reading {file}: {said}, text in {field!r}\n"


def test_json_lines_with_text_are_read_without_a_word(tmp_path, capsys):
    texts(write_records(tmp_path / "a.jsonl", [{"text": "a", "content": "b"}]))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"content": "a", "document": "b", "n": 1}, "'content' and 'document' may be the text.*'n'.*--text-field"),
        ({"body": "a", "n": 1}, "line 1: no field 'text'; the record has .'body', 'n'.*--text-field"),
    ],
)
def test_no_text_field_or_several_are_refused_with_the_fields(tmp_path, record, words):
    file = write_records(tmp_path / "a.jsonl", [record])
    with pytest.raises(DataError, match=words):
        texts(file)
    assert texts(file, text_field=next(iter(record))) == ["a"]
    with pytest.raises(DataError, match="no field 'nothing'; the record has"):
        texts(file, text_field="nothing")


def test_langchains_documents_keep_their_metadata(tmp_path):
    record = {"page_content": "The tide.", "metadata": {"source": "a.pdf", "page": 3}, "type": "Document"}
    (chunk,) = read_chunks([write_records(tmp_path / "a.json", [record])])
    assert (chunk.text, chunk.metadata) == ("The tide.", {"source": "a.pdf", "page": 3, "type": "Document"})


def test_a_folder_is_read_file_by_file(tmp_path, capsys):
    notes = tmp_path / "notes"
    for name, content in [("b.md", "# Bell\r\nrang"), ("a/x.TXT", "鐘"), (".git/c.txt", "no"), ("empty.md", " \n")]:
        (notes / name).parent.mkdir(parents=True, exist_ok=True)
        (notes / name).write_bytes(content.encode())
    (notes / "picture.png").write_bytes(b"\x89")
    with pytest.warns(UserWarning) as told:
        chunks = list(read_chunks([notes]))
    assert [(chunk.id, chunk.text, chunk.metadata) for chunk in chunks] == [
        ("notes/a/x.TXT", "鐘", {"source": "a/x.TXT"}),
        ("notes/b.md", "# Bell\nrang", {"source": "b.md"}),
    ]
    assert chunks[0].where == str(notes / "a" / "x.TXT")
    assert ["picture.png" in str(each.message) for each in told] == [True, False]
    assert "empty.md passed over" in str(told[1].message)
    assert capsys.readouterr().err == f"reading {notes}: folder, 2 texts (.txt, .md), one a file\n"


def test_folders_of_one_name_give_ids_of_their_own(tmp_path):
    for name in ("a/notes/x.md", "b/notes/x.md"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    ids = [chunk.id for chunk in read_chunks([tmp_path / "a" / "notes", tmp_path / "b" / "notes"])]
    assert ids == ["a/notes/x.md", "b/notes/x.md"]


def test_files_that_differ_in_kind_alone_give_ids_of_their_own(tmp_path):
    files = [write_records(tmp_path / f"part.{kind}", [{"text": "x"}]) for kind in ("jsonl", "csv", "csv.gz")]
    assert [chunk.id for chunk in read_chunks(files)] == ["part.jsonl_0", "part.csv_0", "part.csv.gz_0"]


def test_a_beir_folder_gives_its_passages(tmp_path, capsys):
    folder = write_beir(tmp_path / "set")
    chunks = list(read_chunks([folder]))
    assert (chunks[0].id, chunks[0].text) == ("d0", "House 0 It keeps lamp 0.")
    assert f"reading {folder}: BEIR, 6 passages, title and text" in capsys.readouterr().err


PACKED = gzip.compress(b'{"text": "x"}\n' * 500)
BAD = {
    "cut.jsonl.gz": (PACKED[:-12], "cut.jsonl.gz is damaged"),
    "flipped.jsonl.gz": (PACKED[:20] + b"\xff\xff\xff" + PACKED[23:], "flipped.jsonl.gz"),
    "plain.csv.gz": (b"text\nx\n", "plain.csv.gz is damaged, or not packed with gzip"),
    "bad.parquet": (b"PAR1 and then nothing", "bad.parquet is damaged, or no Parquet"),
    "empty.parquet": (b"", "empty.parquet is damaged"),
    "a.parquet.gz": (b"", "Unpack the .gz"),
    "wide.csv": (b"text,n\na,1,2\n", "row 1 has 3 cells and the header 2"),
    "short.csv": (b"text,n\na,1\nb\n", "row 2 has 1 cells and the header 2"),
    "open.csv": (b'text,n\n"a,1\n', "row 1: unexpected end of data"),
    "quoted.tsv": (b'text\tn\n"a"b\t1\n', "row 1: .* expected after"),
    "twice.csv": (b"text,text\na,b\n", "names the column 'text' twice"),
    "nameless.csv": (b";;\na;b;c\n", "the header is empty"),
    "columns.csv": (b"a,b\n1,2\n", "row 1: no field 'text'; the record has .'a', 'b'"),
    "gap.csv": (b"text,n\n,2\n", "row 1: the text is empty"),
    "latin.csv": ("text\né\n".encode("latin-1"), "latin.csv is not UTF-8"),
    "a.json": (b'[{"text": "x"}, 7]', "item 2: expected a JSON object"),
    "b.json": (b"7", "expected a list of objects, found int"),
    "c.json": (b'[{"text": "x"},\n', "c.json: not valid JSON"),
    "d.json": (b'{"data": [1]}', "item 1: no field 'text'"),
    "empty.json": (b"", "empty.json: not valid JSON"),
    "empty.txt": (b"\n", "empty.txt: the text is empty"),
    "x/data.jsonl": (b"{}", "holds no .txt or .md files; it holds data.jsonl"),
    "y/.hidden": (b"{}", "holds no .txt or .md files; it is empty"),
    "z/a.txt": (b" ", "none of its 1 text files holds a text"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_damaged_is_named(tmp_path, name):
    content, words = BAD[name]
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(DataError, match=words):
        texts(tmp_path / name.split("/")[0])


def test_a_header_without_rows_holds_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\n", encoding="utf-8")
    assert texts(tmp_path / "a.csv") == []


def test_parquets_values_become_what_json_holds(tmp_path):
    record = {"text": "x", "day": datetime.date(2020, 1, 2), "raw": b"a", "tags": ["a", "b"], "none": None}
    (chunk,) = read_chunks([write_records(tmp_path / "a.parquet", [record])])
    assert json.loads(json.dumps(chunk.metadata)) == {"day": "2020-01-02", "raw": "b'a'", "tags": ["a", "b"]}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "csv.gz"])
def test_tables_are_streamed(tmp_path, kind):
    file = write_records(
        tmp_path / f"a.{kind}", [{"text": random.Random(n).randbytes(800).hex()} for n in range(4_000)]
    )
    tracemalloc.start()
    assert sum(1 for _ in read_chunks([file], unique=False)) == 4_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000  # bytes, of 6.4 million
