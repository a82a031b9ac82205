"""The sources of pairs that need no model, by name."""

import random
from collections.abc import Callable, Iterator

from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.entity_sources import alias, definition, mention
from dragon_finetune.pairs.passage_sources import cloze, crop, heading, keywords
from dragon_finetune.pairs.style import QueryStyle

HYBRID = "hybrid"
"""The source that labels by BM25 and the base together (`labelling`)."""
Source = Callable[[Corpus, random.Random, QueryStyle], Iterator[Pair]]
SOURCES: dict[str, Source] = {
    "cloze": cloze,
    "crop": crop,
    "heading": heading,
    "alias": alias,
    "definition": definition,
    "mention": mention,
    "keywords": keywords,
}
"""Sources of pairs that need no model, by name."""
