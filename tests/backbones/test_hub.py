"""Where weights lie: found in the hub's cache, downloaded, or refused with what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from headstart.backbones.hub import is_offline, snapshot_files
from headstart.core.errors import PlanError, WeightsNotFound
from tests.support.networks import hub_name

pytest.importorskip("torch")
pytest.importorskip("timm")


def laid(cache: Path, repo: str, files: dict[str, str], commit: str = "c0ffee") -> Path:
    place = cache / f"models--{repo.replace('/', '--')}"
    folder = place / "snapshots" / commit
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / "main").write_text(commit)
    return folder


def test_a_cached_snapshot_is_found_by_name_and_by_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    new = laid(tmp_path, "me/net", {"config.json": "new", "model.safetensors": "w", "sub/more.json": "{}"})
    old = laid(tmp_path, "me/net", {"config.json": "old"}, commit="0ld")
    (tmp_path / "models--me--net/refs/main").write_text("c0ffee")
    assert snapshot_files("me/net", ["config.json"]) == {"config.json": new / "config.json"}
    assert snapshot_files("me/net@0ld", ["config.json"]) == {"config.json": old / "config.json"}
    found = snapshot_files("me/net", ["config.json"], optional=["sub/more.json", "absent.json"])
    assert set(found) == {"config.json", "sub/more.json"}


def test_what_is_missing_offline_says_what_where_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    laid(tmp_path, "me/net", {"config.json": "{}"})
    with pytest.raises(WeightsNotFound) as caught:
        snapshot_files("me/net", ["config.json", "model.safetensors"])
    said = str(caught.value)
    assert "model.safetensors not found" in said and "config.json and" not in said
    for part in (str(tmp_path / "models--me--net"), "HF_HUB_OFFLINE", "hf download me/net", "/path/to/folder"):
        assert part in said


@pytest.mark.parametrize("name", ["", "a/b/c", "../x", "-rf", "a b", "o/" + "n" * 200])
def test_what_is_no_repository_is_never_looked_up(name, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with pytest.raises(WeightsNotFound):
        snapshot_files(name, ["config.json"])


@pytest.fixture
def online(tmp_path, monkeypatch):
    """A hub of one repository in place of the real one."""
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    files = {"config.json": "{}", "model.safetensors": "weights", "README.md": "hello"}

    class Api:
        def list_repo_files(self, name, revision):
            if name != "me/net":
                raise ConnectionError("no route to host")
            return list(files)

    def fetch(name, file, revision, cache_dir):
        return str(laid(Path(cache_dir), name, {file: files[file]}) / file)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    return files


def test_what_is_not_cached_is_downloaded_once(online, monkeypatch):
    found = snapshot_files("me/net", ["config.json", "model.safetensors"], optional=["README.md", "modules.json"])
    assert {name: path.read_text() for name, path in found.items()} == online
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert snapshot_files("me/net", ["config.json", "model.safetensors"], optional=["README.md"]) == found


def test_an_unreachable_hub_says_so(online):
    with pytest.raises(WeightsNotFound, match=r"no route to host[\s\S]*hf download you/net"):
        snapshot_files("you/net", ["config.json"])


def test_a_repository_of_pickles_is_refused_before_the_download(online):
    online["pytorch_model.bin"] = online.pop("model.safetensors")
    with pytest.raises(PlanError, match="pickle"):
        snapshot_files("me/net", ["config.json", "model.safetensors"])


def test_looking_for_cached_files_imports_nothing_heavy(hub):
    code = (
        "import sys; from headstart.core.plugins import member; "
        f"print(len(member('backbones', 'timm').files({hub_name('mobilenetv2_100.tf_in1k')!r}))); "
        "print(*{'torch', 'timm', 'huggingface_hub', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"]


@pytest.mark.parametrize(
    ("value", "forbidden"), [("1", True), ("yes", True), ("ON", True), ("true", True), ("0", False)]
)
def test_downloading_is_forbidden_in_every_word_that_the_hub_knows(value, forbidden, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    assert is_offline() == forbidden
