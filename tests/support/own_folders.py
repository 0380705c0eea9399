"""Backbone folders of ours that somebody changed, and pinned as if they were right."""

import json
from pathlib import Path

from headstart.core import digest


def rewrite(folder: Path, change=lambda facts: None, *, repin: bool = True) -> None:
    """Changes the card, which pins the files as they lie now."""
    facts = json.loads((folder / "card.json").read_text())
    if repin:
        facts["files"] = {name: digest.of_files([folder / name]) for name in facts["files"]}
        facts["backbone"]["weights"] = digest.of_files([folder / "model.safetensors"])
    change(facts)
    (folder / "card.json").write_text(json.dumps(facts))


def setting(name: str, value: object):
    def change(facts: dict) -> None:
        settings = dict(facts["backbone"]["preprocess"]["settings"]) | {name: value}
        facts["backbone"]["preprocess"]["settings"] = sorted([k, v] for k, v in settings.items())

    return change
