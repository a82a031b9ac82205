"""Tiny random models of many families: each with as few positions as its config allows, tokens that are words."""

from pathlib import Path

POSITIONS = 40
WORDS = ["the", "tide", "lamp", "bell", "salt", "heron", "wick", "ledger", "oar", "keel", "rope", "stair"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
PLACES = {"max_position_embeddings": POSITIONS}
DECODER = {**SIZES, **PLACES, "num_key_value_heads": 1, "head_dim": 8}

# family -> (config's class, model's class, sizes, limit that is expected, whether one token more kills the model)
FAMILIES = {
    "bert": ("BertConfig", "BertModel", {**SIZES, **PLACES}, POSITIONS, True),
    "roberta": ("RobertaConfig", "RobertaModel", {**SIZES, **PLACES}, POSITIONS - 2, True),
    "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaModel", {**SIZES, **PLACES}, POSITIONS - 2, True),
    "camembert": ("CamembertConfig", "CamembertModel", {**SIZES, **PLACES}, POSITIONS - 2, True),
    "mpnet": ("MPNetConfig", "MPNetModel", {**SIZES, **PLACES}, POSITIONS - 2, True),
    "distilbert": (
        "DistilBertConfig",
        "DistilBertModel",
        {**PLACES, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
        POSITIONS,
        True,
    ),
    "electra": ("ElectraConfig", "ElectraModel", {**SIZES, **PLACES, "embedding_size": 16}, POSITIONS, True),
    "albert": ("AlbertConfig", "AlbertModel", {**SIZES, **PLACES, "embedding_size": 16}, POSITIONS, True),
    "gpt2": ("GPT2Config", "GPT2Model", {"n_positions": POSITIONS, "n_embd": 16, "n_layer": 2, "n_head": 2}, 40, True),
    "opt": (
        "OPTConfig",
        "OPTModel",
        {
            **PLACES,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "ffn_dim": 32,
            "word_embed_proj_dim": 16,
        },
        POSITIONS,
        True,
    ),
    "modernbert": (
        "ModernBertConfig",
        "ModernBertModel",
        {**SIZES, **PLACES, "bos_token_id": 0, "cls_token_id": 0, "eos_token_id": 2, "sep_token_id": 2},
        POSITIONS,
        False,
    ),
    "nomic_bert": ("NomicBertConfig", "NomicBertModel", {**SIZES, **PLACES}, POSITIONS, False),
    "qwen3": ("Qwen3Config", "Qwen3Model", DECODER, POSITIONS, False),
    "gemma3_text": ("Gemma3TextConfig", "Gemma3TextModel", DECODER, POSITIONS, False),
    # Relative positions only: no limit but the one that the tokenizer states.
    "t5": (
        "T5Config",
        "T5EncoderModel",
        {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
        None,
        False,
    ),
}


def words_tokenizer(**names):
    """Return a tokenizer whose tokens are words, numbered as RoBERTa numbers its special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", **names}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def save_plain(path: Path, family: str, tokenizer, seed: int = 0) -> Path:
    """Save a random transformers model of a family and its tokenizer."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config_class, model_class, sizes, _, _ = FAMILIES[family]
    ids = {"vocab_size": 4 + len(WORDS), "pad_token_id": 1}
    config = getattr(transformers, config_class)(**{**ids, **sizes})
    model = getattr(transformers, model_class)(config)
    with torch.no_grad():
        for weights in model.parameters():  # larger than at the start of a training, so that words tell
            weights.mul_(3)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def build_family(path: Path, family: str, *, seed: int = 0, max_seq_length: int | None = None, **names) -> Path:
    """Save a random sentence-transformers model of a family; `names` are the tokenizer's special tokens."""
    from sentence_transformers import SentenceTransformer

    modules = family_modules(path.with_name(path.name + "-plain"), family, seed=seed, **names)
    model = SentenceTransformer(modules=modules, device="cpu")
    if max_seq_length:
        model.max_seq_length = max_seq_length
    model.save_pretrained(str(path), create_model_card=False)
    return path


def family_modules(plain: Path, family: str, *, seed: int = 0, **names) -> list:
    """Return a Transformer and a Pooling of a random model of a family."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    return [Transformer(str(save_plain(plain, family, words_tokenizer(**names), seed))), Pooling(16)]


def old_layout(path: Path) -> Path:
    """Move a folder's first module into `0_Transformer`, as sentence-transformers did before 0.4."""
    import json

    inside = path / "0_Transformer"
    inside.mkdir()
    at_root = {"modules.json", "config_sentence_transformers.json", "README.md"}
    for file in [file for file in path.iterdir() if file.is_file() and file.name not in at_root]:
        file.rename(inside / file.name)
    modules = json.loads((path / "modules.json").read_text(encoding="utf-8"))
    modules[0]["path"] = "0_Transformer"
    (path / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    return path
