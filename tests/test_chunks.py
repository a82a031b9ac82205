"""Every chunk has an id of its own: two are never one because their files, or their pages, have the same name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.chunks import read_chunks
from dragon_finetune.errors import DataError
from dragon_finetune.files import write_jsonl


def test_files_of_the_same_name_in_two_folders_are_kept_apart(tmp_path):
    files = [tmp_path / folder / "part.jsonl" for folder in ("books", "wiki")]
    for file in files:
        write_jsonl(file, [{"text": "The tide went out."}, {"text": "The bell rang."}])
    ids = [chunk.id for chunk in read_chunks(files)]
    assert ids == ["books/part_0", "books/part_1", "wiki/part_0", "wiki/part_1"]


def test_a_file_of_a_name_of_its_own_gives_the_hosts_ids(tmp_path):
    write_jsonl(tmp_path / "part.jsonl", [{"text": "The tide went out."}])
    assert [chunk.id for chunk in read_chunks([tmp_path / "part.jsonl"])] == ["part_0"]


def test_a_file_given_twice_is_refused(tmp_path):
    write_jsonl(tmp_path / "part.jsonl", [{"text": "The tide went out."}])
    with pytest.raises(DataError, match="given twice"):
        list(read_chunks([tmp_path / "part.jsonl", tmp_path / "x" / ".." / "part.jsonl"]))


def test_an_id_that_comes_twice_is_named_with_both_places(tmp_path):
    files = [tmp_path / name for name in ("one.jsonl", "two.jsonl")]
    write_jsonl(files[0], [{"text": "a", "chunk_id": "c1"}, {"text": "b", "chunk_id": "c2"}])
    write_jsonl(files[1], [{"text": "c", "chunk_id": "c2"}])
    with pytest.raises(DataError, match=r"two.jsonl, line 1.*'c2'.*one.jsonl, line 2"):
        list(read_chunks(files))
    assert len(list(read_chunks(files, unique=False))) == 3


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab"), st.integers(1, 2)), unique_by=lambda x: x[:2]))
def test_ids_are_unique_whatever_the_files_are_called(tmp_path_factory, laid):
    root = tmp_path_factory.mktemp("chunks")
    files = []
    for folder, name, rows in laid:
        files.append(root / folder / f"{name}.jsonl")
        write_jsonl(files[-1], [{"text": "x"}] * rows)
    ids = [chunk.id for chunk in read_chunks(files)]
    assert len(set(ids)) == len(ids) == sum(rows for *_, rows in laid)
