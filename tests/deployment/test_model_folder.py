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
from safetensors.numpy import load_file, save_file

from headstart.core import digest
from headstart.core.errors import ArtifactError
from headstart.deployment import model_folder, validate_folder


def sealed(place: Path, **changes) -> None:
    """card.json with other facts, and the digests of the files as they are now: what someone of ill will would send."""
    card = json.loads((place / "card.json").read_text())
    card["files"] = {n: digest.of_files([place / n]) for n in card["files"] if (place / n).is_file()}
    (place / "card.json").write_text(json.dumps({**card, **changes}))


def edit(name: str, change):
    def do(place: Path) -> None:
        (place / name).write_bytes(change((place / name).read_bytes()))

    return do


def card(**changes):
    return lambda place: sealed(place, **changes)


def card_without(*keys: str):
    def do(place: Path) -> None:
        facts = json.loads((place / "card.json").read_text())
        inner = facts
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        (place / "card.json").write_text(json.dumps(facts))

    return do


def arrays(change):
    """Another delta, pinned as if it were the right one."""

    def do(place: Path) -> None:
        save_file(change(load_file(place / "delta.safetensors")), place / "delta.safetensors")
        sealed(place)

    return do


def names(name: str):
    def do(place: Path) -> None:
        facts = json.loads((place / "card.json").read_text())
        facts["files"][name] = "sha256:0"
        (place / "card.json").write_text(json.dumps(facts))

    return do


def witness(write):
    def do(place: Path) -> None:
        with np.load(place / "witness.npz") as file:
            kept = dict(file)
        buffer = io.BytesIO()
        write(buffer, kept)
        (place / "witness.npz").write_bytes(buffer.getvalue())
        sealed(place)

    return do


def bomb(buffer, kept) -> None:
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scores.npy", b"\0" * 50_000_000)


