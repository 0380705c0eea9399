"""The method that held-out examples speak for: the plain probe first, then what promises more, while it pays.

Rows of every level come from one pass above the cut. Candidates that train are judged on one fold, and only the best
goes on to the others (successive halving, Jamieson and Talwalkar 2016), or one that stands before it in their order and
cannot be told from it. The probe stays where nothing is surely better.
What is believed of a gain: gains.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.core.backbone import Backbone, Cut
from headstart.core.errors import HeadstartError, PlanError
from headstart.core.features import Features, join, picked
from headstart.core.plugins import member, names
from headstart.core.task import Objective
from headstart.training.expected_gain import Gain, believed, few, usual, worth_of
from headstart.training.heads import cross_validation
from headstart.training.heads.probe import fit_probe
from headstart.training.methods.finetune import half

if TYPE_CHECKING:
    from headstart.core.plan import Above


FEW = 100  # examples of the median class up to which pairs are tried
ENOUGH = 200  # held-out examples from which one split judges; fewer are dealt into folds
CLEAR = 2.0  # standard deviations of a believed gain from none that make further folds needless
HOPELESS = 2.0  # standard deviations above what is believed of a gain; where even that is not WORTH it, no more folds
SURE = 1.5  # standard deviations by which a believed gain must lie above none, or above that of a steadier candidate
# Trained on two thirds of 8 labels a class (trec6), contrast showed 4 of the 13 points it gains; on five sixths 17.
FOLDS, FEW_FOLDS = 3, 6
FIRST = 0.05  # what usually gains so much is tried before all others, and alone where its gain is clear
WORTH = 0.01  # a gain that is worth a whole try


@dataclass(frozen=True, slots=True)
class Settings:
    """What may take part, and for how long.

    blocks:  how many of the topmost blocks may learn; 0 = half of the backbone's
    methods: that are tried beside the probe and the levels, where they suit the labels
    minutes: that the race may take; what is not tried by then is not tried
    steps, batch: of each that trains; 0 steps = by the number of examples and the budget
    folds:   that judge, where there are too few examples for one held-out part; 0 = 6 up to 16 labels a class, else 3
    views:   stored augmented views of each photo, for those that train
    """

    blocks: int = 0
    methods: tuple[str, ...] = ("lora", "contrast", "finetune")
    minutes: float = 10.0
    steps: int = 0
    batch: int = 16
    folds: int = 0
    views: int = 0

    @property
    def joins(self) -> bool:
        """Folds of train and val together judge, where val is small."""
        return False

    def cut(self, backbone: Backbone) -> Cut:
        """Below the blocks that may learn."""
        return half(backbone, self.blocks)

    def fit(
        self,
        train: Features,
        val: Features,
        objective: Objective,
        *,
        above: Callable[[], Above],
        rng: np.random.Generator,
    ) -> Chosen:
        """Races on held-out examples, then fits the winner on all. Raises PlanError for what cannot be raced."""
        data = join(train, val) if len(val) else train
        suited = self._suited(data, objective)
        race = _Race(self, data, objective, above, int(rng.integers(2**31)))
        race.judge(_splits(train, val, data, objective, self.folds, rng))
        race.probe()
        race.tune(suited)
        return race.finish(train, val)

    def _suited(self, data: Features, objective: Objective) -> list[str]:
        """Candidates that suit the labels, the likeliest first."""
        for name in self.methods:
            if name == "auto" or "steps" not in asdict(member("methods", name).Settings()):
                raise PlanError(f"methods={name}: what is raced beside the probe trains in steps, as lora does.")
        pairs = objective.link == "softmax" and np.median(np.bincount(data.y)) <= FEW
        return [name for name in self.methods if pairs or name != "contrast"]


def _splits(train: Features, val: Features, data: Features, objective: Objective, count: int, rng) -> list:
    """[(rows to learn from, rows to judge by)] of `data`."""
    if len(val) >= ENOUGH and cross_validation.SPARE * len(val) <= len(data):  # a larger part learns too, fold by fold
        return [(np.arange(len(train)), np.arange(len(train), len(data)))]
    count = count or (FEW_FOLDS if few(data, objective) else FOLDS)
    fold = cross_validation.deal(data, objective, count, rng)
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in np.unique(fold)]


class _Race:
    """Candidates, and what each was right on."""

    def __init__(self, settings: Settings, data: Features, objective: Objective, above: Callable, seed: int):
        from headstart.training.tuning import learner

        self.settings, self.data, self.objective, self.above, self.seed = settings, data, objective, above, seed
        self.began = time.perf_counter()
        opened = above()
        self.kinds = member("preprocess", opened.card.preprocess.kind).SERVES
        self.learner = learner.Learner(opened, objective.width)
        self.say = self.learner.say
        self.top = len(self.learner.body) - 1
        self.results: dict[str, dict[str, Any]] = {}
        self.order: list[str] = []

    def judge(self, splits: list) -> None:
        """The splits that judge."""
        self.splits = splits
        self.held = np.concatenate([held for _, held in splits])

    def probe(self) -> None:
        """Heads on the top and on other levels, all from one pass."""
        from headstart.training.tuning import intermediate_features

        count = range(self.top + 1)
        rows, widths = intermediate_features.looked(self.learner, self.data.x, count)
        edges = np.cumsum([0, *widths])
        self.columns = {i: np.arange(edges[i], edges[i + 1]) for i in count}
        self.rows = rows
        for name, which in {"probe": (self.top,), **self._combinations()}.items():
            scores = [self._headed(which, learn, held) for learn, held in self.splits]
            self._enter(name, np.concatenate(scores), which=list(which))

    def _combinations(self) -> dict[str, tuple[int, ...]]:
        """Levels that are worth a look: the one below the top, the top with others, the last three."""
        top = self.top
        below_top = [i for i in (top - 1, top // 2) if 0 <= i < top]
        found: dict[str, tuple[int, ...]] = {f"level {i}": (i,) for i in below_top[:1]}
        found |= {f"levels {i} and top": (i, top) for i in below_top}
        return found | ({"all levels": tuple(range(top + 1))} if 2 < top + 1 <= 8 else {})

    def _headed(self, which: tuple[int, ...], learn: np.ndarray, held: np.ndarray) -> np.ndarray:
        x = self.rows[:, np.concatenate([self.columns[i] for i in which])]
        groups = tuple(self.data.groups[i] for i in learn) if self.data.groups else ()
        part = Features(x[learn], self.data.y[learn], tuple(self.data.ids[i] for i in learn), groups)
        return fit_probe(self.objective, part, np.random.default_rng(self.seed)).scores(x[held])

    def tune(self, candidates: list[str]) -> None:
        """What usually gains; else each on the first split, and the best of them, or its like, on all."""
        self.order = candidates
        for name in candidates:
            if self._usual(name)[0] >= FIRST and self._time():  # what helped on data like these comes first
                gain = self._try(name, self.splits)
                if gain is not None and gain.mean > CLEAR * gain.sd:
                    return
        for name in self.order:
            if name not in self.results and self._time():
                self._try(name, self.splits[:1])
        gains = {name: self.results[name]["gain"] for name in self.order if "gain" in self.results.get(name, {})}
        promising = [name for name, gain in gains.items() if gain.mean + gain.sd > WORTH]
        if promising and self._time():  # the first of those that cannot be told from the best is judged on all
            self._try(self._first(promising), self.splits)

    def _gain(self, name: str, without: float) -> float:
        """What is believed of a candidate's gain; `without` where it was not tried or refused."""
        result = self.results.get(name, {})
        return result["gain"].mean if "gain" in result else without

    def _first(self, some: list[str]) -> str:
        """Of candidates the first whose gain cannot be told from the largest: they stand in order of steadiness."""
        best = max(some, key=lambda name: self._gain(name, -1.0))
        near = self._gain(best, -1.0) - SURE * self.results[best]["gain"].sd
        return next(name for name in some if self._gain(name, -1.0) >= near)

    def _time(self) -> bool:
        return time.perf_counter() - self.began < 60 * self.settings.minutes

    def _method(self, name: str, share: float = 1.0) -> Any:
        """share: of the examples that it learns from; fewer are met as often in fewer steps"""
        return member("methods", name).Settings(steps=max(10, round(share * self.settings.steps)))

    def _try(self, name: str, splits: list) -> Gain | None:
        """Fits and judges, on from where it was left, until its gain is clear; None for a method that declines."""
        self.say("race", {"method": name, "splits": len(splits) - self.results.get(name, {}).get("folds", 0)})
        known, gain = self.results.get(name, {}), None
        scores = [known["scores"]] if known else []
        try:
            for learn, held in splits[known.get("folds", 0) :]:
                part = self.data.rows(learn)
                nothing = part.rows(np.zeros(0, np.int64))
                rng = np.random.default_rng(self.seed)
                method = self._method(name, len(part) / len(self.data))
                fitted = method.fit(part, nothing, self.objective, above=self.above, rng=rng)
                scores.append(fitted.scores(picked(self.data.x, held)))
                done = self.results.get(name, {}).get("folds", 0) + 1
                gain = self._enter(name, np.concatenate(scores), folds=done)
                if abs(gain.mean) > CLEAR * gain.sd or gain.mean + HOPELESS * gain.sd < WORTH:
                    break
        except HeadstartError as refusal:
            self.results[name] = {"refused": str(refusal)}
            return None
        gain = gain or known["gain"]
        self.say("tried", {"method": name, "judged": self.results[name]["judged"], "gain": gain.mean, "doubt": gain.sd})
        return gain

    def _enter(self, name: str, scores: np.ndarray, **facts: Any) -> Gain:
        """Keeps how a candidate did on the first splits: its merit, and what is believed of its gain."""
        held = self.held[: len(scores)]
        y = self.data.y[held]
        worth = worth_of(self.objective, scores, y)
        # The probe's on the same examples: how sure calibrated answers are depends on their number.
        known = self.results["probe"]["scores"][: len(scores)] if name != "probe" else scores
        base = worth_of(self.objective, known, y)
        scale = abs(float(base.mean())) if self.objective.link == "identity" else 1.0
        gain = believed((worth - base) / max(scale, 1e-12), *self._usual(name))
        self.results[name] = {
            "scores": scores,
            "merit": float(worth.mean()),
            "gain": gain,
            "judged": len(scores),
            **facts,
        }
        return gain

    def _usual(self, name: str) -> tuple[float, float]:
        """What a method's gain was on other data like these."""
        room = 1 - self.results["probe"]["merit"] if self.objective.link == "softmax" and self.results else 0.0
        method = name if name in names("methods") else ""
        return usual(method, self.kinds, few(self.data, self.objective), room)

    def finish(self, train: Features, val: Features) -> Chosen:
        """The best of those that are surely better than the probe, fitted on everything."""
        from headstart.training.tuning import intermediate_features

        table, sure = [], ["probe"]
        for name, result in self.results.items():
            entry: dict[str, Any] = {
                "method": name, **{k: result[k] for k in ("merit", "judged", "refused", "which") if k in result},
            }  # fmt: skip
            if "gain" in result and name != "probe":
                gain = result["gain"]
                entry |= {"gain": gain.measured, "believed": gain.mean, "doubt": gain.sd}
                sure += [name] if gain.mean > SURE * gain.sd else []
            table.append(entry)
        best = max(sure, key=lambda name: self._gain(name, 0.0))
        trained = [name for name in self.order if name in sure]
        best = self._first(trained) if best in trained else best
        self.say("taken", {"method": best, "steps": best in trained})
        rng = np.random.default_rng(self.seed)
        which = self.results[best].get("which")
        if which is not None:
            fitted: Any = intermediate_features.headed(self.above, self.objective, self.data, which, rng)
        else:
            fitted = self._method(best).fit(train, val, self.objective, above=self.above, rng=rng)
        seconds = time.perf_counter() - self.began
        race = {"winner": best, "sure": SURE, "table": table, "judged": len(self.held), "seconds": seconds}
        return Chosen(fitted, "" if which is not None else best, {**fitted.notes, "race": race})


class Chosen:
    """What the winner learned. by: its method, "" for a head on levels"""

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


def restore(state: dict[str, np.ndarray], above: Callable[[], Above]) -> Chosen:
    """From its `state()`, on a backbone that `above` opens."""
    from headstart.training.tuning import intermediate_features

    by = state["by"].tobytes().decode().strip()
    fitted = (member("methods", by) if by else intermediate_features).restore(state, above)
    return Chosen(fitted, by, {})
