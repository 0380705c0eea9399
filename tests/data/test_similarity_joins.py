"""No pair of image hashes or of word sets is missed, and no other is found."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.duplicates import hamming_join
from headstart.data.duplicates.jaccard_join import build_sets, jaccard_join


@st.composite
def clustered(draw):
    """Prints of which some are others with a few bits turned, and some equal."""
    base = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6))
    masks = st.sets(st.integers(0, 63), max_size=14).map(lambda bits: sum(1 << b for b in bits))
    turned = draw(st.lists(st.tuples(st.sampled_from(base), masks), max_size=40))
    return np.array(base + [value ^ mask for value, mask in turned], np.uint64)


def every(prints, radius):
    n = len(prints)
    both = [(i, j, bin(int(prints[i] ^ prints[j])).count("1")) for i in range(n) for j in range(i + 1, n)]
    return [pair for pair in both if pair[2] <= radius]


@settings(deadline=None, max_examples=60)
@given(clustered(), st.integers(0, hamming_join.MAX_RADIUS), st.sampled_from((0, 8192)))
def test_all_close_prints_are_found_and_no_others(prints, radius, small):
    with patch.object(hamming_join, "BRUTE_FORCE_SIZE", small):
        found = hamming_join.hamming_join(prints, radius)
    assert list(zip(*(a.tolist() for a in found), strict=True)) == every(prints, radius)


def test_prints_that_are_all_alike_take_bounded_work():
    prints = np.concatenate([np.full(3000, 7, np.uint64), np.array([7, 2**40], np.uint64) << np.uint64(3)])
    i, j, bits = hamming_join.hamming_join(prints, max_pairs=10_000)
    assert len(i) <= 10_000 and (i < j).all() and (bits <= 3).all()


def test_no_prints_give_no_pairs():
    assert [len(a) for a in hamming_join.hamming_join(np.zeros(0, np.uint64))] == [0, 0, 0]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(st.integers(0, 12), max_size=9), min_size=1, max_size=20), st.floats(0.2, 1))
def test_all_sets_that_are_alike_are_found_and_no_others(raw, threshold):
    owner = np.array([i for i, some in enumerate(raw) for _ in some], np.int64)
    element = np.array([e for some in raw for e in some], np.int64)
    n = len(raw)
    held = {e: sum(e in some for some in raw) for some in raw for e in some}

    def weigh(some):
        return sum(np.log1p(n / held[e]) for e in some)

    i, j, similarity = jaccard_join(build_sets(owner, element, n), threshold)
    found = dict(zip(zip(i.tolist(), j.tolist(), strict=True), similarity.tolist(), strict=True))
    for a in range(n):
        for b in range(a + 1, n):
            whole = weigh(set(raw[a]) | set(raw[b]))
            like = weigh(set(raw[a]) & set(raw[b])) / whole if whole else 0.0
            if like >= threshold + 1e-6:
                assert found[a, b] == pytest.approx(like)
            elif like < threshold - 1e-6:
                assert (a, b) not in found
