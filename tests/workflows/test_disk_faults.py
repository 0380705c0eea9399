"""A disk that fails at any moment of a fit costs that run at most, never a wrong number; the next run is right."""

import random

import pytest

from tests.support.disk_faults import CODES, failing_disk, outcome_of_fault, prepare, small_fit, write_pictures

# Calls that are tried, for each code; benchmarks/trust/disk_faults.py tries all.
CASES = [(start, part / n) for start, n in (("cold", 5), ("warm", 2), ("damaged", 2)) for part in range(n)]


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Data, the folder of a run and its cache, what the run gave, and how many calls one makes from each start."""
    scratch = tmp_path_factory.mktemp("clean")
    data, before = write_pictures(scratch / "data"), scratch / "before"
    essence = small_fit(data, before / "run", before / "cache")
    calls = {}
    for start, _ in CASES:
        if start not in calls:
            prepare(start, before, scratch / "counted")
            with failing_disk() as disk:
                assert small_fit(data, scratch / "counted" / "run", scratch / "counted" / "cache") == essence
            calls[start] = disk.seen
    assert {"open", "write", "fsync", "replace", "makedirs"} <= set(calls["cold"]) and "unlink" in calls["damaged"]
    return data, before, essence, {start: len(seen) for start, seen in calls.items()}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("start", "share"), CASES)
def test_each_call_may_fail(clean, tmp_path, start, share, code):
    data, before, essence, calls = clean
    spread = random.Random(f"{start} {share} {code}").random() / (5 if start == "cold" else 2)
    at = int((share + spread) * calls[start])
    found = outcome_of_fault(data, start, before, tmp_path / "fault", essence, at, CODES[code])[1]
    assert found in ("right", "refused")
