"""Groups are put together of the parts that workers made, in their order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.index.distributed.group import Group


def part(number: int, rows: int, whole: bool, engine: str = "openvino-fp32") -> Group:
    keys = [f"{number}-{row}".encode() for row in range(rows)]
    vectors = np.full((rows, 2), number, dtype=np.float32)
    return Group([], keys, vectors, engine, [f"said of {number % 2}"], whole, rows if whole else 0, 0)


@given(groups=st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), max_size=5))
def test_nothing_is_lost_and_nothing_changes_places(groups):
    numbers = iter(range(99))
    parts = [[part(next(numbers), rows, at == len(group) - 1) for at, rows in enumerate(group)] for group in groups]
    made = list(Group.together(each for group in parts for each in group))
    assert len(made) == len(groups)
    for group, one in zip(parts, made, strict=True):
        assert one.keys == [key for each in group for key in each.keys]
        assert one.vectors.tolist() == [row for each in group for row in each.vectors.tolist()]
        assert one.read == group[-1].read
        assert sorted(one.said) == sorted({said for each in group for said in each.said})


def test_a_shard_that_is_partly_bf16_says_so():
    (made,) = Group.together([part(0, 2, False, "openvino-bf16"), part(1, 2, True)])
    assert made.precision == "bf16"