def vast(buffer, kept) -> None:
    """A header that claims eight terabytes over four bytes."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("scores.npy", head.getvalue() + b"\0\0\0\0")


def overlapping(buffer, kept) -> None:
    """Many names for the same bytes."""
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("scores.npy", b"\0" * 100_000)
        first = archive.infolist()[0]
        for n in range(50):
            twin = zipfile.ZipInfo(f"row{n}.npy")
            twin.header_offset, twin.CRC = first.header_offset, first.CRC
            twin.file_size = twin.compress_size = first.file_size
            archive.filelist.append(twin)


def pickled(buffer, kept) -> None:
    np.savez(buffer, **{**kept, "rows": np.array([{"a": 1}] * len(kept["scores"]), object)})


def link(name: str):
    def do(place: Path) -> None:
        outside = place.parent / "elsewhere"
        outside.write_bytes((place / name).read_bytes())
        (place / name).unlink()
        (place / name).symlink_to(outside)

    return do


def header(change):
    def do(place: Path) -> None:
        raw = (place / "delta.safetensors").read_bytes()
        length = int.from_bytes(raw[:8], "little")
        text = json.dumps(change(json.loads(raw[8 : 8 + length]))).encode()
        (place / "delta.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
        sealed(place)

    return do


def claims(facts: dict, **changes) -> dict:
    return {**facts, "weight": {**facts["weight"], **changes}}


def cut_short(place: Path) -> None:
    raw = (place / "delta.safetensors").read_bytes()
    (place / "delta.safetensors").write_bytes(raw[:-4])
    sealed(place)


def nan(a: dict) -> dict:
    return {**a, "weight": np.full_like(a["weight"], np.nan)}


def base(**changes):
    def do(place: Path) -> None:
        facts = json.loads((place / "card.json").read_text())["backbone"]
        sealed(place, backbone={**facts, **changes})

    return do


REFUSALS = {
    "changed file": (edit("delta.safetensors", lambda b: b[:-1] + b"?"), r"delta.safetensors has changed.*Fit again"),
    "changed witness": (edit("witness.npz", lambda b: b + b"?"), "witness.npz has changed"),
    "missing file": (lambda p: (p / "delta.safetensors").unlink(), "delta.safetensors is missing"),
    "truncated": (cut_short, r"bytes where its header tells of"),
    "no safetensors": (lambda p: ((p / "delta.safetensors").write_bytes(b"\x80\x04K\x01."), sealed(p)), "cut short"),
    "header too long": (lambda p: ((p / "delta.safetensors").write_bytes(b"\xff" * 64), sealed(p)), "cut short"),
    "claims more": (header(lambda f: claims(f, shape=[10**9, 10**3])), "claims other bytes than its shape"),
    "overlap": (header(lambda f: {**f, "twin": f["weight"]}), "claims other bytes"),
    "odd type": (header(lambda f: claims(f, dtype="BF99")), "has the type 'BF99'"),
    "negative": (header(lambda f: claims(f, shape=[-1, 2])), "header is damaged"),
    "not json": (edit("card.json", lambda b: b[:100]), r"card.json is damaged"),
    "deep json": (edit("card.json", lambda b: b"[" * 200_000), r"card.json is damaged"),
    "huge json": (edit("card.json", lambda b: b + b" " * validate_folder.MAX_CARD_BYTES), r"16,777,216 are the most"),
    "a list": (edit("card.json", lambda b: b"[1]"), "not an object"),
    "older schema": (card(schema=0), r"schema 0; this version reads 1 to 3. Fit again"),
    "newer schema": (card(schema=9), r"schema 9.*Upgrade: pip install -U headstart"),
    "no label map": (card_without("objective", "names"), "lacks its labels"),
    "no labels at all": (card(objective={"name": "classes", "names": []}), "lacks its labels|names 0 labels"),
    "fewer labels": (card(objective={"name": "classes", "names": ["left"]}), "2 scores an input.*1 labels"),
    "no base": (card_without("backbone"), "lacks backbone"),
    "odd base": (card(backbone={"name": "vector:6"}), "does not say which base"),
    "base outside": (base(name="../errors:x"), "its name is none"),
    "other base": (base(weights="sha256:" + "0" * 64), "with weights sha256:000.*the weights here are"),
    "base divided otherwise": (base(width=5), "blocks and embeddings of"),
    "other kind of data": (card(kind="image"), "does not read data of the kind image"),
    "method outside": (card(method="../artifact"), "is no name of one"),
    "cut outside": (card(cut=7), "a cut that its base cannot have"),
    "cut of text": (card(cut="1"), "cut is '1', not int"),
    "pins nothing": (card_without("files", "witness.npz"), "does not pin witness.npz"),
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
    "zip bomb": (witness(bomb), "may be a zip bomb"),
    "vast array": (witness(vast), r"claims the shape \(1000000000000,\)"),
    "overlapping zip": (witness(overlapping), "claims 5,100,000 bytes"),
    "pickled array": (witness(pickled), "holds Python objects"),
    "no scores": (witness(lambda b, k: np.savez(b, rows=k["rows"])), "lacks scores"),
    "no zip": (lambda p: ((p / "witness.npz").write_bytes(b"PK"), sealed(p)), "damaged or cut short"),
    "other answers": (witness(lambda b, k: np.savez(b, **{**k, "scores": k["scores"] + 1})), "the head gives other"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_with_what_where_and_what_to_do(case, vector_model, tmp_path, monkeypatch):
    place = tmp_path / "model"
    shutil.copytree(vector_model, place)
    do, words = REFUSALS[case]
    do(place)
    monkeypatch.setattr(model_folder, "start_engine", lambda *_, **__: pytest.fail("a network was opened"))
    with pytest.raises(ArtifactError, match=words) as refused:
        model_folder.load(place, tmp_path / "cache")
    said = str(refused.value)
    assert "model" in said or "delta.safetensors" in said, "where"
    assert any(verb in said for verb in ("Fit again", "fit again", "Do not trust", "Upgrade", "Put the file")), (
        "what to do"
    )


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_an_array_whose_header_is_damaged_is_refused_and_never_evaluated(data):
    buffer = io.BytesIO()
    np.save(buffer, np.arange(6, dtype=np.float32).reshape(2, 3))
    raw = bytearray(buffer.getvalue())
    raw[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    try:
        found = validate_folder._parse_npy(bytes(raw), Path("witness.npz"), "rows.npy")
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
    "vast": (
        lambda a: {**a, "recipe": np.frombuffer(b'{"width": 2, "settings": {"rank": 999999999}}', np.uint8)},
        "asks for rank 999999999",
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
