"""One bit turned over in what is written: the answer is right, or refused. benchmarks/trust/flips.py has more."""

import numpy as np
import pytest

from tests.support.bit_flips import QUICK, build, outcome_of_flip, restore


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder to damage files of each kind in, one of which nothing is damaged, and what is read there."""
    scratch = tmp_path_factory.mktemp("flips")
    build(scratch / "live", slow=False)
    (scratch / "live").rename(scratch / "clean")  # models name their backbone by its path
    return scratch / "live", scratch / "clean", {}


@pytest.mark.parametrize("kind", QUICK)
def test_a_flip_is_never_a_wrong_answer(written, kind, monkeypatch):
    live, clean, expected = written
    monkeypatch.setenv("HEADSTART_CACHE", str(live / "cache"))
    value = QUICK[kind].value
    if value not in expected:
        restore(live, clean)
        expected[value] = value(live)
    rng = np.random.default_rng(sum(kind.encode()))
    found, verified = outcome_of_flip(live, clean, QUICK[kind], expected[value], rng)
    assert found in ("right", "refused") and verified != "missed"
