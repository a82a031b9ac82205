"""Requests that come together: each gets its own vectors, none waits for another's hundred texts, none is lost."""

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.serve.gathering import Gatherer, Item
from dragon_finetune.serve.request_error import RequestError


class Recording:
    """Embeds a text as its number and its role; keeps what was embedded together."""

    dimension = 2

    def __init__(self):
        self.rounds = []

    def encode(self, texts, *, role, on_overflow):
        if "bad" in texts:
            raise ValueError("bad")
        self.rounds.append(list(texts))
        return np.array([[float(text), role == "query"] for text in texts], dtype=np.float32)


def items(numbers, role="document", tokens=10):
    return [Item(str(number), role, tokens, "error") for number in numbers]


def gathered(requests, **settings):
    """Return what each request is answered, all having come at once, and the gatherer."""

    async def run():
        gatherer = Gatherer(**{"round_tokens": 100, "max_waiting_tokens": 10**9, **settings})
        asked = [asyncio.ensure_future(gatherer.embed(*each)) for each in requests]
        await asyncio.sleep(0)
        work = asyncio.create_task(gatherer.run())
        answers = await asyncio.gather(*asked, return_exceptions=True)
        work.cancel()
        return answers, gatherer

    return asyncio.run(run())


Requests = st.lists(
    st.lists(st.tuples(st.integers(0, 999), st.sampled_from(["query", "document"]), st.integers(1, 300)), max_size=12),
    min_size=1,
    max_size=8,
)


@given(Requests, st.integers(1, 400), st.integers(1, 3))
def test_whatever_comes_together_each_gets_its_own_vectors_in_order(requests, round_tokens, models):
    embedders = [Recording() for _ in range(models)]
    asked = [
        (embedders[place % models], [Item(str(number), role, tokens, "error") for number, role, tokens in request])
        for place, request in enumerate(requests)
    ]
    answers, _ = gathered(asked, round_tokens=round_tokens)
    for request, answer in zip(requests, answers, strict=True):
        assert answer.tolist() == [[number, role == "query"] for number, role, _ in request]


def test_requests_that_come_together_are_embedded_together():
    embedder = Recording()
    gathered([(embedder, items([n])) for n in range(10)])
    assert embedder.rounds == [[str(n) for n in range(10)]]


def test_a_long_request_keeps_a_short_one_waiting_for_one_round_at_most():
    embedder = Recording()
    gathered([(embedder, items(range(100))), (embedder, items([777]))])
    assert "777" in embedder.rounds[0] + embedder.rounds[1]
    assert all(len(each) <= 10 for each in embedder.rounds)


def test_a_model_that_is_asked_a_lot_does_not_keep_another_waiting():
    one, two = Recording(), Recording()
    order = []
    for name, embedder in (("one", one), ("two", two)):
        plain = embedder.encode
        embedder.encode = lambda *args, name=name, plain=plain, **more: order.append(name) or plain(*args, **more)
    gathered([(one, items(range(100))), (two, items([1])), (one, items(range(50)))])
    assert order.index("two") <= 1


def test_a_text_that_fails_costs_the_others_nothing():
    embedder = Recording()
    bad = [Item("bad", "document", 10, "error")]
    (good, failed, other), _ = gathered([(embedder, items([1])), (embedder, bad), (embedder, items([2]))])
    assert (good.tolist(), other.tolist()) == ([[1, 0]], [[2, 0]])
    assert isinstance(failed, ValueError)


def test_beyond_its_bound_it_refuses_and_says_when_to_ask_again():
    embedder = Recording()
    answers, _ = gathered([(embedder, items(range(10))) for _ in range(5)], max_waiting_tokens=250)
    refused = [answer for answer in answers if isinstance(answer, RequestError)]
    assert len(refused) == 3
    assert all((each.status, each.headers) == (503, {"Retry-After": "1"}) for each in refused)
    assert [len(answer) for answer in answers[:2]] == [10, 10]


def test_what_nobody_waits_for_is_not_embedded():
    embedder = Recording()

    async def run():
        gatherer = Gatherer(round_tokens=10, max_waiting_tokens=1000)
        gone = asyncio.ensure_future(gatherer.embed(embedder, items([1, 2, 3])))
        stays = asyncio.ensure_future(gatherer.embed(embedder, items([4])))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        work = asyncio.create_task(gatherer.run())
        assert (await stays).tolist() == [[4, 0]]
        work.cancel()
        assert gatherer.waiting_tokens == 0

    asyncio.run(run())
    assert embedder.rounds == [["4"]]


def test_nothing_asked_is_nothing_answered():
    (answer,), gatherer = gathered([(Recording(), [])])
    assert answer.shape == (0, 2)
    assert gatherer.rounds == 0
