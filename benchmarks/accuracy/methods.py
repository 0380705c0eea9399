"""Every method on one table: `headstart compare` over sets and backbones, and what of the classic claims holds.

    python -m benchmarks.accuracy.methods --into DIR [--jobs hymenoptera/mobilenet,trec6/minilm]
        [--methods probe,lora,full]
    python -m benchmarks.accuracy.methods --into DIR --table

Runs that DIR holds already are not made again, so it can be stopped and gone on with, and methods can be added later.
--table prints what is there as Markdown: the mean over three seeds of each method on each set, LoRA beside full
fine-tuning, LP-FT beside plain fine-tuning, and `auto` beside the best single method of each set and beside the probe.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from statistics import mean

from benchmarks.paths import SHARED

BACKBONES = {
    "mobilenet": "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k",
    "vit": "timm:hf-hub:headstart-test/vit_tiny_patch16_224.augreg_in1k",
    "minilm": os.environ.get("HEADSTART_MINILM", "transformers:sentence-transformers/all-MiniLM-L6-v2"),
}
# name -> (data, labels of a class to learn from; None for all). trec6x8 in a job: trec6 with 8 labels a class
SETS = {
    "hymenoptera": ("hymenoptera", None),
    "neu": ("neu_defects", 20),
    "trashnet": ("trashnet", None),
    "flowers": ("flowers102_64px", None),
    "trec6": ("text_trec6", 64),
    "sst2": ("text_sst2", 64),
    "agnews": ("text_agnews", 64),
    "spam": ("text_sms_spam", 64),
    "banking": ("text_banking77", 16),
    "spectrograms": ("spoken_digits_spectrogram", None),
}
METHODS = "probe,knn,finetune,lpft,full,lora,contrast,bias,wise,gradual,ia3,adapter,scratch,compact"
JOBS = (
    "hymenoptera/mobilenet,neu/mobilenet,trec6/minilm,sst2/minilm,hymenoptera/vit,neu/vit,trashnet/mobilenet,"
    "trashnet/vit,flowers/mobilenet,flowers/vit"
)


def main() -> None:
    """Compares, or prints what was compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--jobs", default=JOBS, help="SET/BACKBONE by commas")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the split, and of which few labels are learned from")
    parser.add_argument("--budget", default="quick")
    parser.add_argument("--table", action="store_true", help="print what is there and run nothing")
    given = parser.parse_args()
    if given.table:
        print(table(given.into))
        return
    os.environ.setdefault("HF_HOME", str(SHARED / "hub"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from headstart.workflows.compare import compare

    for job in given.jobs.split(","):
        name, _, backbone = job.partition("/")
        known, _, few = name.partition("x")
        data, shots = SETS[known]
        shots = int(few) if few else shots
        folder = given.into / f"{name}-{backbone}-{given.seed}"
        kept = _kept(folder)
        methods = [*kept, *(m for m in given.methods.split(",") if m not in kept)]
        found = compare(
            SHARED / "data" / data, methods=methods, into=folder, backbone=BACKBONES[backbone], seeds=given.seeds,
            seed=given.seed, shots=shots, budget=given.budget, echo=_say,
        )  # fmt: skip
        print(json.dumps({"job": job, "verdict": found.facts["verdict"]}), flush=True)


def _kept(folder: Path) -> list[str]:
    """Methods that a comparison holds already; they stay in its table."""
    path = folder / "compare.json"
    return [r["method"] for r in json.loads(path.read_text(encoding="utf-8"))["methods"]] if path.is_file() else []


def _say(event: dict) -> None:
    if event["event"] in ("run", "refused"):
        print(json.dumps(event), flush=True)


def table(into: Path) -> str:
    """Markdown of every comparison under a folder."""
    found = {p.parent.name: json.loads(p.read_text(encoding="utf-8")) for p in sorted(into.glob("*/compare.json"))}
    methods = list(dict.fromkeys(r["method"] for facts in found.values() for r in facts["methods"]))
    lines = ["| set | labels | " + " | ".join(methods) + " |", "|---|---|" + "---|" * len(methods)]
    for name, facts in found.items():
        rows = {r["method"]: r for r in facts["methods"] if not r["error"]}
        cells = [_cell(rows[m]) if m in rows else "" for m in methods]
        lines.append(f"| {name} | {next(iter(rows.values()))['labels']} | " + " | ".join(cells) + " |")
    lines += ["", *_claims(found)]
    return "\n".join(lines)


def _cell(row: dict) -> str:
    reach = f" ± {100 * (row['high'] - row['low']) / 2:.1f}" if row["low"] is not None else ""
    return f"{100 * row['mean']:.1f}{reach}, {row['seconds']['fit']:.0f} s"


def _claims(found: dict[str, dict]) -> list[str]:
    """What holds of: LoRA like full, LP-FT like plain fine-tuning, `auto` like the best and never below the probe."""
    lines = []
    for a, b in (("lora", "full"), ("lpft", "finetune"), ("auto", "probe"), ("contrast", "probe")):
        gaps = {}
        for name, facts in found.items():
            rows = {r["method"]: r for r in facts["methods"] if not r["error"]}
            if a in rows and b in rows:
                gaps[name] = 100 * (rows[a]["mean"] - rows[b]["mean"])
        if gaps:
            told = ", ".join(f"{n} {gap:+.1f}" for n, gap in gaps.items())
            lines.append(f"* {a} - {b}: {mean(gaps.values()):+.2f} points on average ({told})")
    shares = [r["share"] for facts in found.values() for r in facts["methods"] if r["method"] == "lora"]
    if shares:
        lines.append(f"* lora trains {100 * min(shares):.2f} to {100 * max(shares):.2f} % of the parameters")
    behind, worse, costs = {}, [], []
    for name, facts in found.items():
        rows = {r["method"]: r for r in facts["methods"] if not r["error"]}
        single = {m: r for m, r in rows.items() if m != "auto"}
        if "auto" not in rows:
            continue
        best = max(single, key=lambda m: single[m]["mean"])
        behind[f"{name} ({best})"] = 100 * (rows["auto"]["mean"] - single[best]["mean"])
        pair = next(p for p in facts["pairs"] if p["a"] == "auto" and p["b"] == best)
        worse += [f"{name} p={pair['p']:.3f}"] if pair["difference"] < 0 and pair["p"] < 0.05 else []
        costs.append(rows["auto"]["seconds"]["fit"] / sum(r["seconds"]["fit"] for r in single.values()))
    if behind:
        told = ", ".join(f"{n} {gap:+.1f}" for n, gap in behind.items())
        lines.append(f"* auto - best single method: {mean(behind.values()):+.2f} points on average ({told})")
        lines.append(f"* auto surely worse than the best (unadjusted p < 0.05): {', '.join(worse) or 'nowhere'}")
        lines.append(f"* auto costs {mean(costs):.2f} of the time of fitting all the others")
    return lines


if __name__ == "__main__":
    main()
