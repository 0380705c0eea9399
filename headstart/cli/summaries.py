"""What a person at a terminal sees at the end of a run, and of what is listed and answered."""

from __future__ import annotations

import shlex
import textwrap
import time
from pathlib import Path
from typing import Any

from headstart.cli.progress import format_duration
from headstart.core.messages import describe_delta_size, format_p_value

PERCENT = {"accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "ece", "exact_match", "mean_average_precision"}
LEVELS = ("stop", "warn", "note")
WORDS = {"stop": "STOP", "warn": "warning", "note": "note"}
WIDTH = 100
LISTED = 8  # files of an export, the largest
NAMES = {"ece": "calibration error", "mae": "mean absolute error", "rmse": "root mean squared error", "r2": "R²"}


def fit_summary(result: dict) -> str:
    """The end of a fit: verdict, figures with their doubt, where things lie. result: result.json, and the folder"""
    folder, lines = result["folder"], ["", *_wrap(result["verdict"]), ""]
    for name, m in result["metrics"].items():
        label = NAMES.get(name, name.replace("_", " "))
        span = f"{_format_metric(name, m['low'])} to {_format_metric(name, m['high'])}"
        lines.append(
            f"  {label:<22} {_format_metric(name, m['value']):>8}   95 % interval {span:<20} "
            f"chance {_format_metric(name, m['chance'])}"
        )
    head = next(iter(result["metrics"]))
    known = [
        ("commonest class" if result["task"]["objective"] == "classes" else "no model", result["baselines"]["majority"])
    ]
    known.append(("nearest neighbours", result["baselines"]["knn"]))
    known.append(("plain probe", result["baselines"].get("probe")))
    shown = ", ".join(f"{name} {_format_metric(head, value)}" for name, value in known if value is not None)
    lines.append(f"  {'baselines':<22} {shown}")
    versus = (result["details"].get("versus") or {}).get("probe")
    if versus:
        told = f"{versus['verdict']} (difference {_format_metric(head, versus['difference'])}, p = {versus['p']:.2g})"
        lines.append(f"  {'against the probe':<22} {told}")
    frozen, seconds = result["frozen"], result["seconds"]
    if frozen["tensors"]:
        lines.append(f"  {'frozen':<22} {frozen['moved']} of {frozen['tensors']} tensors moved ({frozen['when']})")
    stages = ", ".join(f"{name} {value:.2f}" for name, value in seconds.items() if name != "total")
    stored = result["bytes"]
    size = f"delta {_format_bytes(stored['delta'])}"
    against = describe_delta_size(stored["delta"], stored.get("full") or 0)
    size += f", {against}" if against else ""
    lines += ["", f"  report    {folder}/report.html", f"  model     {folder}/model  ({size})"]
    what = {"image": "PHOTO…", "text": '"a text"'}.get(result["task"]["kind"], "DATA")
    lines += [
        f"  try it    headstart predict {shlex.quote(str(folder))} {what}",
        f"  seconds   {seconds['total']:.2f} ({stages})",
        "",
    ]
    return "\n".join(lines)


def comparison_summary(facts: dict) -> str:
    """The end of a comparison: verdict, what each method gives and costs, where the page lies. At most 100 columns."""
    done = [{**r, "name": _shortened(r["method"], 10)} for r in facts["methods"] if not r["error"]]
    metric, against = done[0]["metric"], {p["a"]: p for p in facts["pairs"] if p["b"] == facts["base"]}
    judged, several = done[0]["metrics"][metric]["n"], done[0]["seeds"]
    title = NAMES.get(metric, metric.replace("_", " "))
    lines = ["", *_wrap(facts["verdict"]), "", f"  {'method':<10} {title:>19}  {'over the seeds':>18}  "
             f"{'on the test part':>18}  against the probe"]  # fmt: skip
    for r in done:
        one, pair = r["metrics"][metric], against.get(r["method"])
        told = f"{pair['verdict']} ({format_p_value(pair['p_holm'])})" if pair else ""
        span = f"{_format_metric(metric, one['low'])} to {_format_metric(metric, one['high'])}"
        lines.append(
            f"  {r['name']:<10} {_format_metric(metric, r['mean']):>19}  {_format_spread(r):>18}  {span:>18}  {told}"
        )
    lines += ["", f"  {'method':<10} {'trained':>12} {'share':>8} {'labels':>7} {'fit':>9} {'total':>9} {'file':>9} "
              f"{'drift':>6} {'forgot':>7}"]  # fmt: skip
    for r in done:
        lost, costs = "-" if r["forgetting"] is None else f"{100 * r['forgetting']:+.1f}", r["seconds"]
        delta = _format_bytes(r["bytes"]["delta"])
        lines.append(
            f"  {r['name']:<10} {r['params']['trained']:>12,} {r['share']:>8.2%} {r['labels']:>7,} "
            f"{costs['fit']:>7.2f} s {costs['total']:>7.2f} s {delta:>9} {r['drift']:>6.3f} {lost:>7}"
        )
    lines += ["", *(f"  {r['name']:<10} {r['best_for']}" for r in done)]
    out = [f"{r['method']} was left out: {r['error'].splitlines()[0]}" for r in facts["methods"] if r["error"]]
    lines += ["", *(line for reason in out for line in _wrap(reason))] if out else []
    about = f"Over the seeds: 95 % interval of the mean of {several} runs. On the test part: that of one run, if other "
    about += f"examples were drawn; {judged:,} judged. p: paired on the same examples, for all pairs together (Holm)."
    again = sum(r["reused"] for r in done)
    kept = f", {again} of them from before" if again else ""
    where = f"  runs      {facts['folder']}  ({sum(r['seeds'] for r in done)}{kept})"
    return "\n".join([*lines, "", *_wrap(about), "", f"  report    {facts['folder']}/compare.html", where, ""])


def methods_table(facts: dict) -> str:
    """Methods with what they are best for and their settings."""
    lines = []
    for row in facts["methods"]:
        lines.append(f"  {row['name']:<10} {row['about']}")
        lines += [f"  {'':<10} best for: {row['best_for']}"] if row["best_for"] else []
        lines.append(f"  {'':<10} settings: {', '.join(f'{k}={v}' for k, v in row['settings'].items())}")
    return "\n".join(lines)


def _format_spread(row: dict) -> str:
    """The interval over the seeds, or why there is none."""
    if row["seeds"] > 1 and len(set(row["values"])) == 1:
        return "no spread"
    if row["low"] is None:
        return f"{row['seeds']} run{'s' if row['seeds'] > 1 else ''} only"
    return f"{_format_metric(row['metric'], row['low'])} to {_format_metric(row['metric'], row['high'])}"


def prediction_table(rows: list[dict]) -> str:
    """Predictions as a table: input, label, confidence; what could not be read says why."""
    width = min(60, max([len(r["id"]) for r in rows] + [5]))
    lines = [f"{'input':<{width}}  {'answer':<24} confidence"]
    for r in rows:
        name = _shortened(r["id"], width)
        if r["error"]:
            lines.append(f"{name:<{width}}  could not be read: {r['error']}")
        else:
            answer = ", ".join(r["label"]) if isinstance(r["label"], list) else _label(r["label"])
            sure = "" if r["confidence"] is None else f"{r['confidence']:.1%}"
            lines.append(f"{name:<{width}}  {answer or '(none)':<24} {sure}")
    return "\n".join(lines)


def pretraining_summary(facts: dict) -> str:
    """The end of making a backbone: what it is, how it was scored on the way, how to use it."""
    figures = facts["made"]["figures"]
    scores = "".join(f"\n  probe     step {p['step']:,}: {p['accuracy']:.1%}" for p in figures["probe"])
    size = f"{facts['parameters'] / 1e6:.2f} million parameters, {facts['width']} numbers an example"
    return (
        f"\n  made      {facts['backbone']}  ({size}, {_format_bytes(facts['size'])})\n"
        f"  loss      {figures['loss']:.4f}{scores}\n"
        f"  try it    headstart fit DATA --backbone {shlex.quote(facts['backbone'])}\n"
    )


def backbone_table(rows: list[dict]) -> str:
    """Backbones as a table, those on this machine marked."""
    width = max(len(r["name"]) for r in rows)
    lines = [f"  {'name':<{width}} {'params':>8} {'width':>6} {'size':>8}  {'speed':<7} good for"]
    for r in rows:
        facts = f"{r['parameters']:>6.1f} M {r['width']:>6} {r['megabytes']:>5} MB  {r['speed']:<7}"
        lines.append(f"{'*' if r['here'] else ' '} {r['name']:<{width}} {facts} {r['good_for']}")
        lines.append(f"  {'':<{width}} trained on {r['pretrained_on']}; licence {r['licence']}")
    return "\n".join([*lines, "", "* is on this machine; others are fetched from the hub when you name them."])


def cache_table(rows: list[dict], total: int, root: str) -> str:
    """The feature cache as a table."""
    if not rows:
        return f"The cache at {root} is empty."
    lines = [f"{'backbone':<60} {'cut':>4} {'rows':>9} {'size':>9}  last used"]
    for r in rows:
        count = f"{r['rows']:,}" if r["kind"] == "rows" else r["kind"]
        cut = "" if r["cut"] < 0 else r["cut"]
        lines.append(
            f"{r['backbone'][:60]:<60} {cut:>4} {count:>9} {_format_bytes(r['bytes']):>9}  {_format_age(r['used'])}"
        )
    return "\n".join([*lines, f"{_format_bytes(total)} in {root}"])


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _label(label: object) -> str:
    return f"{label:.6g}" if isinstance(label, float) else str(label)


def _format_metric(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if name in PERCENT else f"{value:.3g}"


def _format_bytes(n: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if n < 1000:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    return f"{n:.1f} TB"


def _format_age(when: float) -> str:
    seconds = max(0.0, time.time() - when)
    return f"{format_duration(seconds)} ago"


def plan_summary(facts: dict) -> str:
    """plan.json for a terminal: the verdict, why, what it costs, what to type. At most 100 columns but for paths."""
    lines = ["", *_wrap(facts["verdict"], f"{'':<12}"), ""]
    for n, reason in enumerate(facts["reasons"]):
        lines += _wrap(reason, f"  {'because' if not n else '':<9} ")
    price = facts["price"]
    costs = [f"{key} about {price[key]:,.0f} s" for key in ("embedding", "learning") if price[key] is not None]
    costs.append(f"a file of about {price['bytes'] / 1e6:,.2g} MB")
    lines += ["", *_wrap(f"{'; '.join(costs)}. {price['says']}", "  price     ")]
    for finding in facts["findings"]:
        fix = f" To mend it: {finding['fix']}." if finding["fix"] else ""
        lines += _wrap(finding["message"] + fix, f"  {WORDS[finding['level']].lower():<9} ")
    lines += ["", f"  type      {facts['command']}", f"  picture   {facts['folder']}/plan.html", ""]
    return "\n".join(lines)


def push_summary(facts: dict) -> str:
    """Where a model went on the hub, and who can read it."""
    seen = "only you and those you invite" if facts["private"] else "anyone"
    text = f"{facts['url']}\n{len(facts['files'])} files; {seen} can read them. {' '.join(facts['notes'])}\n"
    return f"{text}To have it elsewhere: headstart pull {facts['name']}"


def export_summary(folder: Path, facts: dict[str, Any]) -> str:
    """export.json for a terminal: what was written, how far it lies from the model, how it is used."""
    from headstart.reporting.formatting import format_bytes

    lines = ["", *_wrap(_export_verdict(facts)), ""]
    large = sorted(facts["files"].items(), key=lambda item: -item[1]["bytes"])[:LISTED]
    lines += [f"  {format_bytes(entry['bytes']):>9}  {folder / name}" for name, entry in large]
    lines.append("")
    for sentence in facts["says"]:
        lines += _wrap(sentence, "  note      ")
    if facts["needs"]:
        lines += ["", f"  use it    pip install {' '.join(facts['needs'])}"]
        lines.append(f"            python {folder / 'predict.py'} {facts['takes']}…")
    lines += [f"  read      {folder / 'README.md'}", ""]
    return "\n".join(lines)


def _export_verdict(facts: dict[str, Any]) -> str:
    found, rounded = facts["witness"], facts.get("rounded")
    what = {"image": "photos", "text": "texts"}.get(facts["inputs"], "vectors")
    if rounded:
        drop = rounded["accuracy_drop"]
        cost = "" if drop is None else f" Accuracy {'rises' if drop < 0 else 'falls'} by {abs(drop):.1f} points."
        return (
            f"Rounded to 8 bits: answers {100 - rounded['changed_percent']:.1f} % of {rounded['n']} "
            f"{rounded['judged_on']} as the model does.{cost}"
        )
    return (
        f"Gives the model's own answers: on the {found['n']} {what} that travel with it, probabilities differ by "
        f"{found['largest']:.1e} at most ({facts['tolerance']:.0e} is allowed)."
    )


def check_summary(facts: dict) -> str:
    """The findings of check.json, the gravest first. At most 100 columns."""
    found = sorted(facts["findings"], key=lambda f: LEVELS.index(f["level"]))
    total = sum(facts["task"]["n"].values())
    lines = [""]
    for finding in found:
        lines += _wrap(finding["message"], f"  {WORDS[finding['level']]:<8} {finding['guard']:<12} ")
        lines += _wrap(f"fix: {finding['fix']}", " " * 24) if finding["fix"] else []
        lines.append("")
    counts = [(level, sum(f["level"] == level for f in found)) for level in LEVELS]
    said = ", ".join(f"{n} {WORDS[level].lower()}{'s' * (n > 1)}" for level, n in counts if n) or "nothing found"
    lines += [f"  {said} in {total:,} examples, seen through {facts['backbone']}", ""]
    done = facts.get("cleaned")
    if done:
        lines.append(
            f"  cleaned   {done['folder']}  ({done['kept']:,} kept, {done['removed']:,} left out: removed.csv)"
        )
        if done["merged"]:
            lines.append(f"            {len(done['merged'])} spellings merged into others: see the column look")
        lines.append(f"  try it    headstart fit {shlex.quote(str(done['folder']))}")
    lines += [f"  report    {facts['folder']}/check.html", ""]
    return "\n".join(lines)


def _wrap(text: str, lead: str = "  ") -> list[str]:
    """Lines of at most 100 columns, the first behind `lead`, the others as far in."""
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False)
