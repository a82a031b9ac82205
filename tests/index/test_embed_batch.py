"""Batches of columns through EmbedBatch: by hand, by datasets, by Daft; and rows that are refused."""

import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import CORPUS

from dragon_finetune import EmbedBatch, FineTunedEmbedder
from dragon_finetune.errors import DataError, SettingsError, TokenLimitError

TEXTS = [f"{n}. {CORPUS[n % 4]}" for n in range(10)]
OPTIONS = {"device": "cpu", "precision": "fp32", "engine": "torch"}
LONG = "long " * 200


@pytest.fixture(scope="module")
def expected(tiny):
    return FineTunedEmbedder(tiny, **OPTIONS).encode(TEXTS, role="document")


def batch_of(texts, **more):
    return {"text": texts, "chunk_id": [f"c{n}" for n in range(len(texts))], **more}


def test_columns_come_back_with_the_embedders_vectors_and_its_fingerprint(tiny, expected):
    done = EmbedBatch(tiny, **OPTIONS)(batch_of(np.array(TEXTS), order=list(range(10))))
    assert list(done) == ["text", "chunk_id", "order", "embedding", "fingerprint"]
    assert done["embedding"].dtype == np.float32
    np.testing.assert_array_equal(done["embedding"], expected)
    assert {*done["fingerprint"]} == {FineTunedEmbedder(tiny).fingerprint}
    assert done["order"] == list(range(10))


def test_long_texts_are_split_as_the_embedder_does(tiny):
    done = EmbedBatch(tiny, on_overflow="split", **OPTIONS)({"text": [LONG]})
    one = FineTunedEmbedder(tiny, on_overflow="split", **OPTIONS).encode([LONG], role="document")
    np.testing.assert_array_equal(done["embedding"], one)


def test_it_travels_as_a_few_settings_and_no_model(tiny, expected, monkeypatch, tmp_path):
    monkeypatch.chdir(tiny.parent)
    embed = EmbedBatch(tiny.name, **OPTIONS)
    before = pickle.dumps(embed)
    embed({"text": TEXTS[:1]})
    assert pickle.dumps(embed) == before
    assert len(before) < 1000
    monkeypatch.chdir(tmp_path)  # a worker's folder is another one
    np.testing.assert_array_equal(pickle.loads(before)({"text": TEXTS})["embedding"], expected)


REFUSED = [TEXTS[0], "", None, LONG, 7, TEXTS[1]]


def test_refused_rows_go_to_a_column(tiny, expected):
    done = EmbedBatch(tiny, on_error="column", **OPTIONS)(batch_of(REFUSED))
    np.testing.assert_allclose(done["embedding"][[0, 5]], expected[:2], atol=1e-6)
    assert np.isnan(done["embedding"][1:5]).all()
    assert [mark == "" for mark in done["fingerprint"]] == [False, True, True, True, True, False]
    says = ["$", ".*c1.*empty", ".*c2.*NoneType", ".*c3.*over the limit of 64", ".*c4.*int 7", "$"]
    assert [bool(re.match(said, error)) for said, error in zip(says, done["error"], strict=True)] == [True] * 6


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        ("", DataError, "chunk_id 'c1'.*empty"),
        (3.5, DataError, "found float"),
        (LONG, TokenLimitError, "chunk_id 'c1'"),
    ],
)
def test_or_they_stop_the_run(tiny, row, error, said):
    with pytest.raises(error, match=said):
        EmbedBatch(tiny, **OPTIONS)(batch_of([TEXTS[0], row]))


def test_batches_without_rows_or_with_none_that_will_do(tiny):
    embed = EmbedBatch(tiny, on_error="column", **OPTIONS)
    assert embed({"text": []})["embedding"].shape == (0, 32)
    assert embed({"text": [""]})["embedding"].shape == (1, 32)


def test_what_is_wrong_is_said_where_it_is_built_or_called(tiny):
    with pytest.raises(SettingsError, match="Did you mean 'raise'"):
        EmbedBatch(tiny, on_error="rais")
    with pytest.raises(SettingsError, match="precision"):
        EmbedBatch(tiny, precision="fp31")
    with pytest.raises(DataError, match=r"no column 'text'; it has \['body'\]"):
        EmbedBatch(tiny)({"body": ["x"]})


def test_it_needs_no_ray(tiny):
    code = f"import sys; sys.modules['ray'] = None; from dragon_finetune import EmbedBatch; EmbedBatch({str(tiny)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fewer_threads_make_the_same_vectors(tiny, expected):
    code = (
        "import sys, numpy; from dragon_finetune import EmbedBatch; import torch;"
        f"embed = EmbedBatch({str(tiny)!r}, threads=1, **{OPTIONS!r});"
        f"numpy.save(sys.argv[1], embed({{'text': {TEXTS!r}}})['embedding']);"
        "print(torch.get_num_threads())"
    )
    out = tiny.parent / "one-thread.npy"
    done = subprocess.run([sys.executable, "-c", code, str(out)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    np.testing.assert_allclose(np.load(out), expected, atol=1e-6)


def test_datasets_maps_it(tiny, expected):
    from datasets import Dataset

    data = Dataset.from_dict(batch_of([*TEXTS, ""]))
    done = data.map(EmbedBatch(tiny, on_error="column", **OPTIONS), batched=True, batch_size=4)
    np.testing.assert_allclose(np.array(done["embedding"][:10]), expected, atol=1e-6)
    assert done["error"][:10] == [""] * 10
    assert "chunk_id 'c10'" in done["error"][10]


def test_daft_runs_it(tiny, expected):
    import daft

    embed = EmbedBatch(tiny, **OPTIONS)

    @daft.udf(return_dtype=daft.DataType.embedding(daft.DataType.float32(), 32))
    def vectors(text):
        return embed({"text": text})["embedding"]

    frame = daft.from_pydict(batch_of(TEXTS)).with_column("embedding", vectors(daft.col("text")))
    np.testing.assert_allclose(np.array(frame.to_pydict()["embedding"]), expected, atol=1e-6)
