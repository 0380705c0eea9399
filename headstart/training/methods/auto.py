"""The method that held-out examples speak for: the plain probe first, then what promises more, while it pays.

Embeddings at every level come from one pass above the cut. Candidates that train are judged on one fold, and only the
best goes on to the others (successive halving, Jamieson and Talwalkar 2016), or one that stands before it in their
order and cannot be told from it. The probe stays where nothing is surely better.
The posterior of a gain: expected_gain.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import HeadstartError, PlanError
from headstart.core.features import Features, take_rows
from headstart.core.plan import OpenAbove, Traits, trains_in_steps, traits_of
from headstart.core.plugins import member, names
from headstart.core.task import Objective
from headstart.training import expected_gain
from headstart.training.expected_gain import GainPosterior, example_merits, has_few_labels
from headstart.training.heads import cross_validation
from headstart.training.heads.probe import fit_probe
from headstart.training.shared_settings import cut_below_half

HOLD_OUT_ENOUGH = 200  # held-out examples from which one split judges; fewer are dealt into folds
# Of a posterior gain, in its standard deviations:
CLEAR = 2.0  # this far from none makes further folds needless
HOPELESS = 2.0  # where even this far above its mean it is not WORTHWHILE, no more folds
SURE = 1.5  # by so much it must lie above none, or above that of a steadier candidate
# Trained on two thirds of 8 labels a class (trec6), contrast showed 4 of the 13 points it gains; on five sixths 17.
FOLDS, FEW_SHOT_FOLDS = 3, 6
TRY_FIRST = 0.05  # with a prior gain of so much a candidate is tried before all others, and alone where it is clear
WORTHWHILE = 0.01  # a gain that is worth a whole try


@dataclass(frozen=True, slots=True)
class Settings:
    """Which methods are raced, and for how long.

    blocks:     how many of the topmost blocks may learn; 0 = half of the backbone's
    methods:    that are tried beside heads on the embeddings and on intermediate features, where they suit the labels
    minutes:    that the race may take; what is not tried by then is not tried
    steps:      of each that trains; 0 = by the number of examples and the budget
    batch_size: by which the budget counts them; each method trains with its own
    folds:      that judge, where one held-out part would be too small; 0 = 6 up to 16 labels a class, else 3
    views:      stored augmented views of each photo, for those that train
    """

    traits: ClassVar[Traits] = Traits(best_for="when in doubt")
    trains_on_validation: ClassVar[bool] = False  # folds of train and val together judge, where val is small

    blocks: int = 0
    methods: tuple[str, ...] = ("lora", "contrast", "finetune")
    minutes: float = 10.0
    steps: int = 0
    batch_size: int = 16
    folds: int = 0
    views: int = 0

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that may learn."""
        return cut_below_half(backbone, self.blocks)

    def fit(
        self, train: Features, val: Features, objective: Objective, *, above: OpenAbove, rng: np.random.Generator
    ) -> Winner:
        """Races on held-out examples, then fits the winner on all. Raises PlanError for what cannot be raced."""
        data = cross_validation.join_parts(train, val)
        candidates = self._candidates(data, objective)
        seed = int(rng.integers(2**31))
        race = _Race(self, data, objective, above, seed, _splits(train, val, data, objective, self.folds, rng))
        race.fit_heads()
        race.try_methods(candidates)
        return race.finish(train, val)

    def _candidates(self, data: Features, objective: Objective) -> list[str]:
        """Methods that suit the labels, in the order of the setting."""
        methods = {name: member("methods", name).Settings() for name in self.methods}
        for name, method in methods.items():
            if name == "auto" or not trains_in_steps(method):
                raise PlanError(f"methods={name}: what is raced beside the probe trains in steps, as lora does.")
        pairs = objective.link == "softmax" and expected_gain.labels_per_class(data.y) <= expected_gain.PAIR_LABELS
        return [name for name in self.methods if pairs or not traits_of(methods[name]).needs_pairs]


def _splits(train: Features, val: Features, data: Features, objective: Objective, count: int, rng) -> list:
    """[(indices to learn from, indices to judge by)] of `data`."""
    # Of a larger validation part every example learns too, fold by fold.
    if len(val) >= HOLD_OUT_ENOUGH and cross_validation.EXAMPLES_PER_HELD_OUT * len(val) <= len(data):
        return [(np.arange(len(train)), np.arange(len(train), len(data)))]
    count = count or (FEW_SHOT_FOLDS if has_few_labels(data, objective) else FOLDS)
    fold = cross_validation.assign_folds(data, objective, count, rng)
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in np.unique(fold)]


