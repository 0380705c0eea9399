"""Which backbone is taken where none was named, and that what the catalogue says of others is so."""

import pytest

from headstart.backbones import catalogue
from headstart.backbones.cards import find_card
from headstart.backbones.catalogue import default_backbone
from headstart.backbones.providers import own


def test_what_the_list_says_of_timm_is_what_timm_says():
    timm = pytest.importorskip("timm")
    for entry in catalogue.CATALOGUE:
        family, _, local = entry.name.partition(":")
        if family == "timm":
            cfg = timm.get_pretrained_cfg(local)
            assert cfg is not None, entry.name
            assert (cfg.hf_hub_id, cfg.license) == (f"timm/{local}", entry.licence)


def test_the_recommended_ones_are_on_the_list():
    names = {e.name: e.kind for e in catalogue.CATALOGUE}
    assert {names[name]: name for name in catalogue.RECOMMENDED.values()} == catalogue.RECOMMENDED


@pytest.mark.parametrize("kind", ["image", "text"])
def test_auto_takes_the_recommended_one_only_where_it_can_be_had(kind, tmp_path, monkeypatch):
    best = catalogue.RECOMMENDED[kind]
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name, why = default_backbone(kind, allow_hub=True)
    assert name != best
    assert "not on this machine" in why
    local = best.partition(":")[2]
    repo = local if "/" in local else f"timm/{local}"
    (tmp_path / f"models--{repo.replace('/', '--')}").mkdir()
    assert default_backbone(kind, allow_hub=True)[0] == best
    assert default_backbone(kind, allow_hub=False)[0] != best, "no hub where none was wished for"


def test_what_comes_with_headstart_is_whole_and_small(tmp_path):
    for name in own.shipped():
        card = find_card(f"own:{name}", tmp_path)
        size = sum(file.stat().st_size for file in own.files(name))
        assert size <= (4_300_000 if card.preprocess.kind == "image" else 8_000_000)
        assert card.licence == "apache-2.0"
        facts = own.made(name)
        assert facts["command"]
        assert facts["data"]
        assert "seed" in facts["plan"]
