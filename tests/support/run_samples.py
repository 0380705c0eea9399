"""Results as a fit writes them, for the tests of the report: every kind of task, and names that attack the page."""

import json
from pathlib import Path

import numpy as np

HOSTILE = [
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "a&b<i>'quoted'</i>",
    "🦄 with 👩‍👩‍👧‍👦",
    "שלום עולם ‮ reversed",
    "long " * 60,
]
SIX = ["crack", "dent", "missing_hole", "scratch", "spurious_copper", "stain"]


def wilson(right: int, n: int) -> tuple[float, float]:
    p, z2 = right / max(n, 1), 3.84
    middle, half = p + z2 / (2 * max(n, 1)), 1.96 * np.sqrt(p * (1 - p) / max(n, 1) + z2 / (4 * max(n, 1) ** 2))
    return float((middle - half) / (1 + z2 / max(n, 1))), float((middle + half) / (1 + z2 / max(n, 1)))


def metric(value: float, doubt: float, chance: float, n: int, better: str = "higher") -> dict:
    facts = {"value": value, "low": value - doubt, "high": value + doubt, "level": 0.95, "n": n}
    return {**facts, "chance": chance, "better": better}


def blocks(n: int) -> list[dict]:
    sides = [112, 56, 56, 28, 28, 28, 14, 14, 14, 14, 14, 14, 14, 7, 7, 7, 7]
    widths = [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320]
    if n == 17:
        return [{"name": f"blocks.{i}", "shape": [widths[i], sides[i], sides[i]]} for i in range(17)]
    return [{"name": f"encoder.layer.{i}", "shape": [] if n == 6 else [197, 384]} for i in range(n)]


def curve() -> list[dict]:
    found = []
    for b in (5, 7, 8, 10, 11, 12, 13, 14):
        facts = {"low": b / 15, "high": (b + 1) / 15, "n": b * b}
        found.append({**facts, "confidence": (b + 0.5) / 15, "accuracy": (b + 0.2) / 15})
    return found


def classes(names: list[str], each: int, wrong: float) -> dict:
    rng = np.random.default_rng(0)
    k = len(names)
    matrix = np.zeros((k, k), int)
    for i in range(k):
        rate = wrong * rng.uniform(0, 2)
        for _ in range(each):
            to = (i + rng.choice([1, 2, k - 1], p=[0.7, 0.2, 0.1])) % k if rng.random() < rate else i
            matrix[i, to] += 1
    rows = []
    for i, name in enumerate(names):
        hit, true, said = int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum())
        low, high = wilson(hit, true)
        facts = {"name": name, "n": true, "precision": hit / max(said, 1), "recall": hit / max(true, 1)}
        rows.append({**facts, "f1": 2 * hit / max(true + said, 1), "low": low, "high": high})
    shape = {"kind": "classes", "names": names, "confusion": matrix.tolist()}
    return {**shape, "per_class": rows, "reliability": curve()}