class _Race:
    """Candidates, and how each did on held-out examples."""

    def __init__(
        self, settings: Settings, data: Features, objective: Objective, above: OpenAbove, seed: int, splits: list
    ):
        from headstart.training.tuning import learner

        self.settings, self.data, self.objective, self.above, self.seed = settings, data, objective, above, seed
        self.began = time.perf_counter()
        opened = above()
        self.kinds = member("preprocess", opened.card.preprocess.kind).SERVES
        self.learner = learner.Learner(opened, objective.width)
        self.say = self.learner.say
        self.top = len(self.learner.body) - 1
        self.splits, self.held_out = splits, np.concatenate([held_out for _, held_out in splits])
        self.results: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []

    def fit_heads(self) -> None:
        """Heads on the embeddings and on intermediate features, all from one pass."""
        from headstart.training.tuning import intermediate_features

        levels = range(self.top + 1)
        self.features, widths = intermediate_features.compute_level_features(self.learner, self.data.x, levels)
        edges = np.cumsum([0, *widths])
        self.columns = {i: np.arange(edges[i], edges[i + 1]) for i in levels}
        for name, chosen in {"probe": (self.top,), **self._combinations()}.items():
            scores = [self._head_scores(chosen, learn, held_out) for learn, held_out in self.splits]
            self._enter(name, np.concatenate(scores), which=list(chosen))

    def _combinations(self) -> dict[str, tuple[int, ...]]:
        """Levels that are worth a look: the one below the top, the top with others, all of few."""
        top = self.top
        below_top = [i for i in (top - 1, top // 2) if 0 <= i < top]
        combinations: dict[str, tuple[int, ...]] = {f"level {i}": (i,) for i in below_top[:1]}
        combinations |= {f"levels {i} and top": (i, top) for i in below_top}
        return combinations | ({"all levels": tuple(range(top + 1))} if 2 < top + 1 <= 8 else {})

    def _head_scores(self, levels: tuple[int, ...], learn: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        x = self.features[:, np.concatenate([self.columns[i] for i in levels])]
        groups = tuple(self.data.groups[i] for i in learn) if self.data.groups else ()
        part = Features(x[learn], self.data.y[learn], tuple(self.data.ids[i] for i in learn), groups)
        return fit_probe(self.objective, part, np.random.default_rng(self.seed)).scores(x[held_out])

    def try_methods(self, candidates: list[str]) -> None:
        """What usually gains; else each on the first split, and the best of them, or its like, on all."""
        self.order = candidates
        for name in candidates:
            if self._prior(name)[0] >= TRY_FIRST and self._has_time():
                gain = self._try(name, self.splits)
                if gain is not None and gain.mean > CLEAR * gain.sd:
                    return
        for name in self.order:
            if name not in self.results and self._has_time():
                self._try(name, self.splits[:1])
        gains = {name: self.results[name]["gain"] for name in self.order if "gain" in self.results.get(name, {})}
        promising = [name for name, gain in gains.items() if gain.mean + gain.sd > WORTHWHILE]
        if promising and self._has_time():
            self._try(self._first_of_the_best(promising), self.splits)

    def _gain(self, name: str, missing: float) -> float:
        """Posterior mean of a candidate's gain; `missing` where it was not tried or refused."""
        result = self.results.get(name, {})
        return result["gain"].mean if "gain" in result else missing

    def _first_of_the_best(self, candidates: list[str]) -> str:
        """The first whose gain cannot be told from the largest: they stand in order of steadiness."""
        best = max(candidates, key=lambda name: self._gain(name, -1.0))
        least = self._gain(best, -1.0) - SURE * self.results[best]["gain"].sd
        return next(name for name in candidates if self._gain(name, -1.0) >= least)

    def _has_time(self) -> bool:
        return time.perf_counter() - self.began < 60 * self.settings.minutes

    def _method(self, name: str, fraction: float = 1.0) -> Any:
        """fraction: of the examples that it learns from; fewer are seen as often in fewer steps"""
        return member("methods", name).Settings(steps=max(10, round(fraction * self.settings.steps)))

    def _try(self, name: str, splits: list) -> GainPosterior | None:
        """Fits and judges, on from where it was left, until its gain is clear; None for a method that declines."""
        self.say("race", {"method": name, "splits": len(splits) - self.results.get(name, {}).get("folds", 0)})
        known, gain = self.results.get(name, {}), None
        scores = [known["scores"]] if known else []
        try:
            for learn, held_out in splits[known.get("folds", 0) :]:
                part = self.data.rows(learn)
                nothing = part.rows(np.zeros(0, np.int64))
                rng = np.random.default_rng(self.seed)
                method = self._method(name, len(part) / len(self.data))
                fitted = method.fit(part, nothing, self.objective, above=self.above, rng=rng)
                scores.append(fitted.scores(take_rows(self.data.x, held_out)))
                done = self.results.get(name, {}).get("folds", 0) + 1
                gain = self._enter(name, np.concatenate(scores), folds=done)
                if abs(gain.mean) > CLEAR * gain.sd or gain.mean + HOPELESS * gain.sd < WORTHWHILE:
                    break
        except HeadstartError as refusal:
            self.results[name] = {"refused": str(refusal)}
            return None
        gain = gain or known["gain"]
        self.say("tried", {"method": name, "judged": self.results[name]["judged"], "gain": gain.mean, "doubt": gain.sd})
        return gain

    def _enter(self, name: str, scores: np.ndarray, **facts: Any) -> GainPosterior:
        """Keeps a candidate's merit on the first splits, and the posterior of its gain over the probe."""
        y = self.data.y[self.held_out[: len(scores)]]
        merits = example_merits(self.objective, scores, y)
        # The probe's on the same examples: how confident calibrated answers are depends on their number.
        probe_scores = self.results["probe"]["scores"][: len(scores)] if name != "probe" else scores
        probe_merits = example_merits(self.objective, probe_scores, y)
        scale = abs(float(probe_merits.mean())) if self.objective.link == "identity" else 1.0
        gain = expected_gain.gain_posterior((merits - probe_merits) / max(scale, 1e-12), *self._prior(name))
        merit = float(merits.mean())
        self.results[name] = {"scores": scores, "merit": merit, "gain": gain, "judged": len(scores), **facts}
        return gain

    def _prior(self, name: str) -> tuple[float, float]:
        """Mean and standard deviation of a candidate's gain on other data like these."""
        headroom = 1 - self.results["probe"]["merit"] if self.objective.link == "softmax" and self.results else 0.0
        traits = traits_of(member("methods", name).Settings) if name in names("methods") else None
        return expected_gain.gain_prior(traits, self.kinds, has_few_labels(self.data, self.objective), headroom)

    def finish(self, train: Features, val: Features) -> Winner:
        """The best of those that are surely better than the probe, fitted on everything."""
        from headstart.training.tuning import intermediate_features

        table, sure = [], ["probe"]
        for name, result in self.results.items():
            stored: dict[str, Any] = {k: result[k] for k in ("merit", "judged", "refused", "which") if k in result}
            entry = {"method": name, **stored}
            if "gain" in result and name != "probe":
                gain = result["gain"]
                entry |= {"gain": gain.measured, "believed": gain.mean, "doubt": gain.sd}
                sure += [name] if gain.mean > SURE * gain.sd else []
            table.append(entry)
        best = max(sure, key=lambda name: self._gain(name, 0.0))
        trained = [name for name in self.order if name in sure]
        best = self._first_of_the_best(trained) if best in trained else best
        self.say("taken", {"method": best, "steps": best in trained})
        rng = np.random.default_rng(self.seed)
        levels = self.results[best].get("which")
        if levels is not None:
            fitted: Any = intermediate_features.fit_on_levels(self.above, self.objective, self.data, levels, rng)
        else:
            fitted = self._method(best).fit(train, val, self.objective, above=self.above, rng=rng)
        seconds = time.perf_counter() - self.began
        race = {"winner": best, "sure": SURE, "table": table, "judged": len(self.held_out), "seconds": seconds}
        return Winner(fitted, "" if levels is not None else best, {**fitted.notes, "race": race})


class Winner:
    """The fitted winner of a race. by: its method, "" for a head on intermediate features"""

    def __init__(self, fitted: Any, by: str, notes: dict):
        self.fitted, self.by, self.notes = fitted, by, notes

    def scores(self, x: Any) -> np.ndarray:
        """The winner's."""
        return self.fitted.scores(x)

    def state(self) -> dict[str, np.ndarray]:
        """The winner's, and its name."""
        return {**self.fitted.state(), "by": np.frombuffer(f"{self.by} ".encode(), np.uint8)}

    def files(self) -> dict[str, bytes]:
        """The winner's."""
        return self.fitted.files()


def restore(state: dict[str, np.ndarray], above: OpenAbove) -> Winner:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import intermediate_features

    by = state["by"].tobytes().decode().strip()
    fitted = (member("methods", by) if by else intermediate_features).restore(state, above)
    return Winner(fitted, by, {})
