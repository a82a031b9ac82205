"""Exact token counts: what the model will see, special tokens and prompt included, never truncated."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from dragon_finetune.model_folder import ModelFolder, Prompts, Role
from dragon_finetune.text import check_text
from dragon_finetune.tokens.unknown import Unknown, UnknownFinder
from dragon_finetune.tokens.word_counts import WordCounts

# One call of the Rust tokenizer: enough to use all cores, little enough to stream (a token costs some 150 bytes there).
_BLOCK_TEXTS, _BLOCK_CHARS = 512, 1 << 20


class TokenCounter:
    """Counts tokens as the model will see them.

    Args:
        model_or_tokenizer: a model (folder, hub name, "embedded", ModelFolder), or a transformers or tokenizers
            tokenizer, which is copied: truncation and padding switched on in it change nothing, here or there.
        prompt: the role whose prompt is counted with each text; None counts the text alone.
        prompts: the prompts of a bare tokenizer, or a replacement for the model's own.

    Attributes:
        limit: the model's limit in tokens, or None where there is none (a bare tokenizer).
        prompt: the prompt's text.
        overhead: tokens of special tokens and prompt: what an empty text would cost.
        additive: whether the counts of parts cut at white space are known to add up to the count of the whole.
    """

    def __init__(
        self,
        model_or_tokenizer: "str | Path | ModelFolder | Any",
        *,
        prompt: Role | None = "document",
        prompts: Prompts | None = None,
    ) -> None:
        self.limit: int | None = None
        if isinstance(model_or_tokenizer, (str, Path, ModelFolder)):
            folder = ModelFolder.open(model_or_tokenizer)
            tokenizer, self.limit, prompts = folder.load_tokenizer(prompt), folder.limit, prompts or folder.prompts
        else:
            tokenizer = model_or_tokenizer
        self.prompt = (prompts or Prompts()).of(prompt)
        backend = tokenizer if isinstance(tokenizer, Tokenizer) else getattr(tokenizer, "backend_tokenizer", None)
        self._slow = tokenizer if backend is None else None
        self._fast = _unbounded(backend) if backend is not None else None
        self._words = WordCounts(self._fast) if self._fast is not None and _adds_up(self._fast) else None
        self.additive = self._words is not None and (self.prompt or " ")[-1].isspace()
        self.overhead = self._overhead()

    def count(self, text: str) -> int:
        """Return the number of tokens of one text."""
        return next(self.counts([text]))

    def counts(self, texts: Iterable[str], *, where: str = "text") -> Iterator[int]:
        """Yield the number of tokens of each text, in order, holding only a few hundred texts at a time.

        Args:
            texts: any iterable; it may be longer than memory.
            where: what to call an item in an error ("chunk" gives "chunk 7").

        Raises:
            DataError: an item is not a string or is empty; names its position, from 0.
        """
        numbered = ((check_text(text, f"{where} {index}")) for index, text in enumerate(texts))
        for block in _blocks_of(numbered):
            yield from self.full_counts(block)

    def counts_and_unknown(self, texts: Iterable[str]) -> Iterator[tuple[int, Unknown | None]]:
        """Yield of each text, in order, the number of tokens and what is unknown of it, if anything is; unchecked."""
        if self._fast is None:  # a tokenizer in Python says nothing of where its tokens stand
            yield from ((count, None) for block in _blocks_of(texts) for count in self.full_counts(block))
            return
        finder = UnknownFinder(self._fast, self.prompt)
        for block in _blocks_of(texts):
            encodings = self._fast.encode_batch_fast([self.prompt + text for text in block])
            yield from zip(map(len, encodings), finder.find(block, encodings), strict=True)

    def bare_counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text without special tokens and prompt."""
        if self._words is not None:
            return self._words.of(texts)
        if self._fast is not None:
            return [len(encoding) for encoding in self._fast.encode_batch_fast(texts, add_special_tokens=False)]
        assert self._slow is not None
        encoded = self._slow(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def _overhead(self) -> int:
        tokenizer: Any = self._fast or self._slow
        prompt = self.bare_counts([self.prompt])[0] if self.prompt else 0
        return int(tokenizer.num_special_tokens_to_add(False)) + prompt

    def full_counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, all at once and unchecked."""
        if self.additive:
            return [count + self.overhead for count in self.bare_counts(texts)]
        prompted = [self.prompt + text for text in texts]
        if self._fast is not None:
            return [len(encoding) for encoding in self._fast.encode_batch_fast(prompted)]
        assert self._slow is not None
        return [len(ids) for ids in self._slow(prompted, truncation=False, verbose=False)["input_ids"]]


def _blocks_of(texts: Iterable[str]) -> Iterator[list[str]]:
    return blocks(texts, _BLOCK_TEXTS, _BLOCK_CHARS)


def blocks(texts: Iterable[str], max_texts: int, max_chars: int) -> Iterator[list[str]]:
    """Yield the texts in lists that end once they hold so many texts or so many characters."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text)
        if len(block) >= max_texts or size >= max_chars:
            yield block
            block, size = [], 0
    if block:
        yield block


def _unbounded(tokenizer: Tokenizer) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def _adds_up(tokenizer: Tokenizer) -> bool:
    """Tell whether tokens never depend on anything beyond white space around a word.

    So it is with BERT's pre-tokenizer, which drops white space and divides at punctuation, and WordPiece, which sees
    one word at a time; unless an added token holds white space itself. Other families are not proven: a word at the
    start of a text may cost more or less than the same word after a space.
    """
    parts = json.loads(tokenizer.to_str())
    normalizer = parts["normalizer"] or {"type": "BertNormalizer"}
    steps = normalizer.get("normalizers", [normalizer])
    return (
        parts["model"]["type"] == "WordPiece"
        and (parts["pre_tokenizer"] or {}).get("type") == "BertPreTokenizer"
        and all(step["type"] in ("BertNormalizer", "Lowercase") for step in steps)
        and not any(any(map(str.isspace, token["content"])) for token in parts["added_tokens"])
    )
