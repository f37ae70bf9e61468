"""Large requests take neither the room nor the time of small ones, and nobody waits for ever."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.http.engine import Engine
from serving.http.loading import Served
from serving.http.queueing import EXPECTED_S, SLOWER, TOKENS_A_TEXT, TURN, Job, QueueFull, TextQueue
from tests.support.toy_bundle import Shop, make_shop


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    return load(shop, 1)


def load(shop: Shop, version: int) -> Served:
    shop.release(version)
    engine = Engine(shop.folder, shop.public_key)
    engine.look(cold=True)
    assert engine.served is not None
    return engine.served


def job(served: Served, texts: int) -> Job:
    return Job(served, ["rain"] * texts, lambda result: None)


def admitted(queue: TextQueue, served: Served, sizes: Sequence[int]) -> int:
    """How many of these requests found room."""
    found = 0
    for size in sizes:
        try:
            queue.add(job(served, size), now_s=0.0)
            found += 1
        except QueueFull:
            pass
    return found


def run_pass(queue: TextQueue, now_s: float = 0.0, text_s: float = 0.001) -> list[tuple[Job, int]]:
    """One pass that takes `text_s` a text: who was in it, with how many texts."""
    pieces = queue.next_pass(now_s)
    queue.take(pieces)
    texts = sum(len(piece.texts) for piece in pieces)
    queue.learn(texts, texts * text_s)
    return [(piece.job, len(piece.texts)) for piece in pieces]


def test_however_many_large_requests_come_small_ones_find_room(served: Served) -> None:
    queue = TextQueue(max_batch=32, limit=256)
    assert admitted(queue, served, [64] * 1000) == 3
    assert admitted(queue, served, [1] * 1000) == 256 - 3 * 64
    assert admitted(queue, served, [1]) == 0
    for size in (2, 16, 100):
        full = TextQueue(max_batch=32, limit=256)
        admitted(full, served, [size] * 1000)
        assert admitted(full, served, [1] * 1000) >= size - 1, f"{size} texts a request"


def test_an_empty_queue_takes_any_one_request(served: Served) -> None:
    queue = TextQueue(max_batch=4, limit=2)
    assert admitted(queue, served, [11, 1, 1]) == 1


@given(sizes=st.lists(st.integers(1, 300), max_size=60), limit=st.integers(1, 300))
def test_the_bound_holds_and_a_single_text_is_refused_only_where_it_is_reached(
    served: Served, sizes: list[int], limit: int
) -> None:
    queue = TextQueue(max_batch=8, limit=limit)
    for size in sizes:
        before = queue.texts
        taken = admitted(queue, served, [size])
        assert queue.texts == before + taken * size
        assert queue.texts <= max(limit, before or size)
        if size == 1:
            assert taken == (before < limit or not before)


def test_a_small_request_overtakes_large_ones_and_shares_no_pass_with_them(served: Served) -> None:
    queue = TextQueue(max_batch=32, limit=1000)
    first, second, small = job(served, 100), job(served, 100), job(served, 2)
    for each in (first, second, small):
        queue.add(each, now_s=0.0)
    assert run_pass(queue) == [(small, 2)]
    # One after the other, so that the first is not held up by the second; the rests share a pass.
    assert [run_pass(queue) for _ in range(3)] == [[(first, 32)]] * 3
    assert run_pass(queue) == [(first, 4)]
    assert [run_pass(queue) for _ in range(3)] == [[(second, 32)]] * 3


def test_slices_are_as_short_as_what_a_single_text_may_wait_for(served: Served) -> None:
    queue = TextQueue(max_batch=32, limit=10_000)
    queue.add(job(served, 5000), now_s=0.0)
    assert run_pass(queue)[0][1] == 32, "nobody asks for one text: nobody would be held up"
    for number in range(20):
        one = job(served, 1)
        queue.add(one, now_s=number)
        assert run_pass(queue, number) == [(one, 1)]
        run_pass(queue, number)
    sizes = [run_pass(queue, 20.0)[0][1] for _ in range(10)]
    assert max(sizes) <= SLOWER + 1, "passes of one text take 1 ms, of n texts n ms"
    assert run_pass(queue, 20.0 + EXPECTED_S)[0][1] == 32, "no more single texts come"


def test_slices_are_long_where_a_pass_takes_its_time_whatever_is_in_it(served: Served) -> None:
    queue = TextQueue(max_batch=32, limit=10_000)
    queue.add(job(served, 5000), now_s=0.0)
    for _ in range(40):
        queue.add(job(served, 1), now_s=0.0)
        for _ in range(2):
            pieces = queue.next_pass(0.0)
            queue.take(pieces)
            queue.learn(sum(len(piece.texts) for piece in pieces), 0.01)
    assert len(queue.next_pass(0.0)[0].texts) == 32


def test_a_large_request_is_served_though_small_ones_never_cease(served: Served) -> None:
    queue = TextQueue(max_batch=4, limit=1000)
    large = job(served, 40)
    queue.add(large, now_s=0.0)
    passes = 0
    while large.left:
        for _ in range(4):
            queue.add(job(served, 1), now_s=0.0)
        run_pass(queue)
        passes += 1
        assert passes <= TURN * 40
        while queue.texts > 900:
            run_pass(queue)
    assert passes >= 10


def test_versions_share_no_pass_and_later_ones_do_not_overtake(served: Served, shop: Shop) -> None:
    other = load(shop, 2)
    queue = TextQueue(max_batch=8, limit=100)
    jobs = [job(version, 1) for version in (served, served, other, served)]
    for each in jobs:
        queue.add(each, now_s=0.0)
    assert [[at for at, _ in run_pass(queue)] for _ in range(3)] == [jobs[:2], jobs[2:3], jobs[3:]]


def test_long_texts_take_more_room_in_queue_and_pass_than_short_ones(served: Served) -> None:
    """Counted in tokens: those of `TOKENS_A_TEXT` for each text that is allowed."""
    long = [range(2 * TOKENS_A_TEXT)]
    queue = TextQueue(max_batch=8, limit=64)
    jobs = [Job(served, long * 4, lambda result: None) for _ in range(12)]
    taken = 0
    for each in jobs:
        with contextlib.suppress(QueueFull):
            queue.add(each, now_s=0.0)
            taken += 1
    assert queue.tokens <= 64 * TOKENS_A_TEXT
    assert taken == 7, "half as many texts as if they were short, and room is left for one of a single text"
    assert run_pass(queue) == [(jobs[0], 4)]
    queue.clear()
    assert queue.tokens == queue.texts == 0
    larger = Job(served, long * 20, lambda result: None)
    queue.add(larger, now_s=0.0)
    assert [run_pass(queue) for _ in range(5)] == [[(larger, 4)]] * 5
    assert larger.tokens_left == queue.tokens == 0


def test_a_text_longer_than_a_pass_goes_alone(served: Served) -> None:
    queue = TextQueue(max_batch=1, limit=8)
    one = Job(served, [range(5 * TOKENS_A_TEXT)] * 2, lambda result: None)
    queue.add(one, now_s=0.0)
    assert [run_pass(queue) for _ in range(2)] == [[(one, 1)]] * 2
