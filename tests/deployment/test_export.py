"""An exported model answers what the model answers, from the bytes of a file on; or nothing is written."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import headstart
from headstart.core.backbone import Preprocess
from headstart.core.errors import ArtifactError, NameNotFound, PlanError, SourceError
from headstart.core.features import Features
from headstart.core.head import Head
from headstart.core.plugins import member
from headstart.deployment.export.calibration_inputs import witness_inputs
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.export.parity import (
    ExportResult,
    Outputs,
    check_parity,
    exported_outputs,
    measure_parity,
    reference_outputs,
)
from headstart.deployment.export.torch_module import PixelModule, build_torch_module
from headstart.deployment.model_folder import load
from headstart.features.cache import store
from headstart.features.preprocess import image
from headstart.features.runner import start_engine

SPECS = [
    ("center", 0.875, (3, 32, 32), "bicubic"),
    ("center", 1.0, (3, 24, 40), "bilinear"),
    ("squash", 0.9, (3, 28, 28), "lanczos"),
    ("border", 1.0, (3, 24, 40), "hamming"),
    ("center", 1.3, (3, 32, 32), "box"),
    ("squash", 1.0, (3, 20, 20), "nearest"),
]


def session(spec):
    """Only what a graph does to a photo before its network."""
    import onnxruntime as ort
    from onnx import TensorProto, helper

    from headstart.deployment.export.onnx_builder import GraphBuilder, build_model
    from headstart.deployment.export.onnx_resize import resize_and_crop

    builder = GraphBuilder()
    seen = resize_and_crop(builder, builder.value("pixels"), spec)
    nodes = [*builder.nodes, helper.make_node("Identity", [seen.name], ["y"])]
    inputs = [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [None, None, None, 3])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3, None, None])]
    made = build_model(nodes, builder.constants, inputs, outputs)
    return ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def sessions():
    made = []
    for mode, share, size, filter_ in SPECS:
        facts = {"crop_mode": mode, "crop_pct": share, "input_size": size, "interpolation": filter_}
        spec = Preprocess("image", tuple({**facts, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.2)}.items()))
        made.append((spec, session(spec)))
    return made


sides = st.integers(1, 30) | st.integers(1, 400)


@settings(max_examples=60, deadline=None)
@given(h=sides, w=sides, which=st.integers(0, len(SPECS) - 1), seed=st.integers(0, 99))
def test_a_graph_resizes_bit_for_bit_as_pillow_does(sessions, h, w, which, seed):
    spec, graph = sessions[which]
    pixels = np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)
    truth = np.asarray(image._resize_and_crop(Image.fromarray(pixels), dict(spec.settings)))
    (y,) = graph.run(None, {"pixels": pixels[None]})
    assert np.array_equal(y[0].transpose(1, 2, 0), truth)


def test_a_graph_cuts_the_ends_of_a_ribbon_and_takes_several_photos_at_once(sessions):
    spec, graph = sessions[0]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 2000, 3), dtype=np.uint8)
    (y,) = graph.run(None, {"pixels": pixels})
    for one, photo in zip(y, pixels, strict=True):
        truth = np.asarray(image._resize_and_crop(Image.fromarray(photo), dict(spec.settings)))
        assert np.array_equal(one.transpose(1, 2, 0), truth)


def test_the_floor_and_static_vectors_are_the_same_in_torch():
    import torch

    from headstart.deployment.export.torch_twins import HashedBag, ImageStatistics, StaticVectors

    rng = np.random.default_rng(0)
    card = member("backbones", "stats").card("")
    soft = np.asarray(Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((128, 128)))
    units = [soft, rng.integers(0, 256, (128, 128, 3), dtype=np.uint8), np.full((128, 128, 3), 77, np.uint8)]
    pixels = torch.from_numpy(np.stack(units).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    assert np.abs(ImageStatistics()(pixels).numpy() - start_engine(card, card.cut(1)).rows(units)).max() < 1e-5
    texts = ["hello world", "a", "it is not the same, is it? " * 9]
    for family, local, kind in (("own", "text-static", "pieces"), ("stats", "text", "words")):
        member("backbones", family).files(local)
        card = member("backbones", family).card(local)
        units = [some[0] for some in member("preprocess", kind).prepare(texts, card.preprocess)]
        ids = np.zeros((3, max(map(len, units))), np.int64)
        mask = np.zeros_like(ids)
        for row, unit in enumerate(units):
            ids[row, : len(unit)], mask[row, : len(unit)] = unit, 1
        module = (
            HashedBag() if family == "stats" else StaticVectors(member("backbones", "own").parts(card)[1][0].tensors)
        )
        made = module({"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}).numpy()
        assert np.abs(made - start_engine(card, card.cut(1)).rows(units)).max() < 1e-6


@pytest.mark.parametrize("method", ["logistic", "ridge", "mlp", "centroid", "knn"])
@pytest.mark.parametrize("kind", ["classes", "tags", "number"])
def test_every_head_is_the_same_as_matrices(method, kind):
    import torch

    from headstart.deployment.export.torch_module import head_module

    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 12)).astype(np.float32) + 3
    labels = {"classes": [str(int(v > 3)) for v in x[:, 0]], "number": x[:, 1].tolist()}
    labels["tags"] = [tuple(t for t, v in zip("ab", row, strict=False) if v > 3) for row in x]
    objective = member("objectives", kind).of(labels[kind])
    data = Features(x, objective.encode(labels[kind]), tuple(map(str, range(60))))
    try:
        fitted = member("methods", method).Settings().fit(data, data.rows(np.zeros(0, np.int64)), objective, above=None, rng=rng)  # fmt: skip  # noqa: E501
    except PlanError:
        pytest.skip(f"{method} is not for {kind}")
    head, truth = head_of(fitted), fitted.scores(x[:9] + 0.1)
    module = head_module(head)
    assert np.abs(module(torch.from_numpy(x[:9] + np.float32(0.1))).numpy() - truth).max() < 2e-4
    assert np.abs(head.scores(x[:9] + np.float32(0.1)) - truth).max() < 2e-5


def photos(folder: Path, n: int = 8) -> Path:
    """Two classes: bright and dark noise, of odd sizes."""
    rng = np.random.default_rng(0)
    for label, low in (("bright", 120), ("dark", 0)):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            size = int(rng.integers(20, 160)), int(rng.integers(20, 160))
            small = rng.integers(low, low + 130, (5, 5, 3), dtype=np.uint8)
            Image.fromarray(small).resize(size).save(folder / label / f"{i}.png")
    return folder


def texts(file: Path) -> Path:
    lines = ["label,text"]
    for i in range(30):
        lines += [f"early,a b c d {'abcdefg'[i % 7]}", f"late,w x y z {'tuvwxyz'[i % 7]}"]
    lines += ["late," + "x y z w " * 12]
    file.write_text("\n".join(lines))
    return file


def answered(folder: Path, *items: str) -> list[dict]:
    """What the program beside an export prints: it runs without Headstart."""
    done = subprocess.run([sys.executable, folder / "predict.py", *items], capture_output=True, text=True, check=True)
    assert "headstart" not in (folder / "predict.py").read_text()
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def same(found: list[dict], truth: list, apart: float = 1e-3) -> bool:
    return all(
        f.keys() == t.probabilities.keys() and max(abs(f[k] - t.probabilities[k]) for k in f) < apart
        for f, t in zip(found, truth, strict=True)
    )


TUNED = {"lora": {}, "prompt": {}, "prefix": {}, "adapter": {}, "ia3": {}, "bias": {}, "finetune": {}, "scratch": {}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """Photos, and a cache that fits on them share: their features and the compiled network are made once."""
    place = tmp_path_factory.mktemp("shared")
    photos(place / "data")
    return place


@pytest.mark.parametrize("method", TUNED)
def test_what_every_method_learned_is_the_same_in_one_module(method, vision, shared, tmp_path):
    import torch

    from headstart.deployment.export.torch_module import build_torch_module

    options, root = {"steps": "3", "batch_size": "8"}, shared / "cache"
    headstart.fit(shared / "data", backbone=vision, method=method, settings=options, into=tmp_path / "run", root=root)
    model, running = load(tmp_path / "run", root)
    contents = witness_inputs(model)
    mine = reference_outputs(model, running, contents)
    pixels = torch.from_numpy(np.stack(mine.network_inputs).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        row, _, shares = (x.numpy() for x in build_torch_module(model)(pixels))
    assert np.abs(shares - mine.probabilities).max() < 1e-4
    assert np.abs(row - mine.embedding).max() < 1e-3 * np.abs(mine.embedding).max()


@pytest.fixture(scope="module")
def tuned(vision, shared):
    """A small vision transformer with LoRA, and its photos."""
    options, root = {"steps": "6", "batch_size": "8", "views": "0"}, shared / "cache"
    headstart.fit(shared / "data", backbone=vision, method="lora", settings=options, into=shared / "run", root=root)
    return shared


@pytest.mark.parametrize("to", ["onnx", "openvino", "torch", "timm"])
def test_programs_beside_an_export_answer_as_the_model_does(to, tuned):
    done = headstart.export(tuned / "run", to, root=tuned / "cache")
    some = [str(tuned / "data" / "dark" / "1.png"), str(tuned / "data" / "bright" / "2.png")]
    truth = headstart.predict(tuned / "run", some, root=tuned / "cache")
    assert same(answered(done.folder, *some), truth)
    assert done.facts["largest_difference"] <= done.facts["tolerance"]
    listed = {str(p.relative_to(done.folder)) for p in done.folder.rglob("*") if p.is_file()} - {"export.json"}
    assert set(done.facts["files"]) == listed


def test_an_adapter_opens_with_peft_on_the_borrowed_network(tuned):
    done = headstart.export(tuned / "run", "peft", root=tuned / "cache")
    assert done.facts["largest_difference"] < 1e-3
    assert sum(facts["bytes"] for facts in done.facts["files"].values()) < 200_000


@pytest.fixture(scope="module")
def text_run(text, tmp_path_factory) -> Path:
    """A folder with a probe of short texts, its run, and its cache."""
    place = tmp_path_factory.mktemp("texts")
    headstart.fit(texts(place / "t.csv"), backbone=text, into=place / "run", root=place / "cache")
    return place


@pytest.mark.parametrize("to", ["onnx", "torch", "transformers"])
def test_texts_long_ones_too_are_answered_without_headstart(to, text_run):
    done = headstart.export(text_run / "run", to, root=text_run / "cache")
    some = ["a b c", "w x y z w x y z w x y z a b c d e f g", "k"]
    truth = headstart.predict(text_run / "run", some, root=text_run / "cache")
    assert same(answered(done.folder, *some), truth)


def test_the_default_for_texts_is_one_graph_and_a_head_for_numpy(tmp_path):
    headstart.fit(texts(tmp_path / "t.csv"), into=tmp_path / "run")
    done = headstart.export(tmp_path / "run", "onnx", into=tmp_path / "graph")
    some = ["what is a b c?", "x" * 300]
    assert same(answered(done.folder, *some), headstart.predict(tmp_path / "run", some))
    import onnxruntime as ort

    said = ort.InferenceSession(str(done.folder / "model.onnx")).get_modelmeta().custom_metadata_map
    assert json.loads(said["labels"]) == ["early", "late"]
    head = headstart.export(tmp_path / "run", "numpy")
    model, running = load(tmp_path / "run", store.default_root())
    mine = reference_outputs(model, running, some)
    np.save(tmp_path / "row.npy", mine.embedding[0])
    (found,) = answered(head.folder, str(tmp_path / "row.npy"))
    assert abs(found["early"] - mine.probabilities[0, 0]) < 1e-5


def test_the_default_for_photos_is_one_module_with_its_statistics(shared):
    headstart.fit(shared / "data", into=shared / "default", root=shared / "cache")
    model, running = load(shared / "default", shared / "cache")
    module, contents = PixelModule(build_torch_module(model)), witness_inputs(model)

    def run(unit):
        return tuple(output.numpy() for output in module(torch.from_numpy(np.array(unit))[None]))

    mine, found = reference_outputs(model, running, contents), exported_outputs(model, contents, run)
    assert measure_parity(model, mine, found).largest < 1e-4


def test_an_export_into_the_folder_where_one_stands(tmp_path, monkeypatch):
    headstart.fit(texts(tmp_path / "t.csv"), into=tmp_path / "run", backbone="stats:text", root=tmp_path / "cache")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = headstart.export(tmp_path / "run", "numpy", into=".", root=tmp_path / "cache")
    assert done.folder == tmp_path / "here" and (done.folder / "export.json").is_file()
    with pytest.raises(SourceError, match="root of a disk"):
        headstart.export(tmp_path / "run", "numpy", into="/", root=tmp_path / "cache")


def test_what_the_program_prints_of_a_name_steers_no_terminal(tmp_path):
    names = ["\x9b31m\u202e\u2066 a", "é"]
    rows = [json.dumps({"text": f"word{i % 2} {i}", "label": names[i % 2]}) for i in range(60)]
    (tmp_path / "t.jsonl").write_text("\n".join(rows))
    headstart.fit(tmp_path / "t.jsonl", into=tmp_path / "run", backbone="stats:text", root=tmp_path / "cache")
    done = headstart.export(tmp_path / "run", "numpy", root=tmp_path / "cache")
    np.save(tmp_path / "row.npy", np.zeros(load(tmp_path / "run", tmp_path / "cache")[0].backbone.width, np.float32))
    program = [sys.executable, done.folder / "predict.py", tmp_path / "row.npy"]
    said = subprocess.run(program, capture_output=True, check=True).stdout
    assert said.isascii() and json.loads(said).keys() == set(names)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX's")
@pytest.mark.parametrize("to", ["openvino", "torch"])
def test_a_disk_that_takes_no_more_of_an_export_is_said_in_words(to, tmp_path):
    """Libraries in C++ write these: one raises an error of its own, the other ends the process."""
    headstart.fit(texts(tmp_path / "t.csv"), into=tmp_path / "run")
    code = (
        "import resource, sys; from headstart.cli import app; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        f"sys.argv = ['headstart', 'export', {str(tmp_path / 'run')!r}, '--to', {to!r}]; sys.exit(app.run())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("Error: ") and "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "export" / to).exists()


def test_real_weights_and_photos_through_the_command(hub, real_data, tmp_path):
    data = tmp_path / "data"
    for label in ("ants", "bees"):
        (data / label).mkdir(parents=True)
        for photo in sorted((real_data / "hymenoptera" / "train" / label).iterdir())[:15]:
            (data / label / photo.name).write_bytes(photo.read_bytes())
    backbone = "timm:hf-hub:headstart-test/mobilenetv2_100.tf_in1k"
    headstart.fit(data, backbone=backbone, into=tmp_path / "run")
    command = [sys.executable, "-m", "headstart.cli", "export", str(tmp_path / "run"), "--to", "onnx", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    assert facts["largest_difference"] < 1e-5 and facts["labels"] == ["ants", "bees"]
    half = headstart.export(tmp_path / "run", "openvino").facts
    assert half["precision"] == "f16" and half["largest_difference"] < 1e-3
    assert half["files"]["model.bin"]["bytes"] < 5e6
    some = [str(p) for p in sorted((real_data / "hymenoptera" / "val" / "bees").iterdir())[:3]]
    assert same(answered(tmp_path / "run" / "export" / "onnx", *some), headstart.predict(tmp_path / "run", some), 1e-5)


def test_mistakes_say_what_to_type_and_leave_what_was_there(tuned, tmp_path):
    with pytest.raises(NameNotFound, match="Did you mean 'onnx'"):
        headstart.export(tuned / "run", "onx", root=tuned / "cache")
    with pytest.raises(PlanError, match="no network of transformers"):
        headstart.export(tuned / "run", "transformers", root=tuned / "cache")
    with pytest.raises(PlanError, match="f16, f32, int8"):
        headstart.export(tuned / "run", "openvino", settings={"precision": "f8"}, root=tuned / "cache")
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(SourceError, match="no export of Headstart"):
        headstart.export(tuned / "run", "numpy", into=tmp_path, root=tuned / "cache")
    for _ in range(2):
        headstart.export(tuned / "run", "numpy", into=tmp_path / "head", root=tuned / "cache")
    assert (tmp_path / "head.previous" / "head.npz").is_file() and not list(tmp_path.glob(".*"))


@pytest.fixture(scope="module")
def opened(tuned):
    model, running = load(tuned / "run", tuned / "cache")
    return model, reference_outputs(model, running, witness_inputs(model))


WRITTEN = ExportResult(lambda contents: None, "", ())


def test_the_same_answers_are_held_to_be_the_same(opened):
    model, mine = opened
    assert check_parity(model, mine, replace(mine), WRITTEN, "onnx") == measure_parity(model, mine, mine)


@pytest.mark.parametrize("stage", ["crop", "resize", "embedding", "scores"])
def test_the_first_stage_that_differs_is_named(stage, opened):
    model, mine = opened
    off = {
        "crop": lambda u: u[:-1],
        "resize": lambda u: np.where(np.arange(u.size).reshape(u.shape) == 7, 255 - u, u),
    }.get(stage, lambda u: u)
    row = mine.embedding * (1.1 if stage != "scores" else 1)
    said = Outputs(row, mine.probabilities[:, ::-1] * 0.9, tuple(off(u) for u in mine.network_inputs))
    with pytest.raises(ArtifactError, match=f"First to differ is the {stage}"):
        check_parity(model, mine, said, WRITTEN, "onnx")


def test_a_head_has_a_form_or_a_reason():
    with pytest.raises(PlanError, match="no form as plain matrices"):
        head_of(WRITTEN)  # type: ignore[arg-type]


def test_a_head_of_another_package_is_exported_as_ours_are():
    class Prototype:
        """What a plugin fitted, in a file of any name."""

        def head(self) -> Head:
            return Head(((np.eye(3), np.zeros(3)),), unit=True)

    x = np.random.default_rng(0).standard_normal((5, 3))
    assert np.allclose(head_of(Prototype()).scores(x), x / np.linalg.norm(x, axis=1, keepdims=True))  # type: ignore[arg-type]
    assert Head(((np.eye(2), np.zeros(2)),), unit=True).scores(np.array([[3.0, 4.0]])).tolist() == [[0.6000000238418579, 0.800000011920929]]  # fmt: skip  # noqa: E501
