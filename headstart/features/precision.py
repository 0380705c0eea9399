"""The precision in which a backbone runs fastest here with its predictions unchanged, measured once a machine.

    <root>/engines/<machine>-<shelf>-<format>.json   of each precision its rate and smallest cosine to float32, and by
                                                     task the agreement of the heads' predictions

Precisions are tried from the fastest to the most exact. One is accepted where the smallest cosine of its embeddings to
those in float32 is at least MIN_COSINE, or where heads trained on float32 embeddings of the task at hand predict the
same from both for at least MIN_AGREEMENT of the inputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headstart.core import digest, hardware
from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import PlanError, Unreadable
from headstart.core.files import make_folder, read_checked_json, write_checked_json
from headstart.core.plugins import member, names
from headstart.core.task import Example
from headstart.data.contents import iter_contents
from headstart.features.cache import store
from headstart.features.extract import features_at_cut, storage_dtype
from headstart.features.preprocessing_check import min_cosine
from headstart.features.runner import Extractor, start_engine

MIN_COSINE = 0.999
MIN_AGREEMENT = 0.995
KINDS = ("image", "text")
MIN_INPUTS = 256  # from which float32 is timed
MIN_SECONDS = 8.0  # in float32, from which a faster precision is looked for: looking costs 2 to 5
TIMED_INPUTS = 16  # on which float32 alone is timed
COSINE_SAMPLE, AGREEMENT_SAMPLE = 48, 200  # inputs; MIN_AGREEMENT is all but one of the latter
TIMING_SECONDS = 0.2  # for each precision
DESCRIPTIONS = {"mixed": "mixed (bfloat16, the first layers and depthwise ones in float32)"}
LIBRARIES = ("torch", "openvino")
FORMAT = 2  # of the kept file


@dataclass(frozen=True, slots=True)
class CandidatePrecision:
    """A precision in which a backbone can be run here, as measured.

    rate: inputs a second.  cosine: smallest to float32's embeddings
    agreement: share of equal predictions of heads, NaN where that was not measured
    """

    precision: str
    rate: float
    cosine: float = 1.0
    agreement: float = float("nan")

    @property
    def undecided(self) -> bool:
        """Whether the cosine is too low, and heads of the task at hand were not compared yet."""
        return self.cosine < MIN_COSINE and self.agreement != self.agreement  # NaN

    @property
    def acceptable(self) -> bool:
        """Whether its embeddings may stand for float32's."""
        return self.cosine >= MIN_COSINE or self.agreement >= MIN_AGREEMENT


def pick_precision(
    card: Backbone,
    cut: Cut,
    examples: Sequence[Example],
    root: Path,
    requested: str = "",
    emit: Callable[[str, dict], None] = lambda event, facts: None,
) -> tuple[Cut, list[str]]:
    """The cut with the precision in which what is below it is to be computed, and why in a sentence.

    requested: "ENGINE", "ENGINE:PRECISION" or "" for what is fastest
    Raises PlanError for an engine or a precision that is not there.
    """
    if requested:
        engine, _, precision = requested.partition(":")
        precision = precision or cut.precision
        _check_available(engine, precision)
        return replace(cut, engine=engine, precision=precision), [f"Engine {engine}, {precision}: as you asked."]
    family = member("backbones", card.family)
    if not cut.top or family.runs(card, cut) != "torch" or card.preprocess.kind not in KINDS:
        return cut, []
    faster = list(dict.fromkeys(p for name in names("engines") for p in member("engines", name).precisions()))
    missing = store.Shelf(root, card, cut, storage_dtype(card.preprocess, cut)).absent([e.digest for e in examples])
    if not faster or not missing:
        return cut, []
    file = root / "engines" / f"{hardware.hardware_key(*LIBRARIES)}-{store.shelf_key(card, cut)}-{FORMAT}.json"
    task = digest.of_value(sorted({str(e.label) for e in examples})[:10_000])
    candidates = _load_candidates(file, task)
    uncached = [examples[i] for i in missing]
    if not candidates and len(uncached) >= MIN_INPUTS:
        candidates = _measure(card, cut, [], uncached, root)
        _save_candidates(file, candidates, task)
    unmeasured = len(candidates) == 1 or any(c.undecided for c in candidates)
    if candidates and unmeasured and len(uncached) / candidates[0].rate > MIN_SECONDS:
        emit("racing", {"backbone": card.name, "precisions": ["float32", *faster]})
        candidates = _measure(card, cut, faster, uncached, root)
        _save_candidates(file, candidates, task)
    return _pick_fastest(cut, candidates) if len(candidates) > 1 else (cut, [])


def pick_top_cut(card: Backbone, examples: Sequence[Example], root: Path) -> Cut:
    """The cut at the top, in the precision that `pick_precision` takes."""
    return pick_precision(card, card.cut(len(card.blocks)), examples, root)[0]


def _check_available(engine: str, precision: str) -> None:
    if engine not in names("engines"):
        raise PlanError(f"There is no engine {engine!r}. There are: {', '.join(names('engines'))}.")
    known = ("float32", *member("engines", engine).precisions())
    if precision not in known:
        raise PlanError(f"{engine} does not compute in {precision!r} on this machine. It does in: {', '.join(known)}.")


def _load_candidates(file: Path, task: str) -> list[CandidatePrecision]:
    facts = read_checked_json(file) or {}
    try:
        agreements = facts["same"].get(task, {})
        return [CandidatePrecision(**c, agreement=agreements.get(c["precision"], float("nan"))) for c in facts["ways"]]
    except (KeyError, TypeError, AttributeError):
        return []


