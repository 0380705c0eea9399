"""A cold `headstart fit` against fastai's fine_tune(4) and AutoGluon's MultiModalPredictor, on hymenoptera.

    python -m benchmarks.speed.peers [--quick] [--fastai PYTHON]

Each library has an environment of its own, made here from the package registry; the same weights, files and cores.
Whole processes in turns. Where a library cannot be installed, its row says why.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.speed import environments
from benchmarks.speed.harness import (
    MOBILENET,
    Done,
    accuracy,
    both,
    data,
    facts,
    fit,
    fresh,
    parser,
    peers_script,
    process,
    repeats,
    report,
    tried,
    turns,
)

PACKAGES = {"fastai": ("fastai==2.8.12", "timm"), "autogluon": ("autogluon.multimodal==1.6.3",)}
GOAL, EPOCHS = 15.0, 4


def compared(peer: str, python: Path, times: int, work: Path) -> list[dict]:
    """Both rows of ours beside one library."""
    source = data("hymenoptera")
    line = [python, peers_script(), peer, source / "train", source / "val", "--backbone", MOBILENET, "--epochs", EPOCHS]
    right: dict[str, float] = {}

    def theirs() -> Done:
        done = process(line)
        right["theirs"] = float(done.document()["acc"])
        return done

    def ours(kept: Path | None) -> Done:
        done, result = fit(source, fresh(work / "cache", kept))
        right["ours"] = accuracy(result)
        return done

    donor = work / "donor"
    if not donor.is_dir():
        fit(data("neu_defects"), fresh(donor))
    ways = {"theirs": theirs, "cold": lambda: ours(None), "kept": lambda: ours(donor)}
    found = turns(ways, times)
    name = PACKAGES[peer][0].partition("==")[0]
    version = process([python, "-c", f"import importlib.metadata as m; print(m.version({name!r}))"])
    n = sum(1 for part in ("train", "val") for _ in (source / part).glob("*/*"))
    more = {"against": f"{peer} {version.out.strip()}, {EPOCHS} epochs", "n": n, "least": GOAL}
    more["beside"] = f"accuracy {right['ours']:.4f} / {right['theirs']:.4f}"
    names = {"cold": "everything cold", "kept": "compiled graph kept"}
    return [both(f"{peer}: {names[way]}", found[way], found["theirs"], **more) for way in names]


def main() -> None:
    """Prints one JSON document."""
    made = parser(__doc__)
    made.add_argument("--fastai", type=Path, help="the Python of an environment that has fastai and timm")
    asked = made.parse_args()
    before, rows = facts("openvino", "torch", "timm"), []
    with tempfile.TemporaryDirectory() as place:
        for peer, packages in PACKAGES.items():

            def measured(peer=peer, packages=packages) -> list[dict]:
                given = asked.fastai if peer == "fastai" else None
                python = given or environments.made(asked.envs / peer, packages)
                return compared(peer, python, 1 if asked.quick else min(2, repeats(asked)), Path(place))

            rows += tried(peer, measured)
    report("peers", asked, before, rows)


if __name__ == "__main__":
    main()
