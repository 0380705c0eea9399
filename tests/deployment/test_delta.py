"""What changed is stored small, and comes back to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some
from safetensors.numpy import load_file

from headstart.deployment import delta, model_folder
from headstart.features.cache import store
from headstart.workflows import fit
from tests.support.two_classes import two_class_examples

VALUES = st.floats(-8, 8, width=32, allow_nan=False)


@given(
    some.arrays(np.float32, (5, 3), elements=VALUES),
    some.arrays(np.float32, (5, 3), elements=st.floats(-0.0078125, 0.0078125, width=32)),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_any_state_comes_back_bit_equal(base, apart, settled):
    value = base + apart
    value = delta.round_to_half(value, base) if settled else value
    state = {"body.w": value, "body.added": apart, "head.weight": base, "recipe": np.arange(3, dtype=np.uint8)}
    back = delta.unpack(delta.pack(state, {"w": base}), {"w": base})
    assert state.keys() == back.keys()
    assert all(np.array_equal(state[n], back[n]) and state[n].dtype == back[n].dtype for n in state)


def test_rows_that_did_not_move_are_not_stored():
    base = np.random.default_rng(0).standard_normal((1000, 32)).astype(np.float32)
    value = base.copy()
    value[[3, 700]] += 0.01
    value[5] += 1e-7  # decay alone
    stored = delta.pack({"body.w": delta.round_to_half(value, base)}, {"w": base})
    assert stored["rows.w"].tolist() == [3, 700] and stored["diff.w"].shape == (2, 32)
    assert stored["diff.w"].dtype == np.float16


def test_what_was_measured_is_what_is_stored_in_half_precision(tuned_run):
    done, root = tuned_run
    model, _ = model_folder.load(done.folder, root)
    stored = load_file(done.folder / "model" / "delta.safetensors")
    tensors = [n for n in stored if n.startswith("diff.")]
    assert len(tensors) >= 8 and all(stored[n].dtype == np.float16 for n in tensors)
    with np.load(done.folder / "model" / "witness.npz") as kept:
        rows = kept["rows"]
        assert np.array_equal(model.fitted.scores(rows), done.model.fitted.scores(rows)), "not bit-equal"
    facts = model.facts["delta"]
    assert (
        facts["form"] == "difference in half precision"
        and facts["moved"] <= delta.MAX_SCORE_CHANGE
        and not facts["turned"]
    )
    assert done.result["bytes"] == {"delta": facts["bytes"], "base": done.model.backbone.size, "full": facts["full"]}


def test_what_shows_in_half_precision_is_kept_in_single(vision, tmp_path, monkeypatch):
    monkeypatch.setattr(delta, "MAX_SCORE_CHANGE", 0.0)
    pictures, _ = two_class_examples("image", 60)
    source = ([e.content for e in pictures], [e.label for e in pictures])
    asked = {"steps": "8", "views": "0", "blocks": "1"}
    done = fit.fit(source, into=tmp_path / "run", backbone=vision, method="finetune", settings=asked)
    assert done.model.facts["delta"]["form"] == "single"
    stored = load_file(done.folder / "model" / "delta.safetensors")
    assert stored["body.blocks.5.attn.qkv.weight"].dtype == np.float32
    model_folder.load(done.folder, store.default_root())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_numbers_of_peft_are_stored_once_in_peft_s_own_folder(vision, tmp_path):
    peft, timm = pytest.importorskip("peft"), pytest.importorskip("timm")
    pictures, _ = two_class_examples("image", 60)
    source = ([e.content for e in pictures], [e.label for e in pictures])
    asked = {"steps": "6", "views": "0", "blocks": "1", "rank": "2", "variant": "dora"}
    done = fit.fit(source, into=tmp_path / "run", backbone=vision, method="lora", settings=asked)
    place = done.folder / "model"
    assert not [n for n in load_file(place / "delta.safetensors") if n.startswith("body.")]
    theirs = load_file(place / "peft" / "adapter_model.safetensors")
    assert theirs and all(a.dtype == np.float16 for a in theirs.values())
    plain = timm.create_model("test_vit", pretrained=False, img_size=64)
    there = dict(peft.PeftModel.from_pretrained(plain, place / "peft").named_parameters())
    ours = {n.replace(".default", "").removesuffix("_vector.weight"): t for n, t in there.items()}
    for name, array in theirs.items():
        assert np.array_equal(ours[name.removesuffix("_vector")].detach().numpy(), array), "plain PEFT reads other"
    model, _ = model_folder.load(place, store.default_root())
    rows = np.load(place / "witness.npz")["rows"]
    assert np.array_equal(model.fitted.scores(rows), done.model.fitted.scores(rows))