def fit_result(
    kind: str = "image", names: list[str] | None = None, each: int = 20, wrong: float = 0.04, n: int = 17
) -> dict:
    """What a fit of photos or texts into classes writes."""
    names = names or SIX
    details = classes(names, each, wrong)
    matrix = np.array(details["confusion"])
    total, right = int(matrix.sum()), int(matrix.trace())
    low, high = wilson(right, total)
    chance = 1 / len(names)
    accuracy = {**metric(right / total, 0, chance, total), "low": low, "high": high}
    noun = {"image": "photos", "text": "texts"}[kind]
    name = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
    name = name if kind == "image" else "transformers:sentence-transformers/all-MiniLM-L6-v2"
    weights, seconds = "sha256:" + "5e" * 32, {"read": 0.1, "extract": 8.2, "fit": 0.3, "measure": 0.05, "save": 0.2}
    steps = [["crop", 0.875], ["mean", [0.5, 0.5, 0.5]], ["size", [224, 224]], ["std", [0.5, 0.5, 0.5]]]
    sentence = (
        f"Right on {right / total:.1%} of {total} {noun} that it never saw (95 % interval {low:.1%} to {high:.1%}; "
    )
    path = [{"strength": 10.0**e, "log_loss": 0.1 + 0.04 * (e + 2) ** 2} for e in np.arange(-5, 3.0)]
    return {
        **{"schema": 2, "version": "0.1.0", "created": "2026-11-23T10:00:00Z", "source": f"data/{noun}"},
        "command": f"headstart fit data/{noun} --backbone {name} --method logistic --seed 0",
        "task": {
            **{"kind": kind, "objective": "classes", "classes": names, "folds": 0},
            "n": {"train": total * 5, "val": total, "test": total},
            "notes": [
                f"labels: folder names ({len(names)} classes)",
                "no split was given: 70 % train, 15 % val, 15 % test",
            ],
        },
        "plan": {
            **{"backbone": name, "weights": weights, "cut": n, "blocks": n, "method": "logistic", "seed": 0},
            "settings": {"class_weight": "none", "folds": 5},
            "reasons": ["Method 'logistic': the head for classes that has no setting to guess."],
        },
        "backbone": {
            **{"name": name, "weights": weights, "blocks": blocks(n), "width": 1280, "parameters": 2223872},
            **{"size": 8_900_000, "pretrained_on": "ImageNet-1k", "licence": "apache-2.0"},
            "preprocess": {"kind": kind, "settings": steps},
        },
        "metrics": {
            "accuracy": accuracy,
            "balanced_accuracy": metric(right / total - 0.002, 0.03, chance, total),
            "macro_f1": metric(right / total - 0.004, 0.03, chance / 2, total),
            "log_loss": metric(0.1234, 0.04, float(np.log(len(names))), total, "lower"),
            "ece": metric(0.021, 0.01, 0.0, total, "lower"),
        },
        "baselines": {"majority": chance, "knn": right / total - 0.05, "scratch": None},
        "head": {"strength": 0.01, "path": path, "temperature": 1.18, "log_loss": 0.1},
        "params": {"trained": 1281 * len(names), "total": 2223872 + 1281 * len(names)},
        "bytes": {"delta": 5124 * len(names), "base": 8_900_000},
        "seconds": {**seconds, "total": 9.1},
        "cache": {"hits": 0, "misses": total * 7},
        "frozen": {
            **{"tensors": 262, "moved": 0, "when": "this run"},
            **{"digest_before": "sha256:" + "ab" * 32, "digest_after": "sha256:" + "ab" * 32},
        },
        "findings": [],
        "details": details,
        "mistakes": [
            mistake(i, names, "" if kind == "image" else "My parcel never came. " * (1 if i % 3 else 30))
            for i in range(min(24, total - right))
        ],
        "aside": [],
        "beyond": {"share": 0.04, "texts": 12} if kind == "text" else {"share": 0.0, "texts": 0},
        "verdict": sentence + f"always saying the commonest class gives {chance:.1%}). "
        "Look at the most confident mistakes below before you ship it.",
    }


def mistake(i: int, names: list[str], text: str) -> dict:
    truth, said = names[i % len(names)], names[(i + 1) % len(names)]
    facts = {"row": i, "id": f"{truth}/part_{i:04}.jpg", "truth": truth, "predicted": said, "confidence": 0.99 - i / 50}
    return {**facts, "text": text, "thumbnail": "" if text else f"thumbnails/{i:03}.jpg"}


def tags() -> dict:
    result = fit_result("image")
    names = ["beach", "boat", "child", "dog", "indoors", "night", "people", "snow"]
    rows = [
        {"name": n, "n": 40 + 11 * i, "precision": 0.9 - i / 30, "recall": 0.8 - i / 40, "f1": 0.85 - i / 35}
        for i, n in enumerate(names)
    ]
    result["task"] |= {"objective": "tags", "classes": names}
    result["metrics"] = {
        "micro_f1": metric(0.842, 0.03, 0.31, 300),
        "macro_f1": metric(0.811, 0.04, 0.22, 300),
        "exact_match": metric(0.6, 0.05, 0.1, 300),
        "log_loss": metric(0.21, 0.02, 0.56, 300, "lower"),
        "mean_average_precision": metric(0.88, 0.03, 0.3, 300),
    }
    result["baselines"] = {"majority": 0.31, "knn": 0.79, "scratch": None}
    result["details"] = {"kind": "tags", "names": names, "per_tag": rows, "reliability": curve()}
    result["mistakes"] = [{**mistake(i, names, ""), "truth": "" if i == 0 else "beach, dog"} for i in range(5)]
    result["verdict"] = "Micro F1 84.2 % on 300 photos that it never saw (95 % interval 81.2 % to 87.2 %). Look at it."
    return result


