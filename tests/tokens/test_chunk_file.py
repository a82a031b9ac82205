"""Files of texts chunked into files of chunks."""

import itertools
import json
import tracemalloc

import pytest

from dragon_finetune import TokenChunker
from dragon_finetune.files import read_jsonl


@pytest.mark.slow
def test_a_stream_is_chunked_in_bounded_memory():
    def stream(count):
        return itertools.islice(itertools.cycle(["Salt and lamp and oar. " * 400]), count)

    chunker = TokenChunker("embedded")
    list(chunker.chunk_many(stream(2)))

    def peak(count):
        tracemalloc.start()
        for _ in chunker.chunk_many(stream(count)):
            pass
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    # Keeping the chunks would add a tenth.
    assert peak(450) < 1.03 * peak(150)


def test_command_keeps_metadata_and_overlaps(cli, write_jsonl, tiny, tmp_path):
    source = write_jsonl("pages.jsonl", [{"text": "Salt and lamp. " * 40, "book_number": 3}, {"text": "One."}])
    done = cli("chunk", source, tmp_path / "out.jsonl", "--model", tiny, "--max-tokens", 40, "--overlap-tokens", 12)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    first = [record for record in records if record.get("book_number") == 3]
    assert [record["chunk_index"] for record in first] == list(range(first[0]["total_chunks"]))
    assert all(one["end"] > two["start"] for one, two in itertools.pairwise(first))
    assert records[-1]["text"] == "One."


def test_command_names_the_line_without_text_and_leaves_the_old_output(cli, tiny, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "fine"}\n\n{"body": "x"}\n', encoding="utf-8")
    (tmp_path / "out.jsonl").write_text("old", encoding="utf-8")
    done = cli("chunk", "in.jsonl", "out.jsonl", "--model", tiny)
    assert done.returncode == 2
    assert "in.jsonl, line 3: no field 'text'; the record has ['body']" in done.stderr
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == "old"


def test_pieces_have_ids_of_their_own_and_the_next_commands_take_them(cli, tiny, write_jsonl):
    page = {"text": "The tide went out. " * 60, "chunk_id": "page_7", "source": "wiki"}
    write_jsonl("pages.jsonl", [page, {"text": "Short.", "chunk_id": "page_8"}])
    assert cli("chunk", "pages.jsonl", "chunks.jsonl", "--model", tiny).returncode == 0
    done = cli("embed", "chunks.jsonl", "-m", tiny, "--out", "shards", "--store", "store", "--collection", "books")
    assert done.returncode == 0, done.stderr
    ids = [record["chunk_id"] for _, record in read_jsonl(write_jsonl("pages.jsonl", [page]).with_name("chunks.jsonl"))]
    assert ids[:2] == ["page_7#0", "page_7#1"]
    assert ids[-1] == "page_8"
    assert f"{len(set(ids))} records" in done.stdout


def test_nothing_in_is_refused_and_what_lay_there_stays(cli, tiny, tmp_path):
    (tmp_path / "in.jsonl").write_text("\n", encoding="utf-8")
    (tmp_path / "old.jsonl").write_text('{"text": "kept"}\n', encoding="utf-8")
    done = cli("chunk", "in.jsonl", "old.jsonl", "--model", tiny)
    assert done.returncode == 2
    assert "in.jsonl holds no records" in done.stderr
    assert (tmp_path / "old.jsonl").read_text(encoding="utf-8") == '{"text": "kept"}\n'


def test_a_file_is_not_chunked_onto_itself(cli, tiny, write_jsonl):
    file = write_jsonl("pages.jsonl", [{"text": "The tide went out. " * 60}])
    before = file.read_bytes()
    done = cli("chunk", "pages.jsonl", "./pages.jsonl", "--model", tiny)
    assert done.returncode == 2
    assert "same file" in done.stderr
    assert file.read_bytes() == before
