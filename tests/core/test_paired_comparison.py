"""Tests of paired answers equal their references, and claim no more than they may."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.core.paired_comparison import mcnemar_test, paired_comparison, sign_flip_test


def test_flips_of_signs_are_exact_and_do_not_cry_wolf():
    rng = np.random.default_rng(0)
    alike = sign_flip_test(np.array([1 / 3] * 6 + [0.0] * 50), rng)
    assert alike == pytest.approx(2 / 2**6, abs=0.015), "six of six on one side, each way as likely"
    claims = 0
    for n in range(200):  # two equals: one answer against the mean of three, on 40 examples of differing difficulty
        right = rng.beta(4, 0.2, 40)
        one, three = rng.random(40) < right, (rng.random((3, 40)) < right).mean(0)
        claims += sign_flip_test(one - three, np.random.default_rng(n)) < 0.05
    assert claims <= 18, "5 % of 200, and three standard errors"


@settings(deadline=None)  # the first call imports scipy
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial(won, lost):
    from scipy.stats import binomtest

    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert mcnemar_test(won, lost) == pytest.approx(expected, abs=1e-9)
    assert mcnemar_test(won, lost) == mcnemar_test(lost, won)


def test_a_test_turned_round_says_the_opposite():
    rng = np.random.default_rng(0)
    one, other = (rng.random(200) < share for share in (0.9, 0.6))
    a = paired_comparison("accuracy", one.astype(float), other.astype(float), 0)
    b = paired_comparison("accuracy", other.astype(float), one.astype(float), 0)
    assert (a.verdict, b.verdict) == ("better", "worse") and a.p == b.p
