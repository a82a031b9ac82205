"""The sources of pairs that need no model, by name."""

import random
from collections.abc import Callable, Iterator

from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.entity_sources import mention
from dragon_finetune.pairs.passage_sources import keywords
from dragon_finetune.pairs.style import QueryStyle

HYBRID = "hybrid"
"""The source that labels by BM25 and the base together (`labelling`)."""
Source = Callable[[Corpus, random.Random, QueryStyle], Iterator[Pair]]
SOURCES: dict[str, Source] = {"mention": mention, "keywords": keywords}
"""Sources of pairs that need no model, by name."""
TAKEN_OUT = ("cloze", "crop", "heading", "alias", "definition")
"""Sources that were, and made retrieval worse on judged queries or were never shown to help (docs/pairs.md)."""
LIFTED = frozenset({HYBRID, *SOURCES, *TAKEN_OUT})
"""Sources whose queries are words of the passages, so that they can't judge a model."""
