"""A model folder may not choose which files of this machine are read: a base by path is one that the user named."""

import os
import shutil
from pathlib import Path

import pytest

from headstart.backbones import cards, hub
from headstart.core.errors import ArtifactError, HeadstartError, WeightsNotFound
from tests.support.opened_files import watching

GOLDEN = Path(__file__).parents[1] / "golden" / "backbones" / "photos"


@pytest.fixture
def own_folder(tmp_path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "made"))


def test_a_path_is_opened_only_after_the_user_named_it(own_folder, tmp_path):
    root, name = tmp_path / "cache", f"own:{own_folder}"
    with watching() as seen, pytest.raises(ArtifactError, match="--base"):
        cards.find_base(name, root)
    assert not seen.inside(own_folder)
    with pytest.raises(ArtifactError, match=rf"named here yet.* headstart predict DIR --base {name} FILE"):
        cards.find_base(name, root)
    card = cards.find_card(name, root)
    assert cards.find_base(name, root) == card
    assert cards.find_base(f"{name}/backbone", root).weights == card.weights  # the same folder, named otherwise


@pytest.mark.parametrize(
    "template",
    ["transformers:a/b/c", "own:{0}", "timm:{0}", "timm:local-dir:{0}", "timm:{0}?mean=0,0,0", "transformers:{0}",
     "clip:{0}", "timm:./{1}", "transformers:./{1}?pooling=mean", "own:./{1}", "own:{1}", "timm:{1}",
     "clip:{1}", "timm:~/x", "timm:/nowhere", "own:../nowhere", "transformers:~root"],
)  # fmt: skip
def test_every_way_to_write_a_path_is_one(own_folder, tmp_path, monkeypatch, template):
    monkeypatch.chdir(tmp_path)
    name = template.format(own_folder, own_folder.name)
    with watching() as seen, pytest.raises(ArtifactError, match="by a path"):
        cards.find_base(name, tmp_path / "cache")
    assert not seen.inside(own_folder)


def test_what_was_named_in_one_family_or_place_is_not_named_in_another(own_folder, tmp_path):
    root = tmp_path / "cache"
    cards.find_card(f"own:{own_folder}", root)
    other = shutil.copytree(own_folder, tmp_path / "other")
    for name in (f"timm:{own_folder}/backbone", f"own:{other}", f"clip:{own_folder}/backbone"):
        with pytest.raises(ArtifactError, match="by a path"):
            cards.find_base(name, root)
    with pytest.raises(ArtifactError, match="by a path"):
        cards.find_base(f"own:{own_folder}", tmp_path / "another cache")


def test_a_link_that_leads_elsewhere_since_is_not_what_was_named(own_folder, tmp_path):
    link, root = tmp_path / "link", tmp_path / "cache"
    link.symlink_to(own_folder)
    cards.find_card(f"own:{link}", root)
    other = shutil.copytree(own_folder, tmp_path / "other")
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(ArtifactError, match="by a path"):
        cards.find_base(f"own:{link}", root)


def test_a_path_that_leads_nowhere_from_here_is_not_what_to_type(own_folder, tmp_path, monkeypatch):
    """The model was fitted in another working folder, or its backbone was moved."""
    monkeypatch.chdir(tmp_path)
    cards.find_card(f"own:{own_folder.name}", tmp_path / "cache")
    own_folder.rename(tmp_path / "moved")
    with pytest.raises(ArtifactError, match=rf"there is no {own_folder}\. Name the place .* --base own:FOLDER"):
        cards.find_base(f"own:{own_folder.name}", tmp_path / "cache")


def test_a_base_that_the_user_names_takes_the_place_of_the_pinned_one(own_folder, tmp_path):
    card = cards.find_base("timm:/nowhere", tmp_path / "cache", f"own:{own_folder}")
    assert card.name == f"own:{own_folder}"


@pytest.mark.parametrize("name", ["own:vision-small", "stats", "stats:text", "vector:5"])
def test_what_ships_or_has_no_files_needs_no_word(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vision-small").mkdir()
    assert cards.find_base(name, tmp_path / "cache").name == name


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_cache_that_cannot_be_written_remembers_nothing_and_says_nothing(own_folder, tmp_path):
    root = tmp_path / "cache"
    root.mkdir(mode=0o500)
    with pytest.raises(HeadstartError):
        cards.find_card(f"own:{own_folder}", root)


@pytest.mark.parametrize("damage", [b"", b"{}", b"HEADSTART KEPT 1 00\n{}"])
def test_what_is_remembered_proves_itself(own_folder, tmp_path, damage):
    root, name = tmp_path / "cache", f"own:{own_folder}"
    card = cards.find_card(name, root)
    for file in (*(root / "cards").iterdir(), *(root / "named").iterdir()):
        file.write_bytes(damage or file.read_bytes()[:-1] + b"!")
    with pytest.raises(ArtifactError, match="by a path"):
        cards.find_base(name, root)
    assert cards.find_card(name, root) == card


@pytest.mark.parametrize("revision", ["../../../../evil", "/etc", "a/../../b", "..", "a//b", ".hidden"])
def test_a_revision_cannot_lead_out_of_the_cache(tmp_path, monkeypatch, revision):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "models--a--b" / "snapshots").mkdir(parents=True)
    with pytest.raises(WeightsNotFound, match="neither a folder nor a repository"):
        hub.snapshot_files(f"a/b@{revision}", ["config.json"])
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text(revision)
    with pytest.raises(WeightsNotFound, match="holds no commit"):
        hub.snapshot_files("a/b", ["config.json"])


@pytest.mark.parametrize(
    "name",
    ["own:a\0b", "timm:\ud800", "clip:\x1b[2J", "own:" + "a" * 5000, "vector:²", "vector:" + "9" * 5000, "vector:0"],
)
def test_a_name_that_can_be_none_is_refused_in_words(tmp_path, name):
    for find in (cards.find_card, cards.find_base):
        with pytest.raises(HeadstartError, match="is not a backbone"):
            find(name, tmp_path)


def test_nobodys_home_is_no_folder(tmp_path):
    for family in ("own", "timm", "transformers"):
        with pytest.raises(HeadstartError):
            cards.find_card(f"{family}:~nobody_of_that_name/x", tmp_path)
