"""The head against scikit-learn's LogisticRegressionCV, side by side: seconds, and log-loss on folds both are held to.

    python -m benchmarks.speed.logistic_head [--features FILE.npz] [--repeats 3]

Without --features: 800 x 1,280 numbers drawn so that six classes overlap. With it: arrays x (n, d) and y (n,), for
example of real features.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from headstart.core.features import Features
from headstart.data.objectives.classes import Classes
from headstart.training.methods.logistic import Settings

STRENGTHS = tuple(float(10**e) for e in np.arange(-0.5, 4.1, 0.5))


def drawn() -> tuple[np.ndarray, np.ndarray]:
    """800 rows of 1,280 numbers whose spectrum falls like that of real embeddings; 6 classes."""
    rng = np.random.default_rng(0)
    y = np.arange(800) % 6
    spread = 1 / np.sqrt(1 + np.arange(1280) / 8)
    turn = np.linalg.qr(rng.standard_normal((1280, 1280)))[0]
    x = (rng.standard_normal((800, 1280)) * spread + 0.16 * rng.standard_normal((6, 1280))[y] * spread) @ turn
    return np.maximum(x, 0).astype(np.float32), y.astype(np.int64)


def held_out(fit, x: np.ndarray, y: np.ndarray) -> float:
    """Log-loss in nats over 5 outer folds: neither side chooses on what judges it."""
    losses = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(x, y):
        losses.append(log_loss(y[test], fit(x[train], y[train], x[test]), labels=np.unique(y)))
    return float(np.mean(losses))


def ours(x: np.ndarray, y: np.ndarray, other: np.ndarray, calibration="temperature", strengths=STRENGTHS) -> np.ndarray:
    """Probabilities of `other`."""
    objective = Classes(tuple(map(str, np.unique(y))))
    data = Features(x, y, tuple(map(str, range(len(y)))))
    settings = Settings(strengths=strengths, folds=5, calibration=calibration)
    nothing = data.rows(np.zeros(0, np.int64))
    fitted = settings.fit(data, nothing, objective, above=lambda: None, rng=np.random.default_rng(0))
    return objective.probabilities(fitted.scores(other))


def theirs(x: np.ndarray, y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Probabilities of `other` by scikit-learn: ten values of C on standardised columns, five folds."""
    scale = StandardScaler().fit(x)
    # The same ten penalties: rows of standardised columns have a mean squared length of d, ours of 1.
    model = LogisticRegressionCV(
        Cs=[s / x.shape[1] for s in STRENGTHS], cv=5, scoring="neg_log_loss", max_iter=1000, l1_ratios=(0,),
        use_legacy_attributes=False,
    )  # fmt: skip
    return model.fit(scale.transform(x), y).predict_proba(scale.transform(other))


def main() -> None:
    """Prints one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", default="")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    if asked.features:
        with np.load(asked.features, allow_pickle=False) as file:
            x, y = file["x"], file["y"]
    else:
        x, y = drawn()
    sides = {
        "headstart": ours,
        "headstart, no temperature": lambda *a: ours(*a, calibration="none"),
        "headstart, own path": lambda *a: ours(*a, strengths=()),
        "scikit-learn": theirs,
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(asked.repeats):
        for name, fit in sides.items():  # in turns, so that a machine that grows busy slows all of them
            start = time.perf_counter()
            fit(x, y, x[:1])
            seconds[name].append(time.perf_counter() - start)
    losses = {name: held_out(fit, x, y) for name, fit in sides.items()}
    best = {name: min(values) for name, values in seconds.items()}
    facts = {"rows": x.shape, "classes": len(np.unique(y)), "strengths": 10, "folds": 5, "repeats": asked.repeats}
    facts |= {"seconds": {n: [round(s, 3) for s in v] for n, v in seconds.items()}, "held_out_log_loss": losses}
    facts["times_faster"] = best["scikit-learn"] / best["headstart"]
    facts["log_loss_ratio"] = losses["headstart"] / losses["scikit-learn"]
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
