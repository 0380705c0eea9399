"""A model as a ZIP file, which may be a stranger's."""

import errno
import os
import zipfile
from pathlib import Path

import pytest

from headstart.core.errors import ArtifactError
from headstart.deployment import predict, zip_model


def zipped(names: dict[str, bytes], file: Path) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    return file


GOOD = {"card.json": b"{}", "delta.safetensors": b"", "witness.npz": b""}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({**GOOD, "../escaped.json": b""}, "no file of a model"),
        ({**GOOD, "/etc/passwd": b""}, "no file of a model"),
        ({**GOOD, "peft/adapter.pickle": b""}, "no file of a model"),
        ({"card.json": b"{}", "witness.npz": b""}, "holds no delta.safetensors"),
        ({**GOOD, "card.json": b" " * (17 << 20)}, "more than 16 MB"),
    ],
)
def test_a_zip_file_that_is_no_model_is_refused_and_nothing_is_written(names, said, tmp_path):
    file = zipped(names, tmp_path / "odd.zip")
    with pytest.raises(ArtifactError, match=said):
        zip_model.unpack(file, tmp_path / "into")
    assert [p.name for p in tmp_path.iterdir()] == ["odd.zip"]


def test_a_model_is_unpacked_whole_or_not_at_all(tmp_path, monkeypatch):
    file, write = zipped(GOOD, tmp_path / "model.zip"), zip_model.write_atomic

    def full(path, content):
        if path.name == "witness.npz":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(zip_model, "write_atomic", full)
    with pytest.raises(ArtifactError, match="No space left"):
        zip_model.unpack(file, tmp_path / "into")
    monkeypatch.setattr(zip_model, "write_atomic", write)
    assert [p.name for p in tmp_path.iterdir()] == ["model.zip"]
    zip_model.unpack(file, tmp_path / "into")
    (tmp_path / "into" / "card.json").write_bytes(b"damaged")
    zip_model.unpack(file, tmp_path / "into")
    assert {p.name: p.read_bytes() for p in (tmp_path / "into").iterdir()} == GOOD


def test_what_is_no_zip_file_is_refused(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(ArtifactError, match="no ZIP file"):
        predict.predict(tmp_path / "model.zip", ["a"])
