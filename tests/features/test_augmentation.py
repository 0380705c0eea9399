"""Augmented views: flips, crops and colours are what they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.features import augmentation


def test_flip_and_crop_are_what_they_say():
    ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], (100, 1, 3))
    still = (1.0, 1.0, 1.0, 0.0)
    whole = augmentation.apply_view(ramp, augmentation.ViewParameters((0, 0, 1, 1), False, still, False, 0.0), 100)
    assert np.array_equal(whole, ramp)
    assert np.array_equal(
        augmentation.apply_view(ramp, augmentation.ViewParameters((0, 0, 1, 1), True, still, False, 0.0), 100),
        ramp[:, ::-1],
    )
    right = augmentation.apply_view(ramp, augmentation.ViewParameters((0.5, 0, 1, 1), False, still, False, 0.0), 50)
    assert right[0, 0, 0] == pytest.approx(101, abs=2)


@given(seed=st.integers(0, 1000), height=st.integers(8, 300), width=st.integers(8, 300))
@settings(max_examples=40, deadline=None)
def test_every_view_lies_inside_its_picture(seed, height, width):
    look = augmentation.sample_view(np.random.default_rng(seed), augmentation.STRONG, height, width)
    left, top, right, bottom = look.box
    assert 0 <= left < right <= 1 + 1e-9
    assert 0 <= top < bottom <= 1 + 1e-9


def test_a_gray_view_has_no_colour_and_keeps_its_light():
    rng = np.random.default_rng(0)
    picture = rng.integers(40, 200, (32, 32, 3), dtype=np.uint8)
    gray = augmentation.apply_view(
        picture, augmentation.ViewParameters((0, 0, 1, 1), False, (1, 1, 1, 0.5), True, 0.0), 32
    )
    assert np.ptp(gray.astype(int), axis=2).max() <= 1
    assert gray[..., 0].mean() == pytest.approx((picture @ augmentation.LUMA).mean(), abs=1)
