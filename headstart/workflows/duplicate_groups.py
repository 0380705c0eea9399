"""Near-duplicates across lists: groups of them, so that no split has one side judge what the other all but saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from headstart.backbones.cards import find_card
from headstart.backbones.catalogue import default_backbone
from headstart.core.backbone import Backbone
from headstart.core.errors import SourceError
from headstart.core.observations import DataSurvey, ImageStats, ReferenceOverlap
from headstart.core.options import DataOptions
from headstart.core.run import Run
from headstart.core.task import Example, Task
from headstart.data.archives import unpacked
from headstart.data.duplicates import near_duplicates
from headstart.data.duplicates.image_stats import load_image_stats
from headstart.data.pixel_range import judge_depth
from headstart.data.read import read, read_source
from headstart.features.extract import embed
from headstart.features.precision import pick_top_cut
from headstart.workflows.run_files import source_name


def read_task(source: object, data: DataOptions, backbone: str, root: Path, run: Run | None) -> Task:
    """The task of a source, with near-duplicates grouped before the split is drawn where that is asked for.

    backbone: photos are compared through it
    Raises what `read` raises, and what embedding raises where twins are grouped.
    """
    regroup = partial(group_near_duplicates, backbone=backbone, root=root, run=run) if data.group_twins else None
    if data.test is not None:
        data = replace(data, test=unpacked(data.test, root))
    return read(unpacked(source, root), data, regroup)


def group_near_duplicates(
    kind: str, examples: Sequence[Example], backbone: str, root: Path, run: Run | None
) -> tuple[str, ...]:
    """The group of each example, as its owner gave it, joined where groups hold near-duplicates; "" = alone.

    kind: of the task.  backbone: as `fit` takes it: photos are looked at through it
    Raises what embedding raises.
    """
    if kind == "text":
        return near_duplicates.group_near_duplicates(kind, examples, None)
    if backbone in ("own", "auto"):
        backbone = default_backbone(kind, allow_hub=backbone == "auto")[0]
    # Before the split nobody knows what is learned from: pictures are compared by the range of all.
    pixel_range = judge_depth(examples, root).range if kind == "image" else None
    card = find_card(backbone, root).with_range(pixel_range or ())
    index, image_stats = _embed_readable(kind, examples, card, root, run)
    readable = [examples[i] for i in index]
    groups = dict(zip(index.tolist(), near_duplicates.group_near_duplicates(kind, readable, image_stats), strict=True))
    return tuple(groups.get(i, e.group) for i, e in enumerate(examples))


def find_in_reference(survey: DataSurvey, source: object, root: Path, run: Run | None) -> ReferenceOverlap:
    """Which examples of the task the reference `source` holds too, equal or nearly.

    Raises SourceError where it holds another kind of data, and what reading and embedding raise.
    """
    task, reference = survey.task, read_source(unpacked(source, root), DataOptions(label=""))
    if reference.kind != task.kind:
        raise SourceError(f"The data are {task.kind}s, and the reference holds {reference.kind}s.")
    others = [e for part in reference.examples.values() for e in part]
    both, n_task = [*task.examples, *others], len(task.examples)
    index, image_stats = np.arange(len(both)), None
    if task.kind != "text":
        index, image_stats = _embed_readable(task.kind, both, survey.plan.backbone, root, run)
    readable = [both[i] for i in index]
    pairs = near_duplicates.find_shared_examples(task.kind, readable, image_stats, int((index < n_task).sum()))
    return ReferenceOverlap(
        task, source_name(source), len(others), tuple((readable[i].id, readable[j].id, like) for i, j, like in pairs)
    )


def _embed_readable(
    kind: str, examples: Sequence[Example], card: Backbone, root: Path, run: Run | None
) -> tuple[np.ndarray, ImageStats | None]:
    """(positions that can be read, their image statistics)."""
    rows = embed(examples, card, pick_top_cut(card, examples, root), root, run)
    readable = [examples[i] for i in rows.index]

    image_stats = load_image_stats(readable, rows.thumbnails, rows.x, root) if kind == "image" else None
    return rows.index, image_stats
