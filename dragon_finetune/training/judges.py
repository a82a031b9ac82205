"""Which pairs can judge a model: those whose queries nobody lifted from the passage that answers them.

A model that learns to match words does better on lifted queries and is no better: on a judged collection such a guard
said "better, p 0.001" of a run that had lost (docs/training.md).
"""

from collections.abc import Iterable, Sequence

from dragon_finetune.errors import DataError
from dragon_finetune.overlap import near_duplicates
from dragon_finetune.pair import GENERAL, Pair
from dragon_finetune.pairs.sources import LIFTED
from dragon_finetune.training.cleaning import clean_pairs
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.splitting import split_pairs


def can_judge(pair: Pair) -> bool:
    """Tell whether a pair's query was asked by somebody (or a language model), not made from the passage's words."""
    source = str(pair.metadata.get("source", ""))
    return source != GENERAL and source not in LIFTED


def set_apart(
    pairs: Sequence[Pair], judges: Sequence[Pair], config: TrainingConfig
) -> tuple[list[Pair], list[Pair], int]:
    """Return the pairs to train on, those that judge, and how many were left out because a judge asks nearly the same.

    Args:
        pairs: cleaned.
        judges: given for judging; without them pairs that can judge are held back.
        config: `validation_share`, `max_validation_queries`, `seed`.

    Raises:
        DataError: nothing can judge, and judging was not declined by `validation_share: 0`.
    """
    if judges:
        training = _not_asked_by(judges, pairs)
        return training, clean_pairs(judges)[0], len(pairs) - len(training)
    if not config.validation_share:
        return list(pairs), [], 0
    if not any(map(can_judge, pairs)):
        sources = ", ".join(sorted({str(pair.metadata.get("source")) for pair in pairs}))
        raise DataError(
            f"no query of these {len(pairs)} pairs can judge a model: all are words of the passages ({sources}), and "
            f"whoever learns to match words does better on them. {_WAYS_OUT}"
        )
    training, held_back = split_pairs(
        pairs, config.validation_share, config.seed, most=config.max_validation_queries, able=can_judge
    )
    if not held_back:
        raise DataError(f"no pair of {len(pairs)} can be held back to judge the model: they are too few. {_WAYS_OUT}")
    return training, held_back, 0


_WAYS_OUT = (
    "Give queries with their answers that are not trained on (judge: FILE, --judge FILE); or set validation_share to "
    "0, which trains and shows nothing; or train nothing, and join the corpus's words (`dragon-finetune lexicon`)."
)


def _not_asked_by(judges: Iterable[Pair], pairs: Sequence[Pair]) -> list[Pair]:
    asked, queries = list({pair.query for pair in judges}), list({pair.query for pair in pairs})
    near = {queries[each.left] for each in near_duplicates(queries, asked)} | set(asked)
    return [pair for pair in pairs if pair.query not in near]
