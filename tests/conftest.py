"""Where the real data and weights lie, and a cache of the test's own."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("HEADSTART_SHARED", Path(__file__).parents[1] / ".." / "shared")).resolve()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def hub(monkeypatch):
    """The real weights of the shared hub, offline."""
    if not (SHARED / "hub").is_dir():
        pytest.skip(f"no real weights at {SHARED / 'hub'}: set HEADSTART_SHARED to the folder that has them")
    monkeypatch.setenv("HF_HOME", str(SHARED / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return SHARED / "hub"


@pytest.fixture
def real_data():
    """The real data sets."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no real data at {SHARED / 'data'}: set HEADSTART_SHARED to the folder that has them")
    return SHARED / "data"
