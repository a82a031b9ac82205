"""Vectors in memory-mapped shards: kept, taken up after a kill, refused when damaged."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragon_finetune.errors import DataError
from dragon_finetune.index.mapped import MappedVectors


class Encoder:
    """Unit vectors by the text, and a record of what was embedded; ends at `stops_at` as a kill would."""

    fingerprint = "letters"

    def __init__(self, stops_at=None, on_overflow="split"):
        self.read, self.stops_at = [], stops_at
        self.options = SimpleNamespace(precision="fp32", on_overflow=on_overflow)

    def encode(self, texts, *, role=None):
        if self.stops_at in texts:
            raise KeyboardInterrupt
        self.read += texts
        rows = [np.random.default_rng(list(text.encode())).standard_normal(8) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)


TEXTS = [f"text {number}" for number in range(25)]


@settings(max_examples=20)
@given(count=st.integers(1, 30), rows=st.integers(1, 9), seed=st.integers(0, 99))
def test_what_is_read_back_is_what_was_embedded(tmp_path_factory, count, rows, seed):
    texts = [f"text {number}" for number in range(count)]
    vectors = MappedVectors(tmp_path_factory.mktemp("shards"), texts, Encoder(), rows=rows)
    places = np.random.default_rng(seed).integers(0, count, 12)
    whole = Encoder().encode(texts)
    assert np.array_equal(vectors.at(places), whole[places])
    assert np.array_equal(np.concatenate([block for _, block in vectors.blocks()]), whole)
    assert [start for start, _ in vectors.blocks()] == list(range(0, count, rows))
    assert len(vectors) == count


def test_after_a_kill_nothing_is_embedded_twice(tmp_path):
    killed = Encoder(stops_at="text 17")
    with pytest.raises(KeyboardInterrupt):
        MappedVectors(tmp_path, TEXTS, killed, rows=5)
    assert killed.read == TEXTS[:15]
    again = Encoder()
    vectors = MappedVectors(tmp_path, TEXTS, again, rows=5)
    assert again.read == TEXTS[15:]
    assert np.array_equal(vectors.at(range(25)), Encoder().encode(TEXTS))


def test_a_changed_text_costs_its_shard_and_leaves_no_old_one(tmp_path):
    MappedVectors(tmp_path, TEXTS, Encoder(), rows=5)
    changed = Encoder()
    texts = [*TEXTS[:7], "another text", *TEXTS[8:]]
    assert np.array_equal(MappedVectors(tmp_path, texts, changed, rows=5).at([7]), Encoder().encode(["another text"]))
    assert changed.read == texts[5:10]
    assert len(list(tmp_path.rglob("*.npy"))) == 5
    other_rule = Encoder(on_overflow="truncate")
    MappedVectors(tmp_path, texts, other_rule, rows=5)
    assert other_rule.read == texts


def _cut(file):
    file.write_bytes(file.read_bytes()[:-9])


def _empty(file):
    file.write_bytes(b"")


def _zeroed(file):
    file.write_bytes(file.read_bytes()[:-64] + bytes(64))


def _of_others(file):
    with file.open("wb") as out:
        np.save(out, np.ones((2, 8)))


@pytest.mark.parametrize("damage", [_cut, _empty, _zeroed, _of_others])
def test_a_damaged_shard_is_refused_by_name(tmp_path, damage):
    damaged = MappedVectors(tmp_path, TEXTS, Encoder(), rows=5).files[2]
    damage(damaged)
    with pytest.raises(DataError, match="Delete it; its texts will be embedded again") as refused:
        MappedVectors(tmp_path, TEXTS, Encoder(), rows=5)
    assert str(damaged) in str(refused.value)
    damaged.unlink()
    again = Encoder()
    MappedVectors(tmp_path, TEXTS, again, rows=5)
    assert again.read == TEXTS[10:15]
