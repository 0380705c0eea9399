"""Types of the public names. Made by `make docs` from headstart/core/options.py: edit that."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headstart.core.version import __version__ as __version__
from headstart.core.errors import HeadstartError as HeadstartError
from headstart.core.errors import Stopped as Stopped
from headstart.deployment.export.export import export as export
from headstart.deployment.predict import Answer as Answer
from headstart.deployment.predict import predict as predict
from headstart.deployment.share import card as card
from headstart.deployment.share import pull as pull
from headstart.deployment.share import push as push
from headstart.reporting.fit_page import report as report
from headstart.workflows.compare import Comparison as Comparison
from headstart.workflows.estimators import TransferClassifier as TransferClassifier
from headstart.workflows.estimators import TransferRegressor as TransferRegressor
from headstart.workflows.fit import Outcome as Outcome

def compare(
    source: object,
    *,
    seed: int = 0,
    test: object = None,
    label: str | None = None,
    input: str | None = None,
    group: str | None = None,
    shots: int | None = None,
    group_twins: bool = False,
    kind: str | None = None,
    task: str | None = None,
    backbone: str = 'own',
    engine: str = '',
    weights: str = '',
    budget: str = 'normal',
    save_memory: bool = False,
    into: str | Path | None = None,
    root: Path | None = None,
    echo: Callable[[dict[str, Any]], None] | None = None,
    methods: Sequence[str] = ('probe', 'finetune', 'lora', 'lpft', 'full', 'scratch'),
    seeds: int = 3,
) -> Comparison:
    """Fits each method `seeds` times on one split and tests every pair of methods on the same test examples.

    Runs in the folder that answer the same question are not run again. A method that cannot be had here, or that a
    guard stopped, has its reason in the table; the others go on.
    Raises NameNotFound for an unknown method; what the first method raised where none could be had; and what reading
    the data raises.

    Keywords:
        seed: Split, folds and intervals are drawn from it.
        test: More data like DATA, to judge on instead of a held-out share.
        label: The column with the labels.
        input: The column with the texts, images or paths.
        group: A column; rows of one group never stand on two sides of a split.
        shots: Learn from at most so many examples of each class: what would fewer labels do?
        group_twins: Keep near-duplicates on one side of the split.
        kind: image or text, where it cannot be told.
        task: classes, tags (several a row) or number, where it cannot be told.
        backbone: What to borrow, as FAMILY:NAME; own: what comes with Headstart; auto: the best of the hub.
        engine: What runs the frozen part: torch, openvino, openvino:bfloat16. Default: what is fastest here.
        weights: The digest that the backbone's weights must have; any where empty.
        budget: quick, normal or thorough: how long a method trains that trains in steps.
        save_memory: Train in less memory, a third slower: activations are computed twice.
        into: The run's folder. Default: a new one in runs/, called like DATA.
        root: The cache folder; the user's where none is named.
        echo: Called with every event of the journal.
        methods: By commas: probe, knn, auto, contrast, bias, … `headstart methods`.
        seeds: Runs of each method, from other random numbers on one split.
    """
    ...

def fit(
    source: object = None,
    *,
    seed: int = 0,
    test: object = None,
    label: str | None = None,
    input: str | None = None,
    group: str | None = None,
    shots: int | None = None,
    group_twins: bool = False,
    kind: str | None = None,
    task: str | None = None,
    backbone: str = 'own',
    engine: str = '',
    weights: str = '',
    method: str = 'probe',
    settings: Mapping[str, object] | None = None,
    repeat: int = 0,
    find_rate: bool = False,
    budget: str = 'normal',
    save_memory: bool = False,
    into: str | Path | None = None,
    root: Path | None = None,
    echo: Callable[[dict[str, Any]], None] | None = None,
    config: str | Path | None = None,
) -> Outcome:
    """Learns a classifier, a tagger or a regressor from data, judges it, and writes a run folder.

    source: folder, table, "hub:owner/name" or arrays (X, y); `test` likewise
    Raises a child of HeadstartError for everything the user can mend; Stopped when a guard ended the run.

    Keywords:
        seed: Split, folds and intervals are drawn from it.
        test: More data like DATA, to judge on instead of a held-out share.
        label: The column with the labels.
        input: The column with the texts, images or paths.
        group: A column; rows of one group never stand on two sides of a split.
        shots: Learn from at most so many examples of each class: what would fewer labels do?
        group_twins: Keep near-duplicates on one side of the split.
        kind: image or text, where it cannot be told.
        task: classes, tags (several a row) or number, where it cannot be told.
        backbone: What to borrow, as FAMILY:NAME; own: what comes with Headstart; auto: the best of the hub.
        engine: What runs the frozen part: torch, openvino, openvino:bfloat16. Default: what is fastest here.
        weights: The digest that the backbone's weights must have; any where empty.
        method: What to train: probe (the head for the labels), finetune, lora, … `headstart methods`.
        settings: A setting of the method, as KEY=VALUE; may be repeated (in Python a dict).
        repeat: Another number trains on the same split from other random numbers.
        find_rate: Find the learning rate by a range test first; the report shows it.
        budget: quick, normal or thorough: how long a method trains that trains in steps.
        save_memory: Train in less memory, a third slower: activations are computed twice.
        into: The run's folder. Default: a new one in runs/, called like DATA.
        root: The cache folder; the user's where none is named.
        echo: Called with every event of the journal.
        config: plan.toml of an earlier run, which is repeated; what else is given takes its place.
    """
    ...
