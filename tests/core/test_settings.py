"""Settings that were renamed: a former name that is typed is answered with today's, and one that was stored is read."""

from dataclasses import fields, make_dataclass

import pytest

from headstart.core.errors import PlanError
from headstart.core.plugins import member, names
from headstart.core.settings import RENAMED, current_name, current_settings, own_name, settings_of

# Every setting of every method in Headstart 0.1, under its name there, and what it is called today if not the same.
TUNED = {"batch": "batch_size", "rate": "learning_rate", "smooth": "label_smoothing", "steps": "", "views": ""}
ADAPTED = {**TUNED, "blocks": ""}
LAYERED = {**TUNED, "decay": "layer_decay"}
FINETUNED = {**LAYERED, "norms": "batch_norm"}
FORMER = {
    "adapter": {**ADAPTED, "width": "bottleneck"},
    "auto": {"batch": "batch_size", **dict.fromkeys(("blocks", "methods", "minutes", "steps", "folds", "views"), "")},
    "bias": ADAPTED,
    "centroid": {"folds": ""},
    "compact": {**TUNED, "width": "", "weight": "weight_decay"},
    "contrast": {
        **{k: v for k, v in LAYERED.items() if k != "smooth"}, "blocks": "", "pairs": "", "heat": "temperature",
    },
    "finetune": {**FINETUNED, "blocks": ""},
    "full": FINETUNED,
    "gradual": {**FINETUNED, "blocks": ""},
    "ia3": ADAPTED,
    "knn": {"neighbours": "n_neighbors"},
    "logistic": {"strengths": "", "folds": "", "weights": "class_weight", "calibrate": "calibration"},
    "lora": {**ADAPTED, "rank": "", "form": "variant"},
    "lpft": {**FINETUNED, "blocks": ""},
    "mlp": {
        "units": "hidden_units", "rate": "learning_rate", "decay": "weight_decay", "dropout": "", "passes": "epochs",
        "patience": "", "weights": "class_weight",
    },
    "prefix": {**ADAPTED, "tokens": ""},
    "prompt": {**ADAPTED, "tokens": ""},
    "ridge": {"strengths": "", "folds": ""},
    "scratch": {**TUNED, "weight": "weight_decay"},
    "wise": {**LAYERED, "blocks": "", "share": "alpha"},
    "zeroshot": {"templates": "", "labels": ""},
}  # fmt: skip
CHANGED = [(method, old, new) for method, settings in FORMER.items() for old, new in settings.items() if new]


def test_these_are_all_methods_and_all_their_settings():
    assert FORMER.keys() == set(names("methods"))
    for method, settings in FORMER.items():
        today = {f.name for f in fields(member("methods", method).Settings)}
        assert {new or old for old, new in settings.items()} == today


@pytest.mark.parametrize(("method", "old", "new"), CHANGED)
def test_a_former_name_is_answered_with_todays(method, old, new):
    module = member("methods", method)
    with pytest.raises(PlanError, match=f"^{method}: the setting '{old}' is now called '{new}': --set {new}=1$"):
        settings_of(module, {old: "1"})
    with pytest.raises(PlanError, match=f"Did you mean '{new}'"):
        settings_of(module, {old + "x": "1"})


@pytest.mark.parametrize("method", sorted(FORMER))
def test_stored_settings_are_read_under_todays_names(method):
    known = member("methods", method).Settings
    stored = dict.fromkeys(FORMER[method], 1)
    assert current_settings(known, stored) == {f.name: 1 for f in fields(known)}
    assert current_settings(known, current_settings(known, stored)) == current_settings(known, stored)


def test_a_name_that_a_member_still_has_is_not_renamed():
    compact = member("methods", "compact").Settings
    assert "width" in RENAMED and current_name(compact, "width") == "width"


def test_a_member_that_has_kept_a_former_name_is_understood():
    assert own_name(make_dataclass("Settings", ["batch", "steps"]), "batch_size") == "batch"
    assert own_name(make_dataclass("Settings", ["batch_size"]), "batch_size") == "batch_size"
    assert own_name(make_dataclass("Settings", ["shrink"]), "learning_rate") == ""
