"""Which pairs can judge a model: those whose queries nobody lifted from the passage that answers them.

A model that learns to match words does better on lifted queries and is no better: on a judged collection such a guard
said "better, p 0.001" of a run that had lost (docs/training.md).
"""

from collections.abc import Iterable, Sequence

from dragon_finetune.errors import DataError, SettingsError
from dragon_finetune.overlap import near_duplicates
from dragon_finetune.pair import GENERAL, Pair
from dragon_finetune.pairs.sources import LIFTED
from dragon_finetune.processes import processes_together
from dragon_finetune.training.cleaning import clean_pairs
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.splitting import split_pairs

HELD_BACK_ENOUGH = 200
"""Pairs held back that judge well enough: with 40, gains of 0.02 to 0.03 were not told (docs/training.md)."""


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


def by_halves(pairs: Sequence[Pair], config: TrainingConfig) -> bool:
    """Tell whether each half of the pairs judges what was trained on the other.

    Raises:
        SettingsError: that was asked for, and can't be.
    """
    hindrances = {
        "judge names others that judge": config.judge is not None,
        "validation_share is 0": not config.validation_share,
        "several processes train": processes_together() > 1,
        "general_pairs mixes others in": config.general_pairs is not None,
        "source_weights leaves some out": bool(config.source_weights),
        "some pairs are words of their passages, and can't judge": not all(map(can_judge, pairs)),
    }
    hindered = [why for why, holds in hindrances.items() if holds]
    if config.halves and hindered:
        raise SettingsError(f"halves is true, but {hindered[0]}. Leave one of the two out.")
    few = config.validation_share * len(pairs) < HELD_BACK_ENOUGH
    return config.halves if config.halves is not None else few and not hindered


def halves_of(pairs: Sequence[Pair], config: TrainingConfig) -> tuple[list[Pair], ...]:
    """Return two halves that share no query, passage or document, as far as `split_pairs` can; (): no such halves.

    Each has a quarter of the pairs at least, and two queries, for one alone has nothing to be told apart from.

    Raises:
        SettingsError: there are none, and they were asked for.
    """
    halves = split_pairs(pairs, 0.5, config.seed)
    if all(len(half) >= len(pairs) / 4 and len({pair.query for pair in half}) > 1 for half in halves):
        return halves
    if config.halves:
        raise SettingsError(
            f"halves is true, but {len(pairs)} pairs fall into no two halves that share no query. Give more queries, "
            "or leave it out: some of the pairs are held back then."
        )
    return ()


_WAYS_OUT = (
    "Give queries with their answers that are not trained on (judge: FILE, --judge FILE); or set validation_share to "
    "0, which trains and shows nothing; or train nothing, and join the corpus's words (`dragon-finetune lexicon`)."
)


def _not_asked_by(judges: Iterable[Pair], pairs: Sequence[Pair]) -> list[Pair]:
    asked, queries = list({pair.query for pair in judges}), list({pair.query for pair in pairs})
    near = {queries[each.left] for each in near_duplicates(queries, asked)} | set(asked)
    return [pair for pair in pairs if pair.query not in near]
