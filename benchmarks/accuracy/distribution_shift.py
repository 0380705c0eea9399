"""Out of distribution: learned on photos, judged on paintings, cartoons and sketches (PACS), by method and seed.

    python -m benchmarks.accuracy.distribution_shift [--methods logistic,finetune,lpft,wise] [--seeds 3]
        [--backbone timm:NAME] [--blocks 17]

Kumar et al. 2022 report that fine-tuning from a fitted head (lpft) is no worse in distribution than plain fine-tuning,
and better out of it. Every model is judged on the same pictures; intervals are 95 % of the mean over the seeds, and the
p-value pairs lpft with finetune on all pictures of the other domains, right or wrong averaged over the seeds.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict

import numpy as np

from benchmarks.paths import SHARED, VIT

DOMAINS = ("photo", "art_painting", "cartoon", "sketch")


def main() -> None:
    """Prints one JSON line a method and one of the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="logistic,finetune,lpft,wise")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone", default=VIT)
    parser.add_argument("--photos", type=int, default=600, help="to learn from")
    parser.add_argument("--blocks", default="0", help="how many of the topmost learn; 0 = a quarter")
    parser.add_argument("--judged", type=int, default=400, help="pictures of each domain")
    given = parser.parse_args()
    os.environ.setdefault("HF_HOME", str(SHARED / "hub"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from headstart.backbones.cards import find_card
    from headstart.core.paired_comparison import paired_comparison
    from headstart.features.cache import store

    root = store.default_root()
    card = find_card(given.backbone, root)
    domains = {name: _domain(name) for name in DOMAINS}
    right: dict[str, dict[str, np.ndarray]] = {}
    for method in given.methods.split(","):
        right[method] = _judged(method, given, card, domains, root)
        line = {"method": method, "backbone": given.backbone}
        for name, seen in right[method].items():
            line[name] = _interval(seen.mean(1))
        away = np.concatenate([right[method][d] for d in DOMAINS[1:]], 1)
        print(json.dumps({**line, "away": _interval(away.mean(1))}), flush=True)
    if {"finetune", "lpft"} <= right.keys():
        for where, names in (("photo", DOMAINS[:1]), ("away", DOMAINS[1:])):
            one, other = (np.concatenate([right[m][d].mean(0) for d in names]) for m in ("lpft", "finetune"))
            pair = paired_comparison("accuracy", one, other, 0)
            told = {k: round(getattr(pair, k), 4) for k in ("difference", "low", "high", "p")}
            print(json.dumps({"pair": "lpft - finetune", "where": where, **told}))


def _domain(name: str):
    from headstart.core.options import DataOptions
    from headstart.data.read import read

    task = read(SHARED / "data" / "pacs" / f"{name}.parquet", DataOptions(seed=0))
    order = np.random.default_rng(0).permutation(len(task.examples))
    return [task.examples[i] for i in order], task.objective


def _judged(method: str, given, card, domains, root) -> dict[str, np.ndarray]:
    """By domain (seeds, n): whether each picture was named rightly."""
    from headstart.backbones.network import open_above
    from headstart.core.features import Features
    from headstart.features.cached_views import cached_views
    from headstart.features.extract import embed
    from headstart.workflows.planner import method_of, with_steps

    learn = domains["photo"][0][: given.photos]
    objective = domains["photo"][1]
    known = method_of(method, {})
    asked = {"blocks": given.blocks} if "blocks" in asdict(known) else {}
    chosen, _ = with_steps(method_of(method, asked), asked, len(learn), "quick")
    cut = chosen.cut(card)

    def rows(examples) -> Features:
        y = objective.encode([e.label for e in examples])
        return Features(embed(examples, card, cut, root).x, y, tuple(e.id for e in examples))

    train = rows(learn)
    views = cached_views(learn, card, cut, getattr(chosen, "views", 0), 0, root)
    train = Features(train.x, train.y, train.ids, (), views)
    parts = {name: rows(some[-given.judged :]) for name, (some, _) in domains.items()}
    found: dict[str, list[np.ndarray]] = {name: [] for name in domains}
    for seed in range(given.seeds):
        nothing = train.rows(np.zeros(0, np.int64))
        rng = np.random.default_rng([0, seed])
        fitted = chosen.fit(train, nothing, objective, above=lambda: open_above(card, cut), rng=rng)
        for name, part in parts.items():
            found[name].append((fitted.scores(part.x).argmax(1) == part.y).astype(float))
    return {name: np.stack(some) for name, some in found.items()}


def _interval(values: np.ndarray) -> list[float]:
    """[mean, low, high]"""
    from headstart.evaluation.comparison_table import STUDENT_T

    mean = float(values.mean())
    reach = STUDENT_T[len(values) - 2] * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return [round(mean, 4), round(mean - reach, 4), round(mean + reach, 4)]


if __name__ == "__main__":
    main()
