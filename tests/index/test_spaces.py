"""What a collection may be beside fresh and stale: of another space, of a shorter vector, of texts cut to the limit."""

import json
import re

import numpy as np
import pytest
from stores import build, kinds, like, make_texts, write_chunks

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.evaluation.rubric import HOST_THRESHOLDS
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.space import HOST_DISTANCES, cosine_at

TEXTS = make_texts(40)
LONG = [f"{text}{' the lamp of the Oriel' * 20}{' 7' * 200}" for text in TEXTS[:6]]


@pytest.fixture(scope="module")
def embedder(tiny):
    return FineTunedEmbedder(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def vectors(embedder):
    return embedder.encode(TEXTS, role="document")


@pytest.mark.parametrize(("space", "at"), [("l2", "0.55, 0.50 and 0.75"), ("cosine", "0.10, 0.00 and 0.50"),
                                           ("ip", "0.10, 0.00 and 0.50")])  # fmt: skip
def test_the_space_is_named_with_what_the_hosts_thresholds_mean_there(tmp_path, embedder, vectors, space, at):
    build(tmp_path / "store", TEXTS, vectors, space=space)
    health = examine(embedder, tmp_path / "store")
    assert health.fresh
    assert f"space {space}" in str(health)
    assert at in str(health)
    assert health.to_dict()["collections"][0]["space"] == space


@pytest.mark.parametrize("metadata", [None, {"hnsw:space": "cosine"}, {"hnsw:space": "ip"}, {"hnsw:space": "l2"}])
def test_the_space_is_known_however_it_was_set(tmp_path, embedder, vectors, metadata):
    client = open_client(tmp_path / "store")
    collection = client.create_collection("books", embedding_function=None, metadata=metadata)
    collection.add(ids=list("ab"), documents=TEXTS[:2], embeddings=list(vectors[:2]))
    (one,) = examine(embedder, tmp_path / "store").collections
    assert one.space == (metadata or {"hnsw:space": "l2"})["hnsw:space"]


@pytest.mark.parametrize("space", ["l2", "cosine", "ip"])
def test_a_threshold_means_the_cosine_at_which_chroma_gives_that_distance(tmp_path, vectors, space):
    build(tmp_path / "store", TEXTS, vectors, space=space)
    collection = open_client(tmp_path / "store").get_collection("books", embedding_function=None)
    found = collection.query(query_embeddings=[vectors[0]], n_results=9, include=["distances", "embeddings"])
    cosines = found["embeddings"][0] @ vectors[0]
    np.testing.assert_allclose([cosine_at(space, d) for d in found["distances"][0]], cosines, atol=1e-5)


def test_the_thresholds_are_those_of_the_rubric():
    assert HOST_DISTANCES[:2] == (HOST_THRESHOLDS.top_far, HOST_THRESHOLDS.far)


@pytest.mark.parametrize(("space", "found"), [("l2", ["un-normalised"]), ("ip", ["un-normalised"]), ("cosine", [])])
def test_lengths_matter_where_distances_depend_on_them(tmp_path, embedder, vectors, space, found):
    build(tmp_path / "store", TEXTS, 10 * vectors, space=space)
    health = examine(embedder, tmp_path / "store")
    assert kinds(health) == found
    assert "lengths go from 10.000 to 10.000" in str(health)
    assert ("mean no cosine" in str(health)) == bool(found)


@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("stored", [4, 16, 31, 32])
@pytest.mark.parametrize("asked", [None, 8, 16, 32])
def test_the_first_dimensions_of_this_model_are_said_with_the_setting_to_make(
    tmp_path, tiny, vectors, stored, asked, unit
):
    part = vectors[:, :stored]
    build(tmp_path / "store", TEXTS, part / np.linalg.norm(part, axis=1, keepdims=True) if unit else part)
    embedder = FineTunedEmbedder(tiny, device="cpu", precision="fp32", truncate_dim=asked)
    health = examine(embedder, tmp_path / "store")
    if stored == (asked or 32):
        assert health.fresh or kinds(health) == ["un-normalised"]
        return
    assert kinds(health) == ["dimension"]
    assert re.search(rf"truncate_dim: {stored}\b" if stored < 32 else "without truncate_dim", str(health))
    (one,) = health.collections
    assert one.same == one.sampled
    set_so = embedder.like(truncate_dim=stored if stored < 32 else None)
    if unit:
        assert examine(set_so, tmp_path / "store").fresh


def test_other_vectors_of_fewer_dimensions_are_no_part_of_this_models(tmp_path, tiny, embedder):
    other = like(tiny, tmp_path / "other", 0.3)
    build(tmp_path / "store", TEXTS, other.like(truncate_dim=16).encode(TEXTS, role="document"))
    health = examine(embedder, tmp_path / "store")
    assert kinds(health) == ["dimension"]
    assert "truncate_dim" not in str(health)
    said = str(examine(embedder, tmp_path / "store", others=[other.model_path]))
    assert f"the first 16 of {other.model_path}" in said


@pytest.mark.filterwarnings("ignore:.* texts cut to .* tokens")
@pytest.mark.parametrize("space", ["l2", "cosine"])
@pytest.mark.parametrize("made", ["split", "truncate"])
@pytest.mark.parametrize("rule", ["error", "split", "truncate"])
def test_vectors_of_cut_texts_are_this_models(tmp_path, embedder, rule, made, space):
    texts = TEXTS + LONG
    build(tmp_path / "store", texts, embedder.like(on_overflow=made).encode(texts, role="document"), space=space)
    health = examine(embedder.like(on_overflow=rule), tmp_path / "store")
    (one,) = health.collections
    assert one.same == one.sampled == 46
    # Only who asked that nothing be cut has another index than he asked for.
    assert kinds(health) == (["truncated"] if (rule, made) == ("split", "truncate") else [])
    assert (f"6 of 46 sampled texts are over the limit of {embedder.folder.limit} tokens" in str(health)) == (
        made == "truncate"
    )


def test_the_maker_is_found_out_in_an_index_of_cut_texts(tmp_path, tiny, embedder):
    other = like(tiny, tmp_path / "other", 0.3).like(on_overflow="truncate")
    with pytest.warns(UserWarning, match="texts cut"):
        build(tmp_path / "store", LONG, other.encode(LONG, role="document"))
    health = examine(embedder, tmp_path / "store", others=[other.model_path])
    assert kinds(health) == ["stale"]
    assert f"those of {other.model_path}" in str(health)


@pytest.mark.slow
def test_the_command_takes_the_settings_of_the_index(tmp_path, cli, tiny, embedder, vectors):
    short = embedder.like(truncate_dim=16).encode(TEXTS, role="document")
    build(tmp_path / "vector_stores", TEXTS, short, space="cosine")
    done = cli("doctor", "-m", tiny)
    assert done.returncode == 1
    assert "truncate_dim: 16" in done.stdout
    fitting = ("doctor", "-m", tiny, "--truncate-dim", "16", "--on-overflow", "truncate")
    done = cli(*fitting, "--chunks", write_chunks(tmp_path / "books.jsonl", TEXTS))
    assert (done.returncode, "space cosine" in done.stdout) == (0, True), done.stdout + done.stderr
    said = json.loads(cli(*fitting, "--json").stdout)
    assert (said["fresh"], said["collections"][0]["space"]) == (True, "cosine")
    assert "0.45, 0.50 and 0.25 would mean the same" in said["collections"][0]["notes"][0]
    assert cli("doctor", "-m", tiny, "--truncate-dim", "0").returncode == 2
