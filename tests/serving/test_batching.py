"""Batching changes when texts are computed, never what is answered, nor by which version."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.http.batching import Batcher, Closed
from serving.http.engine import Engine
from serving.http.loading import Served, Trial
from serving.http.queueing import QueueFull
from tests.support.toy_bundle import work_of

WORDS = ("hello", "good", "bad", "day", "rain", "sun", "late", "early", "thanks", "help", "order")


def load(shop: Any, version: int, work: int = 0) -> Served:
    shop.bundle(version, work=work)
    shop.release(version)
    engine = Engine(shop.folder, shop.public_key, trial=Trial(threads=1))
    engine.look(cold=True)
    assert engine.served is not None
    return engine.served


@pytest.fixture(scope="module")
def served(open_shop: Any) -> Served:
    shop, _ = open_shop
    engine = Engine(shop.folder, shop.public_key, trial=Trial(threads=1))
    engine.look(cold=True)
    assert engine.served is not None
    return engine.served


texts = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=9
)


@settings(deadline=None, max_examples=25)
@given(requests=st.lists(texts, min_size=1, max_size=6), max_batch=st.integers(1, 8))
def test_every_request_gets_its_own_answers_in_order(
    served: Served, requests: list[list[str]], max_batch: int
) -> None:
    batcher = Batcher(max_batch=max_batch, queue_limit=1000)

    async def ask_all() -> list[Any]:
        return await asyncio.gather(*(batcher.answer(served, asked) for asked in requests))

    for asked, answer in zip(requests, asyncio.run(ask_all()), strict=True):
        alone = served.bundle.probabilities(asked)
        assert set(answer) == {"mood", "topics"}
        for head, rows in answer.items():
            np.testing.assert_allclose(rows, alone[head], atol=1e-6)
    batcher.close()


def test_requests_that_wait_share_a_pass(shop: Any) -> None:
    slow = load(shop, 1, work=work_of(10))
    passes: list[int] = []
    batcher = Batcher(max_batch=8, wait_ms=0, on_batch=lambda texts, seconds: passes.append(texts))

    async def ask_all() -> None:
        await asyncio.gather(*(batcher.answer(slow, ["hello"]) for _ in range(9)))

    asyncio.run(ask_all())
    batcher.close()
    assert sum(passes) == 9
    assert len(passes) <= 3
    assert max(passes) <= 8


def test_a_request_waits_for_company_no_longer_than_it_may_and_alone_not_at_all(served: Served) -> None:
    batcher = Batcher(max_batch=8, wait_ms=600)

    async def ask() -> tuple[float, float]:
        await asyncio.gather(*(batcher.answer(served, ["hello"]) for _ in range(8)))
        took = []
        for _ in range(2):
            begin = time.monotonic()
            await batcher.answer(served, ["rain"])
            took.append(time.monotonic() - begin)
        return took[0], took[1]

    after_company, after_nobody = asyncio.run(ask())
    batcher.close()
    assert 0.5 < after_company < 1.5, "others asked a moment ago: it waits for them, but not longer than told"
    assert after_nobody < 0.5, "nobody else asked: it does not wait"


class Paired:
    """A bundle that answers once two batches are computed at once, the second of them first."""

    def __init__(self, bundle: Any) -> None:
        self.bundle, self.token_ids = bundle, bundle.token_ids
        self.met, self.calls = threading.Barrier(2, timeout=20), itertools.count()

    def probabilities_of(self, tokens: Any) -> Any:
        number = next(self.calls)
        if number < 4:
            self.met.wait()
            time.sleep(0.1 * (number % 2 == 0))
        return self.bundle.probabilities_of(tokens)


def test_two_batches_at_once_and_every_request_gets_its_own_answers_in_order(served: Served) -> None:
    paired: Any = dataclasses.replace(served, bundle=Paired(served.bundle))  # type: ignore[arg-type]
    batcher = Batcher(max_batch=4, wait_ms=0, queue_limit=400, at_once=2)
    asked = [[" ".join(WORDS[at : at + 1 + at % 3]) for at in range(size)] for size in (9, 1, 11, 2, 7, 1)]

    async def ask_all() -> list[Any]:
        return await asyncio.gather(*(batcher.answer(paired, each) for each in asked))

    answers = asyncio.run(ask_all())
    batcher.close()
    for each, answer in zip(asked, answers, strict=True):
        for head, rows in served.bundle.probabilities(each).items():
            np.testing.assert_allclose(answer[head], rows, atol=1e-6)


def test_versions_never_share_a_pass(shop: Any) -> None:
    first, second = load(shop, 1, work=work_of(3)), load(shop, 2)
    batcher = Batcher(max_batch=32)

    async def ask_all() -> list[Any]:
        return await asyncio.gather(
            *(batcher.answer((first, second)[i % 2], ["hello good day"]) for i in range(12))
        )

    answers = asyncio.run(ask_all())
    batcher.close()
    for i, answer in enumerate(answers):
        wanted = shop.probabilities(1 + i % 2, "hello good day")["mood"]
        np.testing.assert_allclose(answer["mood"][0], wanted, atol=1e-6)


def test_full_queue_refuses_and_says_when_to_return(shop: Any) -> None:
    slow = load(shop, 1, work=work_of(180))
    batcher = Batcher(max_batch=2, queue_limit=4)

    async def ask_all() -> list[Any]:
        return await asyncio.gather(
            *(batcher.answer(slow, ["hello"]) for _ in range(20)), return_exceptions=True
        )

    answers = asyncio.run(ask_all())
    batcher.close()
    refused = [answer for answer in answers if isinstance(answer, QueueFull)]
    assert 14 <= len(refused) <= 16
    assert all(1 <= error.retry_after_s <= 60 for error in refused)
    assert sum(isinstance(answer, dict) for answer in answers) == 20 - len(refused)
    assert batcher.queued_texts == 0


def test_one_request_larger_than_the_queue_is_taken_when_nobody_waits(served: Served) -> None:
    batcher = Batcher(max_batch=4, queue_limit=2)
    answer = asyncio.run(batcher.answer(served, ["rain"] * 11))
    batcher.close()
    assert answer["mood"].shape == (11, 3)


def test_request_that_fails_does_not_spoil_others(served: Served) -> None:
    batcher = Batcher(max_batch=32)

    async def ask_all() -> list[Any]:
        asked = [["hello"], ["\ud800"], ["rain"]]
        return await asyncio.gather(*(batcher.answer(served, a) for a in asked), return_exceptions=True)

    good, bad, fine = asyncio.run(ask_all())
    batcher.close()
    assert isinstance(bad, Exception)
    assert good["mood"].shape == fine["mood"].shape == (1, 3)


def test_closing_answers_what_waits_and_takes_nothing_more(shop: Any) -> None:
    slow = load(shop, 1, work=work_of(10))
    batcher = Batcher(max_batch=1)

    async def ask_then_close() -> list[Any]:
        asked = [asyncio.ensure_future(batcher.answer(slow, ["hello"])) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.to_thread(batcher.close)
        with pytest.raises(Closed):
            await batcher.answer(slow, ["late"])
        return await asyncio.gather(*asked)

    assert [answer["mood"].shape for answer in asyncio.run(ask_then_close())] == [(1, 3)] * 5
