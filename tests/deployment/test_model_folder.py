"""A model folder is refused wherever it is not what it says: with what, where, and what to do."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.core.errors import ArtifactError
from headstart.deployment import model_folder, stored_arrays
from tests.support.hostile_folders import (
    array,
    arrays,
    base,
    bomb,
    card,
    card_without,
    claims,
    cut_short,
    edit,
    header,
    link,
    names,
    nan,
    npy,
    overlapping,
    pickled,
    preprocess,
    raw_header,
    sealed,
    sparse,
    vast,
    witness,
)


def twice(buffer, kept) -> None:
    """Two arrays of one name."""
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("scores.npy", b"")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("scores.npy", b"")


EMPTY = {"dtype": "F32", "shape": [0, 1 << 30], "data_offsets": [0, 0]}
MANY = json.dumps({f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(60_000)}).encode()


def classes(*names):
    return card(objective={"name": "classes", "names": list(names)})


def nested(depth: int) -> dict:
    return {"in": nested(depth - 1)} if depth else {}


def members(count: int):
    """A witness of so many arrays of nothing."""

    def write(buffer, kept) -> None:
        with zipfile.ZipFile(buffer, "w") as archive:
            for n in range(count):
                archive.writestr(f"{n}.npy", b"")

    return write


REFUSALS = {
    "changed file": (edit("delta.safetensors", lambda b: b[:-1] + b"?"), r"delta.safetensors has changed.*Fit again"),
    "changed witness": (edit("witness.npz", lambda b: b + b"?"), "witness.npz has changed"),
    "missing file": (lambda p: (p / "delta.safetensors").unlink(), "delta.safetensors is missing"),
    "truncated": (cut_short, r"bytes where its header tells of"),
    "no safetensors": (lambda p: ((p / "delta.safetensors").write_bytes(b"\x80\x04K\x01."), sealed(p)), "cut short"),
    "header too long": (lambda p: ((p / "delta.safetensors").write_bytes(b"\xff" * 64), sealed(p)), "cut short"),
    "header deep": (raw_header(b"{" * 100_000), "more than 20,000 tensors|header is damaged"),
    "header a list": (raw_header(b"[1, 2]"), "header is damaged: it is .1, 2., not an object"),
    "claims more": (header(lambda f: claims(f, shape=[10**9, 10**3])), "claims other bytes than its shape"),
    "empty and vast": (header(lambda f: {**f, "x": EMPTY}), "claims the shape .* and holds nothing"),
    "many tensors": (raw_header(MANY), "more than 20,000 tensors"),
    "overlap": (header(lambda f: {**f, "twin": f["weight"]}), "claims other bytes"),
    "odd type": (header(lambda f: claims(f, dtype="BF99")), "has the type 'BF99'"),
    "a type that is none": (header(lambda f: claims(f, dtype=["F32"])), "header is damaged"),
    "negative": (header(lambda f: claims(f, shape=[-1, 2])), "header is damaged"),
    "a hole": (sparse("delta.safetensors", 1 << 33), "most of it is a hole"),
    "a hole in the witness": (sparse("witness.npz", 1 << 29), "most of it is a hole"),
    "not json": (edit("card.json", lambda b: b[:100]), r"card.json is damaged"),
    "not utf-8": (edit("card.json", lambda b: b"\xff" + b), r"card.json is damaged"),
    "deep json": (edit("card.json", lambda b: b"[" * 200_000), r"card.json is damaged"),
    "many values": (edit("card.json", lambda b: b"[" + b"{}," * 2_000_000 + b"1]"), r"more than 1,000,000 values"),
    "huge json": (edit("card.json", lambda b: b + b" " * (16 << 20)), r"16,777,216 are the most"),
    "a list": (edit("card.json", lambda b: b"[1]"), "not an object"),
    "a byte of the card": (edit("card.json", lambda b: b.replace(b'"left"', b'"lefs"')), "card.json has changed since"),
    "white space of it": (edit("card.json", lambda b: b.replace(b"\n", b" ", 1)), "card.json has changed since"),
    "its digest": (edit("card.json", lambda b: b.replace(b"sha256:", b"sha256:0", 1)), "digest by which it pins"),
    "no digest": (edit("card.json", lambda b: b.replace(b'"digest"', b'"digesu"')), "digest by which it pins"),
    "older schema": (card(schema=0), r"schema 0; this version reads 1 to 4. Fit again"),
    "newer schema": (card(schema=9), r"schema 9.*Upgrade: pip install -U headstart"),
    "schema of words": (card(schema="4"), r"schema '4'"),
    "no label map": (card_without("objective", "names"), "lacks its labels"),
    "no labels at all": (card(objective={"name": "classes", "names": []}), "lacks its labels"),
    "fewer labels": (card(objective={"name": "classes", "names": ["left"]}), "2 scores an input.*1 labels"),
    "other labels": (classes("left", "wrong"), "witness: answers: names in card.json are not those that"),
    "labels in another order": (classes("right", "left"), "names in card.json are not those that were measured"),
    "tags": (card(objective={"name": "tags", "names": ["left", "right"]}), "makes other answers of the same scores"),
    "a label twice": (classes("left", "left"), "names names 'left' twice"),
    "a label that is none": (classes("left", None), "names.1. is None, not a text"),
    "a label that is a number": (classes(1, 2), "names.0. is 1, not a text"),
    "a label in a list": (classes(["left"], ["right"]), "is .'left'., not a text"),
    "labels in a dict": (card(objective={"name": "classes", "names": {"left": 1, "right": 2}}), "not a list"),
    "labels in a word": (card(objective={"name": "classes", "names": "ab"}), "not a list"),
    "no such objective": (card(objective={"name": "os"}), "there is none among the objectives here"),
    "an objective outside": (card(objective={"name": "os.path"}), "objective.name is 'os.path'"),
    "no base": (card_without("backbone"), "lacks backbone"),
    "odd base": (card(backbone={"name": "vector:6"}), "backbone lacks weights"),
    "a further fact on the base": (base(extra=1), "backbone has 'extra', which is not known"),
    "base outside": (base(name="../errors:x"), "backbone.name is '../errors:x'"),
    "no such family": (base(name="evil:x"), "there is none among the backbones here"),
    "base with a line break": (base(name="timm:a\nb"), "backbone.name is"),
    "other base": (base(weights="sha256:" + "0" * 64), "with weights sha256:000.*the weights here are"),
    "base divided otherwise": (base(width=5), "blocks and embeddings of"),
    "vast base": (base(width=1 << 40), "backbone.width is"),
    "blocks of words": (base(blocks=[{"name": "rows", "shape": ["a"]}]), "blocks.0..shape.0. is 'a'"),
    "classes of the base": (base(source_classes=5), "source_classes is 5, not a list"),
    "licence": (base(licence={}), "licence is {}, not a text"),
    "other kind of data": (card(kind="image"), "does not read data of the kind image"),
    "no such preprocessing": (preprocess("evil"), "'evil', and there is none among the preprocess"),
    "preprocessing of another kind": (preprocess("image"), "preprocess.settings"),
    "a setting too much": (preprocess(beside="stats"), "preprocess.settings has 'beside', which is not known"),
    "width of vectors": (preprocess(width=1 << 30), "preprocess.settings.width is"),
    "method outside": (card(method="../artifact"), "method is '../artifact'"),
    "no such method": (card(method="__init__"), "there is none among the methods here"),
    "cut outside": (card(cut=7), "a cut that its base cannot have"),
    "cut of text": (card(cut="1"), "cut is '1', not a whole number"),
    "cut of yes": (card(cut=True), "cut is True, not a whole number"),
    "precision": (card(precision="float8"), "precision is 'float8', not one of"),
    "tolerance": (card(tolerance={"float32": "much"}), "tolerance.float32 is 'much'"),
    "notes": (card(notes=5), "notes is 5, not an object"),
    "notes on what is stored": (card(notes={"stored": {"half": 1}}), "notes.stored.half is 1, not true or false|lacks"),
    "deep notes": (card(notes=nested(50)), "lists in lists, more than 20 deep"),
    "summary": (card(summary=7), "summary is 7, not an object"),
    "metric": (card(summary={"accuracy": {"value": "all"}}), "summary.accuracy.value is 'all', not a number"),
    "delta": (card(delta={"bytes": "few"}), "delta.bytes is 'few', not a whole number"),
    "pins nothing": (card_without("files", "witness.npz"), "does not pin witness.npz"),
    "pin": (card(files={"delta.safetensors": 5, "witness.npz": 5}), "files.delta.safetensors is 5|has no digest"),
    "parent": (names("../secrets.json"), r"no '..', no absolute path"),
    "absolute": (names("/etc/hosts.json"), "no absolute path"),
    "backslash": (names("..\\secrets.json"), "no backslash"),
    "drive": (names("c:/secrets.json"), "plain names inside"),
    "pickle": (names("extra.pkl"), "a pickle can run code"),
    "link": (link("delta.safetensors"), "is a link that leads out of the folder"),
    "linked card": (link("card.json"), "is a link that leads out of the folder"),
    "fewer tensors": (arrays(lambda a: {"weight": a["weight"]}), "does not hold what logistic learns.*bias"),
    "more tensors": (arrays(lambda a: {**a, "extra": a["bias"]}), "extra is not of it"),
    "misshapen": (arrays(lambda a: {**a, "weight": a["weight"][:-1].copy()}), "cannot answer its witness"),
    "NaN": (arrays(nan), "'weight' holds NaN"),
    "other weights": (arrays(lambda a: {**a, "weight": -a["weight"]}), "the head gives other answers"),
}
WITNESSES = {
    "zip bomb": (witness(bomb), "may be a zip bomb"),
    "vast array": (witness(vast), r"claims the shape \(1000000000000,\)|another type that is not read"),
    "vast and empty": (npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 0), }"), "type|nothing"),
    "large and empty": (npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 0), }"), "holds nothing"),
    "brackets": (npy(b"(" * 9000), "another type that is not read"),
    "no letters": (npy(b"{'descr': '<U0', 'fortran_order': False, 'shape': (99,), }"), "another type"),
    "overlapping zip": (witness(overlapping), "claims 5,100,000 bytes"),
    "many members": (witness(members(70_000)), "its directory is larger"),
    "a member twice": (witness(twice), "'scores.npy' twice"),
    "behind its end": (witness(lambda b, k: (np.savez(b, **k), b.write(b"more"))), "has something behind its end"),
    "pickled array": (witness(pickled), "holds Python objects"),
    "no scores": (witness(lambda b, k: np.savez(b, rows=k["rows"])), "lacks scores"),
    "no zip": (lambda p: ((p / "witness.npz").write_bytes(b"PK"), sealed(p)), "damaged or cut short"),
    "many inputs": (array(scores=np.zeros((50_000, 2), np.float32)), "50,000 inputs; 12 are the most"),
    "other answers": (witness(lambda b, k: np.savez(b, **{**k, "scores": k["scores"] + 1})), "gives other|measured"),
    "scores of NaN": (witness(lambda b, k: np.savez(b, **{**k, "scores": k["scores"] * np.nan})), "hold NaN"),
    "scores of words": (witness(lambda b, k: np.savez(b, **{**k, "scores": k["scores"].astype("U9")})), "no form of"),
    "rows of NaN": (witness(lambda b, k: np.savez(b, **{**k, "rows": k["rows"] * np.nan})), "the head gives other"),
    "short rows": (witness(lambda b, k: np.savez(b, **{**k, "rows": k["rows"][:, :3]})), "cannot answer its witness"),
    "rows of words": (witness(lambda b, k: np.savez(b, **{**k, "rows": k["rows"].astype("U9")})), "are no numbers"),
    "a score alone": (array(scores=np.float32(1)), "lacks scores of its inputs"),
    "a feature alone": (array(rows=np.float32(1)), "lacks scores of its inputs"),
    "odd grids": (array(grids=np.zeros(3, np.uint8)), "grids is uint8"),
    "wide input": (array(input0=np.zeros((2, 3), np.uint8)), "input0 is uint8 .2, 3."),
    "no answers": (array(answers=None), "lacks the answers"),
    "answers that are none": (array(answers=np.frombuffer(b"[", np.uint8)), "its answers are damaged"),
    "no probabilities": (array(probabilities=None), "makes other answers of the same scores"),
    "flat probabilities": (witness(lambda b, k: np.savez(b, **{**k, "probabilities": k["probabilities"] * 0 + 0.5})),
                           "makes other answers of the same scores"),
}  # fmt: skip


@pytest.mark.parametrize("case", [*REFUSALS, *WITNESSES])
def test_refused_with_what_where_and_what_to_do(case, vector_model, tmp_path, monkeypatch):
    place = tmp_path / "model"
    shutil.copytree(vector_model, place)
    do, words = {**REFUSALS, **WITNESSES}[case]
    do(place)
    monkeypatch.setattr(model_folder, "start_engine", lambda *_, **__: pytest.fail("a network was opened"))
    with pytest.raises(ArtifactError, match=words) as refused:
        model_folder.load(place, tmp_path / "cache")
    said = str(refused.value)
    assert "model" in said or "delta.safetensors" in said, "where"
    assert any(verb in said for verb in ("Fit again", "fit again", "Do not trust", "Upgrade", "Put the file")), (
        "what to do"
    )


def test_every_bit_of_the_card_is_pinned(vector_model, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(vector_model, place)
    sound = (place / "card.json").read_bytes()
    for at in np.random.default_rng(0).choice(8 * len(sound), 300, replace=False).tolist():
        changed = bytearray(sound)
        changed[at // 8] ^= 1 << at % 8
        (place / "card.json").write_bytes(changed)
        with pytest.raises(ArtifactError):
            model_folder.read_card(place)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_array_whose_header_is_damaged_is_refused_and_never_evaluated(data):
    buffer = io.BytesIO()
    np.save(buffer, np.arange(6, dtype=np.float32).reshape(2, 3))
    raw = bytearray(buffer.getvalue())
    raw[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    try:
        found = stored_arrays._parse_npy(bytes(raw), Path("witness.npz"), "rows.npy")
    except ArtifactError:
        return
    assert found.nbytes == 24, "another type or shape of the same bytes can be, nothing else"


TUNED = {
    "missing": (lambda a: {n: v for n, v in a.items() if "qkv.bias" not in n}, "qkv.bias is missing"),
    "extra": (lambda a: {**a, "body.blocks.0.norm1.bias": a["diff.blocks.5.norm1.bias"]}, "does not hold|is not of it"),
    "unknown": (lambda a: {**a, "diff.rogue": a["diff.blocks.5.norm1.bias"]}, "base does not have above the cut"),
    "misshapen": (lambda a: {**a, "diff.blocks.5.norm1.bias": np.zeros(1, np.float16)}, r"has the shape \(1,\)"),
    "rows beyond": (
        lambda a: {**a, "rows.blocks.5.norm1.bias": np.arange(1, 65, dtype=np.int32)},
        "must name rows of 64",
    ),
    "broadcast": (
        lambda a: {**{n: v for n, v in a.items() if n != "diff.blocks.5.norm1.bias"},
                   "body.blocks.5.norm1.bias": np.zeros(1, np.float32)},
        "another shape",
    ),
    "labels": (lambda a: {**a, "head.weight": a["head.weight"][:1].copy()}, "1 scores for 2 labels"),
    "recipe": (lambda a: {**a, "recipe": np.frombuffer(b'{"settings": []}', np.uint8)}, "recipe is damaged"),
    "recipe of other labels": (
        lambda a: {**a, "recipe": np.frombuffer(b'{"width": 99999, "settings": {}}', np.uint8)},
        "recipe is of 99999 labels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TUNED)
def test_differences_that_do_not_fit_the_base_are_refused(case, tuned_run, tmp_path):
    done, root = tuned_run
    shutil.copytree(done.folder / "model", tmp_path / "model")
    change, words = TUNED[case]
    arrays(change)(tmp_path / "model")
    with pytest.raises(ArtifactError, match=words):
        model_folder.load(tmp_path / "model", root)


def test_another_base_is_refused(tuned_run, tmp_path):
    done, root = tuned_run
    base = Path(done.model.backbone.local)
    original = (base / "model.safetensors").read_bytes()
    try:
        (base / "model.safetensors").write_bytes(original[:-1] + bytes([original[-1] ^ 1]))
        with pytest.raises(ArtifactError, match=r"was fitted on .* with weights sha256:.*the weights here are"):
            model_folder.load(done.folder, root)
    finally:
        (base / "model.safetensors").write_bytes(original)
    model_folder.load(done.folder, root)
