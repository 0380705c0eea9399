"""Engines agree with torch, keep what they compiled, and a faster precision is only taken where answers stay."""

import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from headstart.backbones.cards import find_card
from headstart.cli import summaries
from headstart.core import hardware
from headstart.core.errors import PlanError
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.data import contents
from headstart.features import extract, precision, runner
from headstart.features.cache import maintenance, store
from headstart.features.engines import openvino
from headstart.features.precision import CandidatePrecision
from headstart.features.preprocessing_check import reference_inputs

MOBILENET = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"


@pytest.fixture
def pixels():
    return list(np.random.default_rng(0).integers(0, 256, (19, 224, 224, 3), dtype=np.uint8))


def python(code: str) -> str:
    """A process of its own, because what a library imports cannot be taken back."""
    done = subprocess.run([sys.executable, "-c", code, os.environ["HEADSTART_CACHE"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_compiled_once_is_opened_without_torch_and_agrees_with_it(hub):
    pytest.importorskip("openvino")
    begin = f"""
import sys
from pathlib import Path
import numpy as np
from headstart.features import runner
from headstart.backbones.cards import find_card
root = Path(sys.argv[1])
card = find_card("{MOBILENET}", root)
top = card.cut(len(card.blocks))
units = list(np.random.default_rng(0).integers(0, 256, (19, 224, 224, 3), dtype=np.uint8))
"""
    first = """
from headstart.features.engines import torch
assert runner.start_engine(card, top, 5, root).engine == "torch float32"
running = runner.start_engine(card, top, 1000, root)
fast, exact = running.rows(units), torch.start(card, top).rows(units)
assert np.abs(fast - exact).max() <= 2e-5 * np.abs(exact).max()
"""
    both = """
running = runner.start_engine(card, top, 1000 if "torch" in sys.modules else 1, root)
rows, receipt = running.rows(units), running.receipt()
assert np.array_equal(rows, running.rows(units))
assert not receipt.moved and receipt.tensors > 100 and receipt.engine == "openvino float32"
assert sys.modules["openvino_telemetry"] is None
print(receipt.digest_after, rows.sum())
"""
    once = python(begin + first + both)
    again = python(begin + both + "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)")
    assert once == again


def test_texts_are_compiled_at_any_length_and_at_any_cut(text, tmp_path):
    pytest.importorskip("openvino")
    card = find_card(text, tmp_path)
    dice = np.random.default_rng(0)
    units = [dice.integers(4, 30, n).astype(np.int32) for n in (3, 8, 5, 8, 2)]
    for at in (2, 4):
        cut = card.cut(at)
        ours = runner.start_engine(card, replace(cut, engine="openvino"), 1, tmp_path).rows(units)
        theirs = member("engines", "torch").start(card, cut).rows(units)
        for a, b, unit in zip(ours, theirs, units, strict=True):
            assert a.shape == b.shape and (at == 4 or len(a) == len(unit))
            assert np.abs(a - b).max() <= 1e-5


@pytest.mark.parametrize("damage", ["cut", "mixed.xml"])
def test_a_graph_that_is_not_what_was_written_is_made_again(vision, tmp_path, damage):
    pytest.importorskip("openvino")
    card = find_card(vision, tmp_path)
    top = card.cut(len(card.blocks))
    units = [np.zeros((64, 64, 3), np.uint8)]
    rows = openvino.start(card, top, tmp_path).rows(units)
    (net,) = tmp_path.glob("compiled/*/net.bin")
    if damage == "cut":
        net.write_bytes(net.read_bytes()[:100])
    else:
        content = bytearray(net.with_name(damage).read_bytes())
        content[len(content) // 2] ^= 1
        net.with_name(damage).write_bytes(content)
    assert np.array_equal(openvino.start(card, top, tmp_path).rows(units), rows)
    assert net.stat().st_size > 100 and not maintenance.verify(tmp_path)


def test_a_graph_that_cannot_be_kept_computes_all_the_same(vision, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    card = find_card(vision, tmp_path)
    top = card.cut(len(card.blocks))
    units = [np.zeros((64, 64, 3), np.uint8)]
    rows = openvino.start(card, top, tmp_path / "kept").rows(units)

    write, refused = openvino._write_graph, []

    def refuse(library, model, folder, *names):
        if folder.is_relative_to(tmp_path):
            refused.append(folder)
            raise OSError(30, "Read-only file system", str(folder))
        write(library, model, folder, *names)

    monkeypatch.setattr(openvino, "_write_graph", refuse)
    assert np.array_equal(openvino.start(card, top, tmp_path / "ro").rows(units), rows)
    assert refused


def test_graphs_are_part_of_the_cache_and_go_when_it_is_full(vision, tmp_path):
    card = find_card(vision, tmp_path)
    for at in (3, 6):
        openvino.start(card, card.cut(at), tmp_path)
    listed = maintenance.list_items(tmp_path)
    held = {h.cut: h for h in listed if h.kind == "graph"}
    rest = sum(h.bytes for h in listed if h.kind != "graph")
    assert sorted(held) == [3, 6] and {h.backbone for h in held.values()} == {card.name}
    assert "graph" in summaries.cache_table([asdict(h) for h in held.values()], 0, "here")
    os.utime(tmp_path / "compiled" / held[6].key / "used", (1000, 1000))
    assert maintenance.evict(tmp_path, held[3].bytes + rest) == [held[6].key]
    openvino.start(card, card.cut(3), tmp_path)  # what is left is whole
    assert maintenance.clear(tmp_path, card.name) == held[3].bytes
    assert not [h for h in maintenance.list_items(tmp_path) if h.kind == "graph"]


def test_bfloat16_lies_on_a_shelf_of_its_own_and_torch_can_compute_in_it(vision, tmp_path):
    card = find_card(vision, tmp_path)
    top = card.cut(len(card.blocks))
    half = replace(top, precision="bfloat16")
    units = list(np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8))
    exact, rough = (member("engines", "torch").start(card, cut).rows(units) for cut in (top, half))
    assert 1e-5 < np.abs(exact - rough).max() / np.abs(exact).max() < 0.1
    assert store.shelf_key(card, top) != store.shelf_key(card, half)
    assert store.shelf_key(card, top) == store.shelf_key(card, replace(top, engine="torch"))


def test_where_bfloat16_loses_most_float32_can_be_kept(hub, tmp_path):
    if "mixed" not in openvino.precisions():
        pytest.skip("this processor has one precision")
    card = find_card(MOBILENET, tmp_path)
    top = card.cut(len(card.blocks))
    photos = [
        units[0] for units in member("preprocess", "image").prepare(list(reference_inputs("image")), card.preprocess)
    ]
    exact, rough, mixed = (
        openvino.start(card, replace(top, precision=p), tmp_path).rows(photos) for p in ("float32", "bfloat16", "mixed")
    )
    assert 0 < np.abs(mixed - exact).mean() < 0.5 * np.abs(rough - exact).mean()
    mine = member("engines", "torch").start(card, replace(top, precision="mixed"))  # which mixes nothing
    assert mine.engine == "torch float32" and np.abs(mine.rows(photos) - exact).max() < 1e-4


def test_an_engine_that_is_not_there_is_named_with_those_that_are(vision, tmp_path):
    card = find_card(vision, tmp_path)
    top = card.cut(len(card.blocks))
    with pytest.raises(PlanError, match=r"no engine 'tensorflow'. There are: .*torch"):
        precision.pick_precision(card, top, [], tmp_path, "tensorflow")
    with pytest.raises(PlanError, match="does not compute in 'int3'"):
        precision.pick_precision(card, top, [], tmp_path, "torch:int3")
    with pytest.raises(PlanError, match=r"'onnx' does not run timm:.* What does: .*torch"):
        runner.start_engine(card, replace(top, engine="onnx"), 1, tmp_path)


@pytest.mark.parametrize(
    ("rough", "taken"),
    [
        (CandidatePrecision("bfloat16", 9.0, cosine=0.9995), True),  # like enough for any task
        (CandidatePrecision("bfloat16", 9.0, cosine=0.95, agreement=0.995), True),  # the task's own heads do not mind
        (CandidatePrecision("bfloat16", 9.0, cosine=0.95, agreement=0.97), False),
        (CandidatePrecision("bfloat16", 9.0, cosine=0.95), False),  # nobody asked the task
        (CandidatePrecision("bfloat16", 3.0, cosine=1.0), False),  # no faster
    ],
)
def test_a_faster_precision_must_keep_the_answers(vision, tmp_path, rough, taken):
    cut, (why,) = precision._pick_fastest(
        find_card(vision, tmp_path).cut(6), [CandidatePrecision("float32", 4.0), rough]
    )
    assert (cut.precision == "bfloat16") == taken
    assert ("taken" in why) == taken and f"{rough.rate / 4.0:.1f} times as fast" in why


def test_a_race_is_run_once_on_the_tasks_own_inputs_and_remembered(vision, tmp_path, monkeypatch):
    if not hardware.has_native_bfloat16():
        pytest.skip("this processor has one precision")
    from headstart.data.demo.photos import write_photos

    write_photos(tmp_path / "photos", 24)
    files = sorted(p for p in (tmp_path / "photos").rglob("*") if p.is_file())
    digests = contents.hash_files([str(f) for f in files])
    examples = [Example(f.name, f, d, f.parent.name) for f, d in zip(files, digests, strict=True)]
    card, root, said = find_card(vision, tmp_path), tmp_path / "root", []
    top = card.cut(len(card.blocks))
    assert precision.pick_precision(card, top, examples, root) == (top, [])  # too few to be worth a race
    monkeypatch.setattr(precision, "MIN_INPUTS", 10)
    assert precision.pick_precision(card, top, examples, root) == (top, [])  # and too fast
    monkeypatch.setattr(precision, "MIN_SECONDS", 0.0)
    cut, (why,) = precision.pick_precision(card, top, examples, root, emit=lambda event, facts: said.append(event))
    assert said == ["racing"] and "bfloat16 is" in why and "cosine" in why
    again, (same,) = precision.pick_precision(card, top, examples, root, emit=lambda event, facts: said.append(event))
    assert (again, same, said) == (cut, why, ["racing"])
    extract.embed(examples, card, top, root)
    assert precision.pick_precision(card, top, examples, root) == (
        top,
        [],
    )  # what lies there in float32 is not made again


def test_rows_in_bfloat16_are_held_against_the_library_in_float32(hub, real_data, tmp_path):
    """What MobileNetV2 rounds is no wrong preparation; and what was fitted in bfloat16 answers in it."""
    if not hardware.has_native_bfloat16():
        pytest.skip("this processor has one precision")
    from headstart.deployment import predict
    from headstart.workflows import fit

    few = tmp_path / "few"
    for name in ("ants", "bees"):
        (few / name).mkdir(parents=True)
        for photo in sorted((real_data / "hymenoptera" / "train" / name).iterdir())[:24]:
            os.symlink(photo, few / name / photo.name)
    root = tmp_path / "root"
    found = fit.fit(few, into=tmp_path / "run", backbone=MOBILENET, engine="openvino:bfloat16", root=root)
    assert found.result["plan"]["precision"] == "bfloat16" and not found.result["frozen"]["moved"]
    assert "preprocess" not in {finding["guard"] for finding in found.result["findings"]}
    photo = next((few / "ants").iterdir())
    (answer,) = predict.predict(tmp_path / "run", [photo], root=root)
    assert answer.label == "ants"
