"""The head against scikit-learn's LogisticRegressionCV: benchmarks.speed.logistic_head as it is, as rows.

python -m benchmarks.speed.head [--quick]
"""

from __future__ import annotations

import sys

from benchmarks.speed.harness import facts, parser, process, repeats, report, row, tried


def main() -> None:
    """Prints one JSON document."""
    asked = parser(__doc__).parse_args()
    before = facts("scikit-learn", "scipy")

    def measured() -> list[dict]:
        line = [sys.executable, "-m", "benchmarks.speed.logistic_head", "--repeats", max(2, repeats(asked))]
        found = process(line).document()
        seconds, losses = found["seconds"], found["held_out_log_loss"]
        n, d = found["rows"]
        rows = []
        for side, least in (("headstart", 20.0), ("headstart, no temperature", None), ("headstart, own path", None)):
            beside = f"log-loss on folds neither chose on {losses[side]:.4f} / {losses['scikit-learn']:.4f}"
            what = f"{side.replace('headstart', 'ours')}: {n:,} × {d:,}, {found['classes']} classes"
            more = {"against": "LogisticRegressionCV, ten C", "least": least, "n": n, "beside": beside}
            rows.append(row(what, seconds[side], seconds["scikit-learn"], **more))
        return rows

    report("head", asked, before, tried("the head", measured))


if __name__ == "__main__":
    main()
