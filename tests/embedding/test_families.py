"""The limit is the model's own: a text of exactly so many tokens is embedded whole, one token more is refused."""

import json

import numpy as np
import pytest
from model_families import FAMILIES, POSITIONS, WORDS, build_family, old_layout

from dragon_finetune import FineTunedEmbedder, TokenChunker, TokenCounter, audit_tokens
from dragon_finetune.errors import ModelError, SettingsError, TokenLimitError
from dragon_finetune.model_folder import ModelFolder


@pytest.fixture(scope="module")
def family_model(tmp_path_factory):
    root, built = tmp_path_factory.mktemp("families"), {}

    def model(family):
        if family not in built:
            limit = FAMILIES[family][3]
            built[family] = build_family(root / family, family, max_seq_length=None if limit else POSITIONS)
        return built[family]

    return model


def text_of(tokens, counter):
    text = " ".join(WORDS[n % len(WORDS)] for n in range(tokens - counter.overhead))
    assert counter.count(text) == tokens
    return text


def whole(model, texts):
    """Return what sentence-transformers makes of texts that it may not cut."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(model), device="cpu", local_files_only=True)
    plain.max_seq_length = 10_000
    return plain.encode(texts, normalize_embeddings=True)


def embedder(model, **options):
    return FineTunedEmbedder(model, device="cpu", precision="fp32", **{"engine": "torch", **options})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_text_of_the_limit_is_embedded_whole_and_one_token_more_is_refused(family, family_model):
    model = family_model(family)
    *_, expected, dies = FAMILIES[family]
    limit = ModelFolder.open(model).limit
    assert limit == (expected or POSITIONS)
    counter = TokenCounter(model)
    longest, longer = text_of(limit, counter), text_of(limit + 1, counter)
    np.testing.assert_allclose(
        embedder(model).encode([longest, "the tide"], role="document"), whole(model, [longest, "the tide"]), atol=1e-5
    )
    with pytest.raises(TokenLimitError, match=f"limit of {limit} tokens"):
        embedder(model).embed_documents([longer])
    assert audit_tokens([longest, longer], model).over_limit == 1
    if dies:  # the limit is not lower than it must be
        with pytest.raises((IndexError, RuntimeError)):
            whole(model, [longer])


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize("stated", [POSITIONS, 10_000])
def test_a_stated_limit_beyond_the_positions_is_lowered_to_them(family, stated, tmp_path):
    model = build_family(tmp_path / family, family, max_seq_length=stated)
    (model / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": stated}), encoding="utf-8")
    limit = ModelFolder.open(model).limit
    assert limit == FAMILIES[family][3]
    embedder(model).embed_documents([text_of(limit, TokenCounter(model))])


def test_a_stated_limit_beyond_rotary_positions_is_the_makers_business(tmp_path):
    model = build_family(tmp_path / "nomic", "nomic_bert", max_seq_length=2 * POSITIONS)
    (model / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 2 * POSITIONS}), encoding="utf-8")
    text = text_of(2 * POSITIONS, TokenCounter(model))
    np.testing.assert_allclose(embedder(model).encode([text], role="document"), whole(model, [text]), atol=1e-5)


def test_a_limit_asked_for_beyond_the_positions_is_refused(family_model):
    with pytest.raises(SettingsError, match=f"max_seq_length is {POSITIONS}, .* positions for {POSITIONS - 2}"):
        ModelFolder.open(family_model("roberta"), max_seq_length=POSITIONS)


@pytest.mark.parametrize("family", ["bert", "roberta", "t5"])
@pytest.mark.parametrize("settings", ["sentence_bert_config.json", "sentence_roberta_config.json"])
def test_the_old_layout_is_read_as_the_new_one(family, settings, tmp_path):
    stated = {"max_seq_length": 24, "do_lower_case": True}
    model = old_layout(build_family(tmp_path / family, family))
    (model / "0_Transformer" / "sentence_bert_config.json").unlink()
    (model / "0_Transformer" / settings).write_text(json.dumps(stated), encoding="utf-8")
    assert ModelFolder.open(model).limit == 24
    counter = TokenCounter(model)
    longest = text_of(24, counter)
    assert audit_tokens([longest + " the"], model).over_limit == 1
    assert {chunk.tokens <= 24 for chunk in TokenChunker(model).chunk("the tide. " * 60)} == {True}
    upper = [longest.upper(), "THE tide"]
    np.testing.assert_allclose(embedder(model).encode(upper, role="document"), whole(model, upper), atol=1e-5)
    with pytest.raises(TokenLimitError):
        embedder(model).embed_documents([longest + " the"])


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_tokenizer_without_padding_pads_with_another_token(engine, tmp_path):
    padded = build_family(tmp_path / "padded", "gpt2")
    bare = build_family(tmp_path / "bare", "gpt2", pad_token=None)
    texts = ["the tide", "salt heron wick ledger oar", "the"]
    np.testing.assert_allclose(
        embedder(bare, engine=engine).encode(texts, role="document"), whole(padded, texts), atol=1e-4
    )


def test_a_tokenizer_with_nothing_to_pad_with_is_refused_when_it_is_opened(tmp_path):
    model = build_family(tmp_path / "bare", "gpt2", pad_token=None, unk_token=None, bos_token=None, eos_token=None)
    with pytest.raises(ModelError, match=r"no padding token.*Set pad_token in tokenizer_config"):
        embedder(model).embed_documents(["the tide"])


def test_a_model_of_the_old_layout_is_trained(tmp_path):
    from conftest import make_pairs

    from dragon_finetune import FineTuner, TrainingConfig

    model = old_layout(build_family(tmp_path / "base", "roberta"))
    config = TrainingConfig(base_model=model, output_dir=tmp_path / "tuned", max_steps=2, device="cpu", halves=False)
    tuned = ModelFolder.open(FineTuner(config).train(make_pairs(20)).path)
    assert tuned.limit == ModelFolder.open(model).limit == POSITIONS - 2
