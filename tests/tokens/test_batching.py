import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import TokenBatcher
from dragon_finetune.errors import SettingsError

LENGTHS = st.lists(st.integers(0, 600), max_size=80)


@given(lengths=LENGTHS, budget=st.integers(1, 2000), rows=st.one_of(st.none(), st.integers(1, 20)))
def test_every_index_once_within_budget(lengths, budget, rows):
    batches = TokenBatcher(budget, rows).batches(lengths)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        padded = len(batch) * max(lengths[index] for index in batch)
        assert padded <= budget or len(batch) == 1
        assert rows is None or len(batch) <= rows
    assert batches.real_tokens == sum(lengths)
    assert batches.padded_tokens == sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    assert TokenBatcher(budget, rows).batches(lengths) == batches


@given(lengths=LENGTHS, budget=st.integers(1, 2000))
def test_undo_restores_the_order(lengths, budget):
    batches = TokenBatcher(budget).batches(lengths)
    results = [(index, lengths[index]) for batch in batches for index in batch]
    assert batches.undo(results) == list(enumerate(lengths))


def partitions(items):
    if not items:
        yield []
        return
    for rest in partitions(items[1:]):
        yield [[items[0]], *rest]
        for position in range(len(rest)):
            yield [*rest[:position], [items[0], *rest[position]], *rest[position + 1 :]]


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=7), budget=st.integers(1, 40))
def test_no_grouping_has_fewer_batches_or_the_same_number_with_less_padding(lengths, budget):
    allowed = [
        (len(groups), sum(len(group) * max(group) for group in groups))
        for groups in partitions(lengths)
        if all(len(group) * max(group) <= budget or len(group) == 1 for group in groups)
    ]
    batches = TokenBatcher(budget).batches(lengths)
    assert (len(batches), batches.padded_tokens) == min(allowed)


@pytest.mark.parametrize("limits", [(0, None), (5, 0)])
def test_limits_below_one_are_refused(limits):
    with pytest.raises(SettingsError, match="at least 1"):
        TokenBatcher(*limits)


def test_wrong_input_is_named():
    with pytest.raises(SettingsError, match="length -1 of row 1"):
        TokenBatcher(10).batches([1, -1])
    with pytest.raises(SettingsError, match="1 results for 2 rows"):
        TokenBatcher(10).batches([1, 2]).undo(["x"])
