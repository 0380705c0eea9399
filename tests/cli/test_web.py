"""Where `headstart runtime web` fetches from."""

import pytest

from headstart.cli import web as web_verbs
from headstart.core.errors import ArtifactError


def test_no_registry_is_assumed_where_nobody_names_one(monkeypatch):
    monkeypatch.setenv("npm_config_registry", "https://registry.example")
    assert web_verbs.npm_registry() == "https://registry.example"
    monkeypatch.delenv("npm_config_registry")
    monkeypatch.delenv("NPM_CONFIG_REGISTRY", raising=False)
    monkeypatch.setattr(web_verbs.shutil, "which", lambda name: None)
    with pytest.raises(ArtifactError, match=r"npm_config_registry=https://.* --from FILE.tgz"):
        web_verbs.npm_registry()
