"""What comes from elsewhere: a base that is a path, an adapter for plain PEFT, files that nobody may read, links."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import headstart
from headstart.core.errors import ArtifactError, DiskError, HeadstartError, SourceError
from headstart.deployment import model_folder, zip_model
from tests.support.hostile_folders import card, edit, read_card, sealed

GOLDEN = Path(__file__).parents[1] / "golden"
TEXTS = f"own:{GOLDEN}/backbones/texts"
ASKED = ["where is my parcel?"]


@pytest.fixture
def foreign(tmp_path, monkeypatch) -> Path:
    """A model that names its base by a path, on a machine whose user never named that base."""
    monkeypatch.chdir(GOLDEN)
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    shutil.copytree(GOLDEN / "runs" / "ia3" / "model", tmp_path / "model")
    return tmp_path / "model"


def test_a_base_that_is_a_path_is_opened_once_the_user_names_it(foreign, tmp_path):
    pytest.importorskip("peft")
    with pytest.raises(ArtifactError, match="--base"):
        headstart.predict(foreign, ASKED)
    with pytest.raises(ArtifactError, match="--base"):
        headstart.export(foreign, "numpy", into=tmp_path / "export")
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(GOLDEN / "backbones" / "texts", elsewhere)
    (answer,) = headstart.predict(foreign, ASKED, base=f"own:{elsewhere}")  # the same weights at another place
    (again,) = headstart.predict(foreign, ASKED, base="own:backbones/texts")
    assert answer.label == again.label and not answer.error
    (remembered,) = headstart.predict(foreign, ASKED)
    assert remembered.probabilities == again.probabilities


def test_nothing_of_a_path_is_opened_before(foreign, monkeypatch, tmp_path):
    from headstart.backbones.providers import own

    trap = tmp_path / "trap"
    config = foreign / "peft" / "adapter_config.json"
    config.write_text(config.read_text().replace("own:backbones/texts", f"own:{trap}"))
    sealed(foreign, backbone={**read_card(foreign)["backbone"], "name": f"own:{trap}"})
    monkeypatch.setattr(own, "files", lambda local: pytest.fail(f"{local} was looked at"))
    with pytest.raises(ArtifactError, match="names its base by a path"):
        model_folder.load(foreign, tmp_path / "cache")


def test_the_folder_is_checked_before_its_base_is_looked_for(foreign, monkeypatch, tmp_path):
    edit("witness.npz", lambda raw: raw[:-30])(foreign)
    sealed(foreign)
    monkeypatch.setattr(model_folder, "find_base", lambda *_: pytest.fail("the base was looked for"))
    with pytest.raises(ArtifactError, match=r"witness\.npz"):
        model_folder.load(foreign, tmp_path / "cache", TEXTS)


HARMFUL = {
    "a library to import": {"auto_mapping": {"base_model_class": "system", "parent_library": "os"}},
    "a class that is no name": {"auto_mapping": {"base_model_class": "a.b", "parent_library": "timm"}},
    "code of its own": {"auto_map": {"AutoModel": "evil--x.py"}},
    "a base to fetch": {"base_model_name_or_path": "evil/x"},
    "a revision": {"revision": "evil"},
    "a pattern without end": {"target_modules": "(a+)+$"},
    "a file of weights": {"init_ia3_weights": "/etc/passwd"},
    "a module of Megatron": {"megatron_core": "os"},
    "its settings": {"megatron_config": {"a": 1}},
    "modules": {"modules_to_save": ["x"]},
    "no type": {"peft_type": None},
}


@pytest.mark.parametrize("case", HARMFUL)
def test_an_adapter_s_configuration_says_only_what_ours_do(case, foreign, tmp_path):
    file = foreign / "peft" / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **HARMFUL[case]}))
    sealed(foreign)
    with pytest.raises(ArtifactError, match=r"adapter_config\.json.*Do not trust"):
        model_folder.load(foreign, tmp_path / "cache", TEXTS)


VERBS = """
import sys
import headstart
from headstart.core.errors import HeadstartError

folder, into, verb = sys.argv[1:]
verbs = {"predict": lambda: headstart.predict(folder, ["x"]), "card": lambda: headstart.card(folder, into=into),
         "export": lambda: headstart.export(folder, "numpy", into=into)}
