"""ONNX Runtime for browsers is kept only when it is the pinned one."""

import io

import pytest

from headstart.core.errors import ArtifactError
from headstart.deployment.export import onnxruntime_web


def test_the_runtime_is_kept_only_when_it_is_the_pinned_one(tmp_path, monkeypatch):
    monkeypatch.setattr(onnxruntime_web.urllib.request, "urlopen", lambda url, timeout: io.BytesIO(b"another package"))
    with pytest.raises(ArtifactError, match=r"is not onnxruntime-web .* Nothing was kept"):
        onnxruntime_web.fetch(tmp_path, "https://registry.example")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.tgz").write_bytes(b"another package")
    with pytest.raises(ArtifactError, match=r"x.tgz is not onnxruntime-web .* Nothing was kept"):
        onnxruntime_web.install(tmp_path, tmp_path / "x.tgz")
    assert [p.name for p in tmp_path.iterdir()] == ["x.tgz"] and not onnxruntime_web.is_installed(tmp_path)
    with pytest.raises(ArtifactError, match="no address of a registry"):
        onnxruntime_web.fetch(tmp_path, "file:///etc")
