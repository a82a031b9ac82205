"""A model folder with words in its vectors: made, embedded with, and told apart from the dense model."""

import json
import shutil

import numpy as np
import pytest

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder
from dragon_finetune.errors import DataError, ModelError, SettingsError
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.chroma_function import embedding_function
from dragon_finetune.index.loading import load_collection

NAMES = ["Vorrim", "Zelphane", "Quarx", "Umbrith", "Oskael", "Thessamy", "Drovane", "Pellicar", "Ysmere", "Kordwain"]
TEXTS = [
    f"{name} walked the bared floor of the Thaul. Nobody answered {name} for {n} years."
    for n, name in enumerate(NAMES * 3)
]


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    return make_lexical_folder(tiny, tmp_path_factory.mktemp("lexical") / "model", Words(TEXTS, dimensions=256))


def opened(path, **options):
    return FineTunedEmbedder(path, device="cpu", **{"engine": "torch", "precision": "fp32", **options})


def test_every_way_to_embed_gives_joined_vectors(made, tiny):
    embedder, dense = opened(made.path), opened(tiny)
    assert embedder.dimension == dense.dimension + 256 + 1 + 1
    documents = embedder.encode(TEXTS[:3], role="document")
    assert documents.shape == (3, embedder.dimension)
    assert np.allclose(embedder.embed_documents(TEXTS[:3]), documents)
    assert np.allclose(embedder.embed_chunks(TEXTS[:3], show_progress=False)[0], documents)
    query = embedder.encode(["who is Vorrim"], role="query")[0]
    assert np.allclose(embedder.embed_query("who is Vorrim"), query)
    assert np.allclose(embedder.embed_chunks(["who is Vorrim"], prefix="search_query")[0][0], query)
    assert embedder.test_connection()


@pytest.mark.parametrize("family", ["wordpiece", "byte_bpe", "unigram"])
def test_every_family_and_engine_agrees(tiny_models, tmp_path, family):
    made = make_lexical_folder(tiny_models[family], tmp_path / "model", Words(TEXTS, dimensions=128))
    torch, openvino = (opened(made.path, engine=name, on_overflow="split") for name in ("torch", "openvino"))
    for role in ("query", "document", None):
        one, other = (each.encode(TEXTS[:4], role=role) for each in (torch, openvino))
        assert ((one * other).sum(axis=1) > 0.9999).all()


def test_sentence_transformers_loads_it_as_the_dense_model(made, tiny):
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(made.path), device="cpu").encode(TEXTS[:2], prompt_name="search_document")
    assert np.allclose(vectors, opened(tiny).encode(TEXTS[:2], role="document"), atol=1e-5)


def test_a_named_thing_is_found_where_the_model_sees_no_difference(made, tmp_path, write_jsonl):
    file = write_jsonl("chunks.jsonl", [{"chunk_id": f"c{n}", "text": text} for n, text in enumerate(TEXTS)])
    embedder = opened(made.path)
    embed_files([file], tmp_path / "shards", embedder)
    load_collection([file], tmp_path / "shards", embedder, str(tmp_path / "store"), "books")
    client = open_client(tmp_path / "store")
    collection = client.get_collection("books", embedding_function=embedding_function(embedder))
    for name in NAMES:
        found = collection.query(query_texts=[f"What became of {name}'s oath?"], n_results=3)
        assert all(name in text for text in found["documents"][0])


def test_the_fingerprint_counts_lexicon_and_level_and_can_leave_them_out(made, tiny, tmp_path):
    dense = opened(tiny).fingerprint
    assert opened(made.path).fingerprint == made.fingerprint != dense
    assert opened(made.path, dense_only=True).fingerprint == dense
    seen = {made.fingerprint}
    for words in (
        Words(TEXTS, dimensions=128),
        Words(TEXTS, dimensions=256, share=0.3),
        Words(TEXTS[:-1], dimensions=256),
        Words(TEXTS, dimensions=256, distances="native"),
    ):
        seen.add(make_lexical_folder(tiny, tmp_path / "model", words, overwrite=True).fingerprint)
    assert len(seen) == 5


def test_dense_only_vectors_are_the_models(made, tiny):
    vectors = opened(made.path, dense_only=True).encode(TEXTS[:3], role="document")
    assert np.array_equal(vectors, opened(tiny).encode(TEXTS[:3], role="document"))


def test_the_same_again_is_not_made_twice_and_other_words_are_refused_or_move_it_aside(made, tiny, tmp_path):
    folder = shutil.copytree(made.path, tmp_path / "model")
    words = Words(TEXTS, dimensions=256)
    before = (folder / "lexicon.json").stat().st_mtime_ns
    again = make_lexical_folder(tiny, folder, words)
    assert (folder / "lexicon.json").stat().st_mtime_ns == before
    assert (again.fingerprint, again.levels) == (made.fingerprint, made.levels)
    other = Words(TEXTS, dimensions=128)
    with pytest.raises(ModelError, match="not empty"):
        make_lexical_folder(tiny, folder, other)
    assert opened(folder).dimension == opened(made.path).dimension
    assert make_lexical_folder(tiny, folder, other, overwrite=True).dimensions == 128
    assert (tmp_path / "model.old-1" / "lexicon.json").is_file()


def test_the_model_itself_is_no_output(tiny):
    for output in (tiny, tiny / "below"):
        with pytest.raises(ModelError, match="is the model itself"):
            make_lexical_folder(tiny, output, Words(TEXTS))


def test_a_folder_that_was_changed_since_is_not_taken_for_made(made, tiny, tmp_path):
    folder = shutil.copytree(made.path, tmp_path / "model")
    (folder / "level.json").unlink()
    with pytest.raises(ModelError, match="not empty"):
        make_lexical_folder(tiny, folder, Words(TEXTS, dimensions=256))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (Words(TEXTS, dimensions=0), SettingsError),
        (Words(TEXTS, share=2), SettingsError),
        (Words(["?!"] * 40), DataError),
        (Words(TEXTS[:3]), DataError),
    ],
)
def test_what_cant_be_leaves_no_folder_behind(tiny, tmp_path, words, error):
    with pytest.raises(error):
        make_lexical_folder(tiny, tmp_path / "model", words)
    assert not (tmp_path / "model").exists()


def test_questions_to_avoid_set_no_level(tiny, tmp_path):
    avoid = [f"Nobody answered {name} for {n} years." for n, name in enumerate(NAMES * 3)]
    avoid += [f"{name} walked the bared floor of the Thaul." for name in NAMES]
    with pytest.raises(DataError, match="too few"):
        make_lexical_folder(tiny, tmp_path / "model", Words(TEXTS, avoid=avoid))


def test_the_card_names_lexicon_base_and_level(made, tiny):
    card = json.loads((made.path / "dragon_finetune.json").read_text(encoding="utf-8"))
    assert card["base_model"] == str(tiny)
    assert card["lexicon"]["file"] == "lexicon.json"
    assert card["fingerprint"] == made.fingerprint
    assert set(card["lexicon"]["levels"]) == {"base", "native", "kept", "queries"}
    kept, base = card["lexicon"]["levels"]["kept"], card["lexicon"]["levels"]["base"]
    assert kept[0] == pytest.approx(base[0], abs=0.01)  # a random model: all is near
    assert "cosine" in str(made)


def test_a_damaged_lexicon_is_told_and_never_passed_over(made, tmp_path):
    folder = shutil.copytree(made.path, tmp_path / "model")
    (folder / "lexicon.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"lexicon\.json"):
        opened(folder).embed_query("who is Vorrim")
