"""The main job as scikit-learn estimators: for pipelines, grid searches, and whatever speaks fit and predict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.cards import find_card
from headstart.backbones.catalogue import default_backbone
from headstart.core.backbone import Backbone
from headstart.core.disk_errors import disk_errors_in_words
from headstart.core.errors import PlanError, SourceError, missing_extra
from headstart.core.features import LARGEST_FEATURE, Features
from headstart.core.plan import trains_in_steps
from headstart.core.plugins import member
from headstart.core.settings import setting_texts
from headstart.core.task import Objective
from headstart.data.contents import Reading, valid_text
from headstart.data.frames import KNOWN_COLUMNS, is_frame
from headstart.data.label_spelling import composed
from headstart.data.objectives.number import LARGEST_LABEL
from headstart.data.pixel_range import judge_depth, unclear_pictures
from headstart.features.cache import store
from headstart.features.extract import embed
from headstart.workflows.planner import method_of

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise missing_extra("scikit-learn", "sklearn", "headstart.TransferClassifier") from error


class TransferClassifier(ClassifierMixin, BaseEstimator):
    """A classifier on what a frozen backbone sees in photos or texts, or on features computed elsewhere.

    X in fit and predict: a list of paths, PIL images, bytes or texts; a frame with a column of these; arrays
    (n, h, w[, 3]); or (n, d) features. Strings are texts or paths in predict as they were in fit.

    backbone:  "family:name", "own" (what comes with Headstart) or "auto" (see headstart.fit). Not for features
    method:    a file in training/methods/; settings: its fields, as {"class_weight": "balanced"}
    kind:      "image" or "text", where strings may be paths or texts
    cache_dir: where features are kept; the user's cache when None. random_state: folds are drawn from it

    Fitted: classes_, head_ (the fitted head), n_features_in_ (for features), card_ (the backbone's, None for features)
    """

    def __init__(
        self,
        backbone: str = "own",
        method: str = "logistic",
        settings: Mapping[str, object] | None = None,
        cache_dir: str | Path | None = None,
        random_state: Any = 0,
        kind: str | None = None,
    ) -> None:
        self.backbone = backbone
        self.method = method
        self.settings = settings
        self.cache_dir = cache_dir
        self.random_state = random_state
        self.kind = kind

    @disk_errors_in_words
    def fit(self, X: Any, y: Any) -> TransferClassifier:
        """Learns from examples and their labels. Gives itself.

        Raises SourceError when an input cannot be read, or ValueError for what scikit-learn refuses.
        """
        rows, y = _fit_rows(self, X, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(_one_form(y), return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Two classes are the least; y holds only 1 class, {self.classes_[0]!r}.")
        objective = member("objectives", "classes").restore({"names": [valid_text(str(c)) for c in self.classes_]})
        self.head_ = _head(self, rows, codes.astype(np.int64), objective)
        self.objective_ = objective
        return self

    @disk_errors_in_words
    def predict_proba(self, X: Any) -> np.ndarray:
        """(n, classes) calibrated probabilities, in the order of classes_."""
        check_is_fitted(self)
        return self.objective_.probabilities(self.head_.scores(_rows(self, X))).astype(np.float64)

    @disk_errors_in_words
    def predict(self, X: Any) -> np.ndarray:
        """(n,) labels as they were given."""
        check_is_fitted(self)
        return self.classes_[self.head_.scores(_rows(self, X)).argmax(1)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy; a label in the other form of Unicode than its class (NFC or NFD) is that class."""
        check_is_fitted(self)
        forms = {composed(name): name for name in self.classes_.tolist() if isinstance(name, str)}
        given = np.asarray(y)
        if forms and given.dtype.kind in "UO":
            given = np.array([forms.get(composed(v), v) if isinstance(v, str) else v for v in given.tolist()])
        return super().score(X, given, sample_weight)


class TransferRegressor(RegressorMixin, BaseEstimator):
    """A regressor on what a frozen backbone sees; arguments and inputs are those of TransferClassifier."""

    def __init__(
        self,
        backbone: str = "own",
        method: str = "ridge",
        settings: Mapping[str, object] | None = None,
        cache_dir: str | Path | None = None,
        random_state: Any = 0,
        kind: str | None = None,
    ) -> None:
        self.backbone = backbone
        self.method = method
        self.settings = settings
        self.cache_dir = cache_dir
        self.random_state = random_state
        self.kind = kind

    @disk_errors_in_words
    def fit(self, X: Any, y: Any) -> TransferRegressor:
        """Learns from examples and their numbers. Gives itself.

        Raises SourceError when an input cannot be read, or ValueError for what scikit-learn refuses.
        """
        rows, y = _fit_rows(self, X, y, numeric=True)
        y = np.asarray(y, np.float64)
        if (largest := np.abs(y).max()) > LARGEST_LABEL:
            raise ValueError(f"Input y contains {largest:g}, a value too large: {LARGEST_LABEL:g} is the most.")
        # A constant y is legal here: its spread of 0 is taken as 1.
        scale = {"mean": float(y.mean()), "spread": float(y.std()) or 1.0}
        self.objective_ = member("objectives", "number").restore(scale)
        self.head_ = _head(self, rows, self.objective_.encode(y.tolist()), self.objective_)
        return self

    @disk_errors_in_words
    def predict(self, X: Any) -> np.ndarray:
        """(n,) numbers, in the unit of y."""
        check_is_fitted(self)
        return np.asarray(self.objective_.decode(self.head_.scores(_rows(self, X))), np.float64)


def _one_form(y: np.ndarray) -> np.ndarray:
    """Labels of which none are equal to Unicode in two forms: then all are in NFC, else as they were given."""
    if y.dtype.kind not in "UO" or all(v.isascii() for v in y.tolist() if isinstance(v, str)):
        return y
    forms = [composed(v) if isinstance(v, str) else v for v in y.tolist()]
    return np.array(forms, dtype=y.dtype) if len(set(forms)) < len(set(y.tolist())) else y


def _fit_rows(estimator, x, y, numeric: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from, (n, d) float32, and y; remembers on the estimator what made them."""
    if _are_features(x):
        if estimator.backbone not in ("own", "auto"):
            raise SourceError(
                f"X holds features: backbone={estimator.backbone!r} would have nothing to do. Leave it out."
            )
        x, y = validate_data(estimator, x, y, dtype=np.float64, y_numeric=numeric)
        estimator.card_ = None
        return _single_precision(x), y
    y = column_or_1d(y)
    if len(y) != len(x):
        raise ValueError(f"X has {len(x)} examples and y {len(y)} labels.")
    name = estimator.backbone
    card = None if name in ("own", "auto") else find_card(name, _root(estimator))
    kind = estimator.kind or (member("preprocess", card.preprocess.kind).SERVES[0] if card is not None else None)
    reading = member("readers", "arrays").read((_listed(x), None), label="", input=None, kind=kind)
    if card is None:
        card = find_card(default_backbone(reading.kind, allow_hub=name == "auto")[0], _root(estimator))
    pixel_range = judge_depth(reading.examples[""], _root(estimator)).range if reading.kind == "image" else None
    estimator.card_, estimator.contract_ = card.with_range(pixel_range or ()), reading.contract
    return _embedded(estimator, reading), y


def _rows(estimator, x) -> np.ndarray:
    """(n, d) float32 at the top of the estimator's backbone, from the cache where they are there."""
    card: Backbone | None = estimator.card_
    if card is None:
        return _single_precision(validate_data(estimator, x, dtype=np.float64, reset=False))
    if _are_features(x):
        raise ValueError(f"X holds features; this estimator was fitted on inputs for {card.name}.")
    contract = estimator.contract_
    return _embedded(
        estimator,
        member("readers", "arrays").read(
            (_listed(x), None), label="", input=None, kind=contract.kind, contract=contract
        ),
    )


def _embedded(estimator, reading: Reading) -> np.ndarray:
    """(n, d) float32 of what was read. Raises ValueError for another kind, SourceError for what cannot be read."""
    card: Backbone = estimator.card_
    if reading.kind not in member("preprocess", card.preprocess.kind).SERVES:
        raise ValueError(f"X holds {reading.kind}; {card.name} does not read that.")
    examples = reading.examples[""]
    rows = embed(examples, card, card.cut(len(card.blocks)), _root(estimator))
    judged = reading.kind != "image" or card.preprocess.pixel_range
    reasons = rows.reasons | ({} if judged else unclear_pictures(examples))
    bad = [f"{a.id}: {a.reason}" for a in reading.aside] + [f"{examples[i].id}: {r}" for i, r in reasons.items()]
    if bad:
        raise SourceError(
            f"{len(bad)} inputs cannot be read, and an estimator answers all or none: {'; '.join(bad[:5])}."
        )
    return rows.x


def _single_precision(x: np.ndarray) -> np.ndarray:
    """Features as they are computed with. Raises ValueError where products of them would have no end."""
    if (largest := np.abs(x).max(initial=0.0)) > LARGEST_FEATURE:
        raise ValueError(f"Input X contains {largest:g}, a value too large: {LARGEST_FEATURE:g} is the most.")
    return x.astype(np.float32)


def _head(estimator, rows: np.ndarray, y: np.ndarray, objective: Objective):
    train = Features(rows, y, tuple(map(str, range(len(rows)))))
    chosen = method_of(estimator.method, setting_texts(estimator.settings))
    if trains_in_steps(chosen):
        raise PlanError(
            f"method={estimator.method!r} trains above a cut; the estimators train heads. Use headstart.fit."
        )
    seed = estimator.random_state
    seed = seed if isinstance(seed, int) else int(check_random_state(seed).randint(2**31))
    nothing = train.rows(np.zeros(0, np.int64))
    return chosen.fit(train, nothing, objective, above=_no_network, rng=np.random.default_rng(seed))


def _no_network():
    raise AssertionError("the estimators train heads only")


def _root(estimator) -> Path:
    return Path(estimator.cache_dir) if estimator.cache_dir is not None else store.default_root()


def _are_features(x) -> bool:
    """Whether x is a table of numbers rather than photos or texts."""
    if isinstance(x, list | tuple):
        return not x or isinstance(x[0], int | float | np.number) or (isinstance(x[0], list | tuple))
    if isinstance(x, np.ndarray) and x.ndim > 2:
        return False
    if is_frame(x) and {str(name).lower() for name in x.columns} & KNOWN_COLUMNS:
        return False
    kinds = {np.dtype(t).kind if isinstance(t, np.dtype) else "O" for t in _dtypes(x)}
    words = bool(kinds) and kinds <= set("OUST")
    # A column of words is texts; a table of words is scikit-learn's to refuse.
    return not words or (np.ndim(x) == 2 and np.shape(x)[1] != 1)


def _dtypes(x) -> list:
    """Of an array, a series or a frame."""
    several = getattr(x, "dtypes", None)
    if several is not None and np.ndim(several) == 1:
        return list(several)
    one = getattr(x, "dtype", None)
    return [] if one is None else [one]


def _listed(x):
    """Photos and texts one after the other; a frame stays what it is, for its columns have names."""
    if isinstance(x, list | tuple) or is_frame(x):
        return x if is_frame(x) else list(x)
    array = np.asarray(x)
    return array if array.ndim > 2 else list(array.ravel())
