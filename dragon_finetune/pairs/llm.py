"""Queries written by a language model on an Ollama server, kept only if they bring their passage back."""

import hashlib
import json
import random
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from dragon_finetune.errors import DragonFinetuneError, SettingsError
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.fusion import Lexical
from dragon_finetune.pairs.llm_server import ask_server

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
        timeout: seconds per answer, from the first byte asked to the last one read.
        seed: sent along, and of the order.

    Raises:
        SettingsError: `url` is no address of a server.
    """

    model: str
    memory: Path
    url: str = "http://localhost:11434"
    top_k: int = 10
    words: int = 12
    timeout: float = 120
    seed: int = 42

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            whole = False
        if not whole:
            raise SettingsError(f"the server's address is {self.url!r}; it is like http://localhost:11434.")


def ask_for_queries(corpus: Corpus, settings: LlmSettings) -> Iterator[Pair]:
    """Yield a pair per passage whose query the server wrote and by which BM25 finds the passage again.

    Raises:
        DragonFinetuneError: the server can't be reached, or answers wrongly three times; what it wrote is kept.
    """
    known = _remembered(settings.memory)
    order = list(range(len(corpus.passages)))
    random.Random(settings.seed).shuffle(order)
    lexical = Lexical([passage.text for passage in corpus.passages])
    settings.memory.parent.mkdir(parents=True, exist_ok=True)
    with settings.memory.open("a", encoding="utf-8", newline="\n") as memory:
        for place in tqdm(order, desc="queries", unit="passage", disable=None):
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
    known: dict[str, str] = {}
    damaged = []
    with memory.open("r+b") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):  # cut short by a kill; what is written next must begin a line
                lines.seek(-len(line), 2)
                lines.truncate()
                break
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                known[str(record["key"])] = record["query"] + ""
            except (ValueError, TypeError, KeyError, RecursionError):
                damaged.append(number)
    if damaged:
        warnings.warn(
            f"{memory}: {len(damaged)} damaged lines (the first is line {damaged[0]}) are passed over; their passages "
            "are asked about again.",
            stacklevel=2,
        )
    return known


def _ask(passage: Passage, settings: LlmSettings) -> str:
    body = {
        "model": settings.model,
        "prompt": PROMPT.format(words=settings.words, text=passage.text),
        "stream": False,
        "think": False,  # a thinking model's thoughts are no query
        "options": {"seed": settings.seed, "temperature": 0.7},
    }
    trouble: Exception | None = None
    for _ in range(_TRIES):
        try:
            return cleaned(ask_server(f"{settings.url.rstrip('/')}/api/generate", body, settings.timeout))
        except (OSError, ValueError) as error:
            trouble = error
    raise DragonFinetuneError(
        f"{settings.url} gave no answer for chunk {passage.id} ({trouble}). Start Ollama, check its address and the "
        f"model's name ({settings.model}), and run the same command again: what it wrote is kept in {settings.memory}."
    )


def cleaned(answer: str) -> str:
    """Return the first line of an answer without a model's thinking, quotation marks and numbering; "" of prose."""
    # A server may pass on the thoughts of a model with either tag cut off; of unclosed ones nothing is an answer.
    visible = answer.rpartition("</think>")[2].partition("<think>")[0].strip()
    line = visible.split("\n", 1)[0].strip()
    line = re.sub(r"^(?:\d+[.)]|[-*]|question:)\s*", "", line, flags=re.IGNORECASE).strip("\"'“”* ")
    return line if len(line) <= _LONGEST_ANSWER else ""
