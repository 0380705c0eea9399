"""Intervals equal what is computed by hand."""

import numpy as np
import pytest

from headstart.core.statistics import bootstrap, bootstrap_interval, wilson_interval


def test_wilson_by_hand():
    # 8 of 10: (0.8 + 0.19207 ± 0.31368) / 1.38415
    assert wilson_interval(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert wilson_interval(0, 20)[0] == 0
    assert wilson_interval(20, 20)[1] == 1
    assert wilson_interval(0, 0) == (0, 1)


def test_the_bootstrap_of_a_mean_is_as_wide_as_the_normal_interval():
    values = np.random.default_rng(1).exponential(size=400)
    whole, draws = bootstrap(lambda w: (w @ values / 400)[:, None], 400, np.random.default_rng(2))
    low, high = bootstrap_interval(float(whole[0]), draws[:, 0])
    assert len(draws) == 1000
    assert whole[0] == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
