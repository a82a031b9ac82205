"""Limits of ten families of models: a text of exactly the limit is embedded whole, one token more is refused."""

import json
import shutil

import numpy as np
import pytest
from conftest import tokenizer_of

from dragon_finetune import FineTunedEmbedder, TokenCounter
from dragon_finetune.errors import TokenLimitError
from dragon_finetune.model_folder import ModelFolder

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
POSITIONS = {"max_position_embeddings": 40}
FAMILIES = {
    "bert": {**SMALL, **POSITIONS},
    "roberta": {**SMALL, **POSITIONS},
    "xlm-roberta": {**SMALL, **POSITIONS},
    "camembert": {**SMALL, **POSITIONS},
    "mpnet": {**SMALL, **POSITIONS},
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, **POSITIONS},
    "electra": {**SMALL, **POSITIONS, "embedding_size": 32},
    "albert": {**SMALL, **POSITIONS, "embedding_size": 16},
    "nomic_bert": {**SMALL, **POSITIONS},
    "modernbert": {**SMALL, **POSITIONS},
    "qwen3": {**SMALL, **POSITIONS, "num_key_value_heads": 2, "head_dim": 16},
}
RESERVING = {"roberta", "xlm-roberta", "camembert", "mpnet"}  # their first positions are the padding's


def build(path, family, **settings):
    """Save a random model whose tokenizer has no limit of its own."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    tokenizer = tokenizer_of("byte_bpe")
    tokenizer.model_max_length = 10**30
    pad = {"pad_token_id": 1 if family in RESERVING else tokenizer.pad_token_id}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **pad, **FAMILIES[family], **settings)
    plain = path.with_name(path.name + "-plain")
    AutoModel.from_config(config).save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    model = SentenceTransformer(modules=[Transformer(str(plain)), Pooling(32), Normalize()], device="cpu")
    model.save_pretrained(str(path), create_model_card=False)
    return path


def text_of(tokens, counter):
    """Return a text of so many tokens, special tokens included."""
    words = ["salt"]
    while counter.counts_of([" ".join(words)])[0] < tokens:
        words.append("salt" if counter.counts_of([" ".join([*words, "salt"])])[0] <= tokens else "s")
    return " ".join(words)


class Counter:
    def __init__(self, folder):
        self._counter = TokenCounter(ModelFolder.open(folder))

    def counts_of(self, texts):
        return list(self._counter.counts(texts))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {family: build(root / family, family) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_of_exactly_the_limit_is_embedded_whole_and_one_token_more_refused(models, family):
    from sentence_transformers import SentenceTransformer

    folder = ModelFolder.open(models[family])
    assert folder.limit == (38 if family in RESERVING else 40)
    exact, longer = (text_of(folder.limit + more, Counter(models[family])) for more in (0, 1))
    embedder = FineTunedEmbedder(models[family], device="cpu", precision="fp32", engine="torch")
    plain = SentenceTransformer(str(models[family]), device="cpu")
    plain.max_seq_length = folder.limit
    expected = plain.encode([exact], normalize_embeddings=True)
    np.testing.assert_allclose(embedder.encode([exact], role="document"), expected, atol=1e-5)
    # The last word counts: nothing was cut.
    shorter = embedder.encode([exact.rpartition(" ")[0]], role="document")
    assert not np.allclose(shorter, expected, atol=1e-5)
    with pytest.raises(TokenLimitError):
        embedder.encode([longer], role="document")


def test_a_saved_limit_beyond_the_positions_is_capped(models, tmp_path):
    folder = shutil.copytree(models["roberta"], tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": 512}), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 514}), encoding="utf-8")
    assert ModelFolder.open(folder).limit == 38


@pytest.fixture
def old_layout(tiny, tmp_path):
    """Return a model as sentence-transformers 1 saved it: the transformer in a folder of its own."""
    folder = shutil.copytree(tiny, tmp_path / "old")
    inner = folder / "0_Transformer"
    inner.mkdir()
    for file in [*folder.glob("*.safetensors"), *folder.glob("tokenizer*"), *folder.glob("special*")]:
        shutil.move(file, inner / file.name)
    shutil.move(folder / "config.json", inner / "config.json")
    (folder / "sentence_bert_config.json").unlink()
    (inner / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 64}), encoding="utf-8")
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[0] |= {"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    return folder


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_the_old_layout_has_the_same_limit_and_the_same_vectors(old_layout, tiny):
    assert ModelFolder.open(old_layout).limit == ModelFolder.open(tiny).limit == 64
    texts = ["who lit the lamp", "Iron Jorun lit the lamp of the Oriel."]
    one, two = (
        FineTunedEmbedder(model, device="cpu", precision="fp32", engine="torch").encode(texts, role="document")
        for model in (old_layout, tiny)
    )
    np.testing.assert_allclose(one, two, atol=1e-6)
    with pytest.raises(TokenLimitError):
        FineTunedEmbedder(old_layout, device="cpu").encode(["salt " * 400], role="document")


def test_an_old_layout_without_a_tokenizer_is_refused(old_layout):
    for file in (old_layout / "0_Transformer").glob("tokenizer*"):
        file.unlink()
    with pytest.raises(Exception, match="no tokenizer"):
        ModelFolder.open(old_layout)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_tokenizer_without_a_pad_token_embeds_as_alone(tiny, tmp_path, engine):
    folder = shutil.copytree(tiny, tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    config.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    backend = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**backend, "padding": None}), encoding="utf-8")
    embedder = FineTunedEmbedder(folder, device="cpu", precision="fp32", engine=engine)
    texts = ["who lit the lamp", "Iron Jorun lit the lamp of the Oriel when the tide went out."]
    together = embedder.encode(texts, role="document")
    alone = np.concatenate([embedder.encode([text], role="document") for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
