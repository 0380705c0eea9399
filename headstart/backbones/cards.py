"""Finds a backbone's card by name, and caches cards so that the next run need not import the backbone's library.

A name may be a path. What the user names is opened; what a model folder names is opened only where it is no path, or
one that this user has named too: a folder from elsewhere must not choose which files of this machine are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from headstart.backbones import hub
from headstart.core import digest
from headstart.core.backbone import Backbone, restore
from headstart.core.errors import ArtifactError, NameNotFound
from headstart.core.files import make_folder, read_checked_json, write_checked_json, writing_cache
from headstart.core.messages import did_you_mean
from headstart.core.plugins import member, names

MAX_NAME = 4096  # characters: as long as a path may be


def find_card(name: str, root: Path) -> Backbone:
    """The card of a backbone that the user named, by its full name, from the cache where its files did not change.

    A path is remembered, so that models that were fitted on it are opened without naming it again.
    Raises NameNotFound for an unknown family, and what the family raises for an unknown name.
    """
    card = _find(name, root)
    if (folder := _folder(name)) is not None and not _was_named(name, folder, root):
        with suppress(OSError):  # in a read-only cache nothing is remembered: --base says it again
            make_folder(root / "named")
            write_checked_json(_named_file(name, folder, root), {"family": card.family, "named": str(folder)})
    return card


def find_base(pinned: str, root: Path, named: str = "") -> Backbone:
    """The card of the base that a model folder names. No file of it is opened before that is allowed.

    pinned: its full name, as the model folder has it
    named: by the user, in its place: the same weights under another name or at another path. "" for none
    Raises ArtifactError where `pinned` is a path that the user never named on this machine, and what `find_card` does.
    """
    if named:
        return find_card(named, root)
    folder = _folder(pinned)
    if folder is not None and not _was_named(pinned, folder, root):
        raise ArtifactError(f"The model names its base by a path, {pinned[:300]!r}, {_way_out(pinned, folder)}")
    return _find(pinned, root)


def save_card(root: Path, card: Backbone, files: Sequence[Path]) -> None:
    """Caches a card; it is valid while `files` do not change. Raises CacheError where the folder cannot be written."""
    if files:
        with writing_cache(root):
            make_folder(root / "cards")
            write_checked_json(_cache_file(root, card.name), {"files": _signature(files), "card": card.facts()})


def load_card(root: Path, name: str, files: Sequence[Path]) -> Backbone | None:
    """The cached card of a backbone; None where its files changed, or none is cached that is whole and of this name."""
    cached = read_checked_json(_cache_file(root, name)) if files else None
    try:
        if cached is None or cached["files"] != _signature(files) or cached["card"]["name"] != name:
            return None
        return restore(cached["card"])
    except (KeyError, TypeError, OSError):  # of another version, or the files have gone
        return None


def _find(name: str, root: Path) -> Backbone:
    provider, local = _provider(name)
    files = provider.files(local)
    card = load_card(root, name, files)
    if card is None:
        card = provider.card(local)
        save_card(root, card, files)
    return card.with_files(files)


def _provider(name: str):
    """The family's module, and the name in the family. Raises NameNotFound."""
    if len(name) > MAX_NAME or re.search("[\x00-\x1f\x7f\ud800-\udfff]", name):
        raise NameNotFound(f"{name[:100]!r} is not a backbone: no name has control characters, or is that long.")
    family, colon, local = name.partition(":")
    if not colon and family not in names("backbones"):
        hint = did_you_mean(family, names("backbones")) or f" If it is a timm model, type timm:{name}."
        raise NameNotFound(
            f"{name!r} is not a backbone.{hint} Backbones are named FAMILY:NAME; "
            f"families: {', '.join(names('backbones'))}."
        )
    return member("backbones", family), local


def _folder(name: str) -> Path | None:
    """The folder, resolved, that a name stands for; None where it is no path. Opens nothing."""
    provider, local = _provider(name)
    own_folder = getattr(provider, "local_folder", hub.local_folder)
    folder = own_folder(local)
    return None if folder is None else folder.resolve()


def _way_out(pinned: str, folder: Path) -> str:
    """What to type where a model names its base by a path. folder: that the path leads to"""
    if not folder.exists():
        return (
            f"and seen from here there is no {folder}. Name the place where you have those weights: "
            f"--base {pinned.partition(':')[0]}:FOLDER (in Python base=…)."
        )
    from shlex import quote

    return (
        "which you have not named here yet. A folder from elsewhere could make any file be read that way. If those are "
        f"the weights that you want, say so once, as in headstart predict DIR --base {quote(pinned[:300])} FILE (in "
        "Python base=…), or name another place where you have them."
    )


def _was_named(name: str, folder: Path, root: Path) -> bool:
    facts = read_checked_json(_named_file(name, folder, root))
    return facts == {"family": name.partition(":")[0], "named": str(folder)}


def _named_file(name: str, folder: Path, root: Path) -> Path:
    return root / "named" / f"{digest.of_value([name.partition(':')[0], str(folder)])}.json"


def _cache_file(root: Path, name: str) -> Path:
    return root / "cards" / f"{digest.of_bytes(name.encode())}.json"


def _signature(files: Sequence[Path]) -> list[list]:
    """Resolved path, size and modification time of each: a hub snapshot is a link to its content."""
    resolved = [file.resolve() for file in files]
    return [[str(r), r.stat().st_size, r.stat().st_mtime_ns] for r in resolved]