try:
    verbs[verb]()
except HeadstartError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv, to read as one who may not read all")
@pytest.mark.parametrize(
    ("locked", "verb"),
    [
        ("model/delta.safetensors", "predict"),
        ("model/witness.npz", "export"),
        ("model/card.json", "card"),
        ("model", "predict"),
        ("into", "card"),
        ("into", "export"),
    ],
)
def test_what_may_not_be_read_or_written_is_said_in_words(locked, verb, tmp_path):
    shutil.copytree(GOLDEN / "runs" / "probe-texts" / "model", tmp_path / "model")
    (tmp_path / "into").mkdir()
    (tmp_path / locked).chmod(0o500 if locked == "into" else 0)
    powers = ["--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [sys.executable, "-c", VERBS, str(tmp_path / "model"), str(tmp_path / "into" / "x"), verb]
    cache = {**os.environ, "HEADSTART_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(["setpriv", *powers, *command], capture_output=True, text=True, env=cache, check=False)
    (tmp_path / locked).chmod(0o700)
    assert done.returncode == 1 and done.stderr.startswith(("DiskError: ", "ArtifactError: ")), done.stderr
    assert "Permission denied" in done.stderr and str(tmp_path / locked) in done.stderr


def test_a_disk_that_fails_while_a_card_is_written(vector_model, tmp_path, monkeypatch):
    from headstart.core import files

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(DiskError, match=r"README\.md.*No space left on device.*Free space"):
        headstart.card(vector_model, into=tmp_path)
    assert not list(tmp_path.iterdir())


def test_links_in_a_folder_lead_no_writing_out_of_it(vector_model, tmp_path):
    shutil.copytree(vector_model, tmp_path / "model")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "model" / "export").symlink_to(outside)
    with pytest.raises(SourceError, match="leads out of the folder"):
        headstart.export(tmp_path / "model", "numpy")
    (tmp_path / "model" / "card.html").symlink_to(outside / "page.html")
    headstart.card(tmp_path / "model")
    (tmp_path / "model" / "README.md").unlink()
    (tmp_path / "model" / "README.md").symlink_to(outside)
    with pytest.raises(ArtifactError, match=r"README\.md is a link that leads out"):
        headstart.card(tmp_path / "model")
    assert not list(outside.iterdir())


ODD = {
    "huge numbers": {"summary": {"accuracy": {"value": 10**400, "low": 0, "high": 1, "n": 5}}},
    "no metrics": {"summary": None, "notes": None, "delta": None},
    "half a metric": {"summary": {"accuracy": {"value": None}}},
    "marks": {"summary": {"</td><script>\u202e\x1b[31m": {"value": 0.5, "low": 0, "high": 1, "n": 5}}},
    "a later fact": {"mood": [1]},
}


@pytest.mark.parametrize("case", ODD)
def test_a_card_that_is_odd_is_shown_or_refused_in_words(case, vector_model, tmp_path):
    shutil.copytree(vector_model, tmp_path / "model")
    card(**ODD[case])(tmp_path / "model")
    try:
        readme, page = headstart.card(tmp_path / "model", into=tmp_path / "card")
        headstart.export(tmp_path / "model", "numpy", into=tmp_path / "export")
    except HeadstartError as refused:
        assert "summary" in str(refused) and case in ("huge numbers", "half a metric", "marks")
        return
    assert "</td><script>" not in page.read_text() + readme.read_text()
    assert not {"\u202e", "\x1b"} & set(page.read_text() + readme.read_text())


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        ({"delta.safetensors": b"\0" * 200_000_000}, "may be a zip bomb"),
        ({"witness.npz": b"\0" * 100_000_000}, "may be a zip bomb"),
        ({"card.json": b" " * 16_000_000}, "may be a zip bomb"),
    ],
)
def test_a_zip_bomb_is_refused_before_it_is_unpacked(packed, words, vector_model, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("card.json", "delta.safetensors", "witness.npz"):
            archive.writestr(name, packed.get(name, (vector_model / name).read_bytes()))
    monkeypatch.setattr(zip_model, "_read_member", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(ArtifactError, match=words):
        zip_model.unpack(tmp_path / "model.zip", tmp_path / "into")
