"""How often a test part was looked at: the best of many models on the same examples is partly luck."""

from __future__ import annotations

from pathlib import Path

from headstart import digest
from headstart.files import read_json, unwritable, write_whole
from headstart.plan import Plan
from headstart.task import Task


def judged(task: Task, plan: Plan, root: Path) -> int:
    """How many different models these test examples have judged on this machine, this one included.

    Different in the backbone, the method or its settings: another random number is no other model.
    Raises CacheError where the cache folder `root` cannot be written.
    """
    rows = task.parts["test"] if task.folds is None else task.parts["train"]
    part = digest.of_value(sorted([task.examples[i].digest, str(task.examples[i].label)] for i in rows))
    facts = plan.facts()
    model = digest.of_value([facts[k] for k in ("backbone", "method", "settings", "cut")])
    path = root / "judged" / f"{part}.json"
    known = (read_json(path) or {}).get("models", [])
    if model not in known:
        known = [*known, model]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, {"models": known})
        except OSError as error:
            raise unwritable(root, error) from error
    return len(known)
