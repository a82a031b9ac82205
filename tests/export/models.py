"""Tiny random models for exports: BERT and nomic-bert with WordPiece tokenizers, pooled in one way or another."""

from pathlib import Path

WORDS = "the tide lamp bell salt heron wick ledger oar keel rope stair tarrow ##in thaul é café Zürich zurich".split()
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,?!“”—«»'éü日本"


def wordpiece(*, lowercase: bool = True):
    """Return a tokenizer over words, and over single characters on and in words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizer

    pieces = [piece for each in CHARACTERS for piece in (each, f"##{each}")]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*WORDS, *pieces])]
    tokenizer = Tokenizer(models.WordPiece({token: n for n, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return BertTokenizer(tokenizer_object=tokenizer, do_lower_case=lowercase, model_max_length=64)


def build(
    path: Path, family: str = "Bert", *, pooling: str = "mean", lowercase: bool = True, more: tuple = (), **prompts: str
) -> Path:
    """Save a random model; `more` modules come behind the pooling."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(0)
    tokenizer = wordpiece(lowercase=lowercase)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    # More rows than tokens, as nomic-embed-text has them.
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(tokenizer) + 3, max_position_embeddings=96, pad_token_id=0, **sizes
    )
    body = getattr(transformers, f"{family}Model")(config)
    with torch.no_grad():
        for weights in body.parameters():  # larger than at the start of a training, so that words tell
            weights.mul_(4 if weights.dim() > 1 else 1)
    plain = path.with_name(path.name + "-plain")
    body.save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    modules = [Transformer(str(plain)), Pooling(64, pooling), *more]
    model = SentenceTransformer(modules=modules, prompts=prompts or None, device="cpu")
    model.max_seq_length = 64
    model.save_pretrained(str(path), create_model_card=False)
    return path