def _save_candidates(file: Path, candidates: list[CandidatePrecision], task: str) -> None:
    facts = [{"precision": c.precision, "rate": c.rate, "cosine": c.cosine} for c in candidates]
    of_tasks = (read_checked_json(file) or {}).get("same", {})
    agreements = {c.precision: c.agreement for c in candidates if c.agreement == c.agreement}
    with suppress(OSError):  # a read-only cache, a full disk: it is measured again next time
        make_folder(file.parent)
        write_checked_json(file, {"ways": facts, "same": {**of_tasks, task: agreements}})


def _pick_fastest(cut: Cut, candidates: list[CandidatePrecision]) -> tuple[Cut, list[str]]:
    """The cut in the fastest acceptable precision, and what was measured of each."""
    exact = next(c for c in candidates if c.precision == "float32")
    best = max((c for c in candidates if c.acceptable), key=lambda c: c.rate)
    reasons = []
    for candidate in (c for c in candidates if c.precision != "float32"):
        likeness = f"smallest cosine to float32 {candidate.cosine:.4f}"
        if not candidate.undecided and candidate.cosine < MIN_COSINE:
            likeness += f", heads answer {candidate.agreement:.1%} alike"
        verdict = "taken" if candidate is best else "too far off" if not candidate.acceptable else "not faster"
        name = DESCRIPTIONS.get(candidate.precision, candidate.precision)
        times = candidate.rate / max(exact.rate, 1e-9)
        reasons.append(f"{name} is {times:.1f} times as fast here ({likeness}): {verdict}")
    return replace(cut, precision=best.precision), [f"Precision {best.precision}: {'; '.join(reasons)}."]


def _measure(
    card: Backbone, cut: Cut, faster: list[str], examples: list[Example], root: Path
) -> list[CandidatePrecision]:
    """float32 and each faster precision, up to the first acceptable one, on inputs spread evenly over the task."""
    positions = np.unique(np.linspace(0, len(examples) - 1, AGREEMENT_SAMPLE if faster else TIMED_INPUTS).astype(int))
    spec = card.preprocess
    contents = [(e, c) for e, c in iter_contents([examples[i] for i in positions]) if not isinstance(c, Unreadable)]
    prepared = member("preprocess", spec.kind).prepare([c for _, c in contents], spec)
    pairs = zip(contents, prepared, strict=True)
    labelled = [(str(e.label), units) for (e, _), units in pairs if not isinstance(units, Unreadable)]
    inputs = [units for _, units in labelled]
    if not inputs:
        return [CandidatePrecision("float32", 1.0)]
    extractors = {"float32": start_engine(card, cut, len(examples), root)}
    candidates = [CandidatePrecision("float32", _inputs_per_second(extractors["float32"], inputs))]
    sample = inputs[:: max(1, len(inputs) // COSINE_SAMPLE)]

    def embed(chosen: list[list[np.ndarray]], precision: str) -> np.ndarray:
        features = features_at_cut(chosen, spec, replace(cut, precision=precision), extractors[precision])
        return np.stack([row for row, _ in features])

    exact: np.ndarray | None = None
    for precision in faster:
        extractors[precision] = start_engine(card, replace(cut, precision=precision), len(examples), root)
        cosine, agreement = min_cosine(embed(sample, precision), embed(sample, "float32")), float("nan")
        if cosine < MIN_COSINE:
            exact = embed(inputs, "float32") if exact is None else exact
            agreement = _prediction_agreement(exact, embed(inputs, precision), [label for label, _ in labelled])
        rate = _inputs_per_second(extractors[precision], inputs)
        candidates.append(CandidatePrecision(precision, rate, cosine, agreement))
        if candidates[-1].acceptable:
            break  # what is more exact is no faster
    return candidates


def _inputs_per_second(extractor: Extractor, inputs: list[list[np.ndarray]]) -> float:
    """Timed on the first 64 units, after a warm-up."""
    units = [unit for input_units in inputs for unit in input_units][:64]
    extractor.rows(units[:8])
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < TIMING_SECONDS:
        extractor.rows(units)
        done += len(units)
    return done / (time.perf_counter() - started) * len(inputs) / sum(map(len, inputs))


def _prediction_agreement(exact: np.ndarray, other: np.ndarray, labels: list[str]) -> float:
    """Share of inputs for which heads trained on exact rows (n, d) predict the same from both; NaN for one label.

    Two heads, each trained on one half and judged on the other: ridge regression to one column a label, with a tenth of
    the mean eigenvalue as its penalty.
    """
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2 or len(classes) > len(labels) / 2:
        return float("nan")
    half, equal = np.arange(len(y)) % 2 == 0, 0
    for train in (half, ~half):
        targets = np.eye(len(classes))[y[train]]
        mean, gain = exact[train].mean(0), 1 / np.maximum(exact[train].std(0), 1e-6)
        z = ((exact[train] - mean) * gain).astype(np.float64)
        gram = z @ z.T if len(z) < z.shape[1] else z.T @ z
        gram[np.diag_indices(len(gram))] += 0.1 * np.trace(gram) / len(gram)
        centred = targets - targets.mean(0)
        b = z.T @ np.linalg.solve(gram, centred) if len(z) < z.shape[1] else np.linalg.solve(gram, z.T @ centred)
        predictions = [((x[~train] - mean) * gain @ b + targets.mean(0)).argmax(1) for x in (exact, other)]
        equal += (predictions[0] == predictions[1]).sum()
    return float(equal / len(y))