def numbers() -> dict:
    result = fit_result("image")
    rng = np.random.default_rng(1)
    truth = rng.uniform(18, 90, 200)
    said = truth + rng.normal(0, 5, 200)
    result["task"] |= {"objective": "number", "classes": []}
    result["metrics"] = {
        "mae": metric(3.94, 0.4, 17.9, 200, "lower"),
        "rmse": metric(4.96, 0.5, 20.6, 200, "lower"),
        "r2": metric(0.94, 0.01, 0.0, 200),
        "spearman": metric(0.968, 0.01, 0.0, 200),
    }
    result["baselines"] = {"majority": 17.9, "knn": 5.1, "scratch": None}
    quantiles = {str(q): float(np.quantile(said - truth, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
    shown = {"truth": truth.tolist(), "predicted": said.tolist()}
    result["details"] = {"kind": "number", **shown, "residual_quantiles": quantiles}
    worst = np.argsort(-abs(truth - said))[:6]
    result["mistakes"] = [
        {**mistake(i, ["x"], ""), "truth": f"{truth[w]:.4g}", "predicted": f"{said[w]:.4g}", "confidence": 2.5}
        for i, w in enumerate(worst)
    ]
    result["head"] = {"strength": 0.5, "path": [{"strength": 10.0**e, "mse": 0.2 + 0.1 * e * e} for e in range(-3, 4)]}
    result["verdict"] = "Off by 3.94 on average over 200 photos that it never saw (95 % interval 3.54 to 4.34). Look."
    return result


def odd() -> dict:
    """Few texts in classes with hostile names, everything that can be warned of, and a cut in the middle."""
    result = fit_result("text", HOSTILE, each=7, wrong=0.3, n=6)
    result["plan"]["cut"] = 4
    result["params"]["trained"] = 900_000
    result["task"] |= {"folds": 5, "n": {"train": 42, "val": 0, "test": 0}, "notes": HOSTILE}
    result["findings"] = [
        {"guard": "imbalance", "level": "warn", "message": f"{HOSTILE[0]!r} drowns the others", "fix": HOSTILE[2]},
        {"guard": HOSTILE[1], "level": "stop", "message": HOSTILE[5], "evidence": {"a": 1}, "fix": ""},
        {"guard": "tiny", "level": "note", "message": "Only 42 examples judged the model.", "fix": "label 168 more"},
    ]
    result["aside"] = [{"id": f"{h}{i}.txt", "reason": f"the file is empty {h}"} for h in HOSTILE for i in range(5)]
    result["frozen"] |= {"moved": 3, "when": "when the features were computed"}
    for i, entry in enumerate(result["mistakes"]):
        entry["text"] = HOSTILE[i % 6]
    for key in ("source", "command", "version", "created"):
        result[key] = HOSTILE[0] + HOSTILE[1]
    result["plan"]["settings"] = {HOSTILE[0]: HOSTILE[1]}
    result["backbone"] |= {"licence": HOSTILE[0], "pretrained_on": HOSTILE[2], "name": HOSTILE[0] + "x" * 300}
    return result


SAMPLES = {
    "six": fit_result(),
    "many": fit_result(
        names=[f"flower number {i} {'of the long kind ' * (i % 4)}".strip() for i in range(102)], wrong=0.15
    ),
    "texts": fit_result("text", ["billing", "delivery", "login", "refund"], wrong=0.08, n=12),
    "twenty": fit_result(names=[f"class_{i}" for i in range(20)], each=150, wrong=0.1, n=48),
    "tags": tags(),
    "number": numbers(),
    "odd": odd(),
}
SAMPLES["six"]["findings"] = [
    {
        **{"guard": "imbalance", "level": "warn", "evidence": {"dent": 300, "stain": 20}},
        "message": "'dent' has 300 training examples, 'stain' only 20: judge by balanced accuracy.",
        "fix": "add --set class_weight=balanced, or label more of the rare classes",
    }
]
SAMPLES["six"]["aside"] = [{"id": "dent/x.jpg", "reason": "the file is empty (0 bytes)"}]


def write_run(result: dict, folder: Path) -> Path:
    """A run folder with that result and its thumbnails."""
    from PIL import Image

    (folder / "thumbnails").mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    rng = np.random.default_rng(2)
    for entry in result.get("mistakes") or []:
        if entry["thumbnail"]:
            noise = rng.integers(0, 255, (8, 10, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((96, 77)).save(folder / entry["thumbnail"], quality=70)
    return folder
