"""Work done ahead of need, on a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
END = object()


def ahead(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order; up to `depth` of them are made while the one before is in use.

    Begins at once. What making an item raises is raised where it would have been given.
    """
    pool = ThreadPoolExecutor(1)
    waiting: deque[Future] = deque(pool.submit(next, items, END) for _ in range(depth))
    return _given(pool, items, waiting)


def _given(pool: ThreadPoolExecutor, items: Iterator[T], waiting: deque[Future]) -> Iterator[T]:
    try:
        while True:
            item = waiting.popleft().result()
            if item is END:
                return
            waiting.append(pool.submit(next, items, END))
            yield item
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
