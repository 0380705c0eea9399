"""Items of an iterator made in advance, on a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
END = object()


def prefetch(items: Iterator[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, up to `depth` of them in advance.

    Starts at once. What making an item raises is raised when that item is asked for.
    """
    executor = ThreadPoolExecutor(1)
    futures: deque[Future] = deque(executor.submit(next, items, END) for _ in range(depth))
    return _yield_results(executor, items, futures)


def _yield_results(executor: ThreadPoolExecutor, items: Iterator[T], futures: deque[Future]) -> Iterator[T]:
    try:
        while True:
            item = futures.popleft().result()
            if item is END:
                return
            futures.append(executor.submit(next, items, END))
            yield item
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
