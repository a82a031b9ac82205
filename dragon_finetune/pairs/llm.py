"""Queries written by a language model on an Ollama server, kept only if they bring their passage back."""

import hashlib
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.errors import DataError, DragonFinetuneError
from dragon_finetune.files import read_jsonl
from dragon_finetune.locks import held
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.fusion import Lexical
from dragon_finetune.pairs.ollama import generate
from dragon_finetune.progress import progress

PROMPT = (
    "Write one question of at most {words} words that a reader of these books might ask and that the following passage "
    "answers. Do not copy its wording, name who or what is meant, and write nothing but the question.\n\n{text}"
)
_LONGEST_ANSWER = 300  # characters
_TRIES = 3


@dataclass(frozen=True)
class LlmSettings:
    """Where and how to ask.

    Attributes:
        url: of the server; Ollama's own default.
        model: its name for the model.
        memory: file in which answers are kept, so that no passage is asked about twice, also after a kill.
        top_k: a query is kept if BM25 finds its passage among so many.
        words: length asked for.
        timeout: seconds per answer.
        seed: sent along, and of the order.
    """

    model: str
    memory: Path
    url: str = "http://localhost:11434"
    top_k: int = 10
    words: int = 12
    timeout: float = 120
    seed: int = 42


def ask_for_queries(corpus: Corpus, settings: LlmSettings) -> Iterator[Pair]:
    """Yield a pair per passage whose query the server wrote and by which BM25 finds the passage again.

    Raises:
        DragonFinetuneError: the server can't be reached, or answers wrongly three times; what it wrote is kept.
    """
    order = list(range(len(corpus.passages)))
    random.Random(settings.seed).shuffle(order)
    settings.memory.parent.mkdir(parents=True, exist_ok=True)
    with held(settings.memory, wait=True):
        yield from _ask_for_all(corpus, settings, order)


def _ask_for_all(corpus: Corpus, settings: LlmSettings, order: list[int]) -> Iterator[Pair]:
    known = _remembered(settings.memory)
    lexical = Lexical([passage.text for passage in corpus.passages])
    with settings.memory.open("a", encoding="utf-8", newline="\n") as memory:
        for place in progress(order, desc="queries", unit="passage"):
            passage = corpus.passages[place]
            key = _key(passage, settings)
            if key not in known:
                known[key] = _ask(passage, settings)
                memory.write(json.dumps({"key": key, "query": known[key]}, ensure_ascii=False) + "\n")
                memory.flush()
            query = known[key]
            if query and place in lexical.best(query, settings.top_k):
                metadata = {"source": "llm", "positive_chunk_id": passage.id, "page": passage.page}
                yield Pair(query, passage.text, (), metadata)


def _key(passage: Passage, settings: LlmSettings) -> str:
    asked = json.dumps([settings.model, settings.words, settings.seed, PROMPT, passage.text])
    return hashlib.blake2b(asked.encode(), digest_size=16).hexdigest()


def _remembered(memory: Path) -> dict[str, str]:
    if not memory.is_file():
        return {}
    # A kill may have cut the last line short; that passage is asked about again.
    lines = memory.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        memory.write_bytes(b"".join(lines[:-1]))
    known = {}
    for number, record in read_jsonl(memory):
        if not isinstance(record.get("key"), str) or not isinstance(record.get("query"), str):
            raise DataError(f"{memory}, line {number}: expected a key and a query. Delete the line.")
        known[record["key"]] = record["query"]
    return known


def _ask(passage: Passage, settings: LlmSettings) -> str:
    body = {
        "model": settings.model,
        "prompt": PROMPT.format(words=settings.words, text=passage.text),
        "stream": False,
        "think": False,  # a thinking model's thoughts are no query
        "options": {"seed": settings.seed, "temperature": 0.7},
    }
    trouble: DataError | None = None
    for _ in range(_TRIES):
        try:
            return cleaned(generate(settings.url, body, settings.timeout))
        except DataError as error:
            trouble = error
    raise DragonFinetuneError(
        f"{settings.url} gave no answer for chunk {passage.id} ({trouble}). Start Ollama, check the model's name "
        f"({settings.model}), and run the same command again: what it wrote is kept in {settings.memory}."
    )


def cleaned(answer: str) -> str:
    """Return the first line of an answer without a model's thinking, quotation marks and numbering; "" of prose."""
    # A server may pass on the thoughts of a model with either tag cut off; of unclosed ones nothing is an answer.
    visible = answer.rpartition("</think>")[2].partition("<think>")[0].strip()
    line = visible.split("\n", 1)[0].strip()
    line = re.sub(r"^(?:\d+[.)]|[-*]|question:)\s*", "", line, flags=re.IGNORECASE).strip("\"'“”* ")
    return line if len(line) <= _LONGEST_ANSWER else ""
