"""The tokenizer of a model as llama.cpp's "bert" tokenizer has to know it."""

import json
from dataclasses import dataclass
from typing import Any

from dragon_finetune.errors import ModelError
from dragon_finetune.export.source import Source

_PIECE, _START = "##", "\u2581"  # what goes on a word in WordPiece; what begins one in llama.cpp
_IDS = {"unk_token": "unk", "sep_token": "sep", "pad_token": "pad", "mask_token": "mask"}


@dataclass(frozen=True)
class WordPiece:
    """A WordPiece vocabulary.

    Attributes:
        tokens: by id, in WordPiece's own spelling; None: an id that stands for nothing.
        special: which of them are no text.
        ids: ids of "bos", "eos" and, where the model has them, "unk", "sep", "pad", "mask".
        lowercase, strip_accents: what is done to a text first.
    """

    tokens: list[str | None]
    special: frozenset[str]
    ids: dict[str, int]
    lowercase: bool
    strip_accents: bool

    def spelt_for_llama(self) -> list[str]:
        """Return the tokens as llama.cpp spells them, by id."""
        return [self._spelt(number, token) for number, token in enumerate(self.tokens)]

    def _spelt(self, number: int, token: str | None) -> str:
        if token is None:
            return f"[PAD{number}]"
        if token in self.special:
            return token
        return token[len(_PIECE) :] if token.startswith(_PIECE) else _START + token


def read_wordpiece(source: Source) -> WordPiece:
    """Return the vocabulary of a BERT tokenizer.

    Raises:
        ModelError: another kind of tokenizer, or one that prepares texts as llama.cpp can't.
    """
    backend = getattr(source.tokenizer, "backend_tokenizer", None)
    said: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {}
    kind = (said.get("model") or {}).get("type", type(source.tokenizer).__name__)
    if kind != "WordPiece" or said["model"].get("continuing_subword_prefix") != _PIECE:
        raise _refused(source, f"tokenizer is {kind}")
    bert = _bert_normalizer(said.get("normalizer"))
    if bert is None or (said.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        raise _refused(source, "tokenizer prepares texts in another way than BERT's")
    vocabulary = said["model"]["vocab"] | {each["content"]: each["id"] for each in said["added_tokens"]}
    size = max(source.body.config.vocab_size, 1 + max(vocabulary.values()))
    spelt = {number: token for token, number in vocabulary.items()}
    lowercase = bool(bert["lowercase"])
    strip = bert.get("strip_accents")
    return WordPiece(
        tokens=[spelt.get(number) for number in range(size)],
        special=frozenset(each["content"] for each in said["added_tokens"] if each["special"]),
        ids=_ids(source),
        lowercase=lowercase,
        strip_accents=lowercase if strip is None else bool(strip),
    )


def _bert_normalizer(normalizer: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return BERT's normalizer, lower-casing included that sentence-transformers put before it; None: another one."""
    steps = (normalizer or {}).get("normalizers", [normalizer or {}])
    *before, last = steps
    plain = last.get("type") == "BertNormalizer" and last["clean_text"] and last["handle_chinese_chars"]
    if not plain or any(step.get("type") != "Lowercase" for step in before):
        return None
    # Accents go with the lower case of BERT's own normalizer, not with one that was put before it.
    strip = last["lowercase"] if last["strip_accents"] is None else last["strip_accents"]
    return {**last, "lowercase": last["lowercase"] or bool(before), "strip_accents": strip}


def _ids(source: Source) -> dict[str, int]:
    """Return the ids of the special tokens, as a text truly gets them."""
    encoded = source.tokenizer("a", truncation=False)["input_ids"]
    first, last = encoded[0], encoded[-1]
    if len(encoded) < 3 or last != source.tokenizer.sep_token_id:
        raise _refused(source, "tokenizer does not put [CLS] before and [SEP] behind a text")
    named = {short: getattr(source.tokenizer, f"{name}_id") for name, short in _IDS.items()}
    return {"bos": first, "eos": last, **{name: number for name, number in named.items() if number is not None}}


def _refused(source: Source, why: str) -> ModelError:
    return ModelError(
        f"{source.folder.path}: its {why}; GGUF is written here for BERT's WordPiece only, for llama.cpp would split "
        "texts otherwise. Export it --to onnx or openvino, which keep its own tokenizer."
    )
