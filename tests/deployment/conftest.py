"""Models, and a cache for exported pages, that several modules share."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from headstart.deployment.export import onnxruntime_web
from headstart.workflows import fit
from tests.support.paths import SHARED
from tests.support.two_classes import two_class_examples
from tests.support.web_page import RUNTIME


@pytest.fixture(scope="session")
def vector_model(tmp_path_factory) -> Path:
    """The model folder of a head on vectors."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((80, 6)).astype(np.float32), np.repeat(["left", "right"], 40)
    x[:40, 0] += 4
    place = tmp_path_factory.mktemp("vectors")
    return fit.fit((x, y), into=place / "run", root=place / "cache").folder / "model"


@pytest.fixture(scope="session")
def tuned_run(vision, tmp_path_factory):
    """What a fit of two classes of pictures gave whose topmost block was tuned, and its cache folder."""
    pytest.importorskip("torch")
    pictures, _ = two_class_examples("image", 60)
    place = tmp_path_factory.mktemp("tuned")
    source = ([e.content for e in pictures], [e.label for e in pictures])
    asked = {"steps": "12", "views": "0", "blocks": "1"}
    done = fit.fit(source, into=place / "run", backbone=vision, method="finetune", settings=asked, root=place / "c")
    return done, place / "c"


@pytest.fixture(scope="module")
def web_root(tmp_path_factory):
    """A cache of this file's own, with the runtime where it was fetched, and the shared weights."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("web")
        patch.setenv("HEADSTART_CACHE", str(root / "cache"))
        patch.setenv("HF_HOME", str(SHARED / "hub"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        if RUNTIME.is_dir():
            shutil.copytree(RUNTIME, onnxruntime_web.runtime_folder(root / "cache"))
        yield root
