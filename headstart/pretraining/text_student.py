"""The student for texts: a small encoder from random weights, or a borrowed one, and the folder it is written into."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headstart.backbones import hub
from headstart.backbones.catalogue import find_card
from headstart.core import digest
from headstart.core.backbone import Backbone, Block, Preprocess
from headstart.core.errors import PlanError, missing_extra
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.pretraining.contracts import Student
from headstart.pretraining.text_corpus import tokenizer_of

if TYPE_CHECKING:
    from headstart.pretraining.contracts import Making
from headstart.pretraining.text_corpus import prepared

HEAD = 64  # numbers of an attention head, as in BERT and GPT-2
EXPECTED = "bert:4x256 (layers x width), gpt2:4x256, or a backbone such as transformers:FOLDER is expected"


def begin_text(
    plan: dict, module: ModuleType, pretext: Any, examples: Sequence[Example], folder: Path, root: Path
) -> Making:
    """The student for texts: a small encoder from random weights with a tokenizer of these texts, or a borrowed one.

    module, pretext: of the pretext, and its settings, whose `length` and `vocabulary` are read here
    folder: the tokenizer lies there until the end
    Raises PlanError for a student that this pretext cannot teach.
    """
    from headstart.pretraining.contracts import Making

    name = plan["student"] if plan["student"] != "auto" else module.STUDENT
    family, _, size = name.partition(":")
    if family in ("bert", "gpt2"):
        model, spec = _fresh(name, family, size, pretext, examples, folder)
        start = ""
    else:
        if "vocabulary" in plan["settings"]:
            raise PlanError(f"--set vocabulary has no effect on {name}, which brings its own tokenizer. Leave it out.")
        model, spec = _borrowed(name, root)
        start = name
        if "length" in plan["settings"] and pretext.length > int(str(spec["max_length"])):
            raise PlanError(f"--set length={pretext.length}: {name} reads {spec['max_length']} tokens at once.")
    if looks_ahead(model) != module.BOTH_WAYS:
        seen, wanted = ("both ways", "back only") if not module.BOTH_WAYS else ("back only", "both ways")
        raise PlanError(
            f"{name} looks {seen} along a text; {plan['pretext']} teaches networks that look {wanted}. "
            f"Take --student {module.STUDENT}, or another --pretext."
        )
    return Making(
        Student(body_of(model, spec), model, int(model.config.hidden_size), spec), "transformers", name, {}, start
    )


def _fresh(name: str, family: str, size: str, pretext: Any, examples: Sequence[Example], folder: Path):
    """A network from random weights of torch's generator, and how its texts are prepared."""
    layers, _, width = size.partition("x")
    if not (layers.isdigit() and width.isdigit() and int(layers) and int(width) and int(width) % HEAD == 0):
        raise PlanError(f"--student {name}: {EXPECTED}, with a width that is a multiple of {HEAD}.")
    if pretext.length < 8:
        raise PlanError(f"--set length={pretext.length}: at least 8 tokens are expected.")
    file = tokenizer_of(examples, "wordpiece" if family == "bert" else "bytepairs", pretext.vocabulary, folder)
    known = len(json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"])
    return encoder_of(family, int(layers), int(width), known, pretext.length), prepared(file, pretext.length)


def encoder_of(family: str, layers: int, width: int, tokens: int, length: int):
    """A BERT without pooler or a GPT-2 without head, from random weights. Sources: Devlin 2019, Radford et al. 2019.

    tokens: that it knows, of which 0 is padding.  length: positions that it knows
    """
    try:
        from transformers import BertConfig, BertModel, GPT2Config, GPT2Model
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "text", f"A student {family}") from error
    if family == "bert":
        like_bert = BertConfig(
            vocab_size=tokens, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // HEAD,
            intermediate_size=4 * width, max_position_embeddings=length, pad_token_id=0,
        )  # fmt: skip
        return BertModel(like_bert, add_pooling_layer=False)
    shape = GPT2Config(
        vocab_size=tokens, n_embd=width, n_layer=layers, n_head=width // HEAD, n_positions=length, use_cache=False,
        pad_token_id=0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    return GPT2Model(shape)


def _borrowed(name: str, root: Path):
    """A borrowed encoder whose weights may move, and how its texts are prepared.

    Raises PlanError where it is none of transformers'.
    """
    from headstart.backbones.network import open_network

    if ":" not in name:
        raise PlanError(f"--student {name}: {EXPECTED}.")
    card = find_card(name, root)
    files = {p.name: p for p in member("backbones", card.family).files(card.local)}
    if card.preprocess.kind != "text" or "config.json" not in files:
        raise PlanError(f"--student {name} is no text encoder of transformers; {EXPECTED}.")
    return open_network(card).model.requires_grad_(True), card.preprocess


def body_of(model: Any, spec: Preprocess):
    """A module from {"input_ids", "attention_mask"} to rows (b, d), pooled as the card says."""
    from torch import nn

    from headstart.backbones.block_division import pooled

    class Body(nn.Module):
        def __init__(self, inner: nn.Module):
            super().__init__()
            self.inner = inner

        def forward(self, batch):
            hidden = self.inner(**batch).last_hidden_state
            return pooled(hidden, batch["attention_mask"], str(spec["pooling"]), bool(spec["normalize"]))

    return Body(model)


def looks_ahead(model: Any) -> bool:
    """Whether a token's state depends on a later token: seen by changing the last of eight."""
    import torch

    ids = torch.arange(8)[None] % model.config.vocab_size
    other = ids.clone()
    other[0, -1] = (other[0, -1] + 1) % model.config.vocab_size
    model.eval()
    with torch.inference_mode():
        a, b = (model(input_ids=x, attention_mask=torch.ones_like(x)).last_hidden_state[0, :-1] for x in (ids, other))
    return not torch.allclose(a, b, atol=1e-6)


def finish_text(making: Making, folder: Path, facts: dict) -> Backbone:
    """Writes what transformers would: config.json, model.safetensors, tokenizer.json; and the card.

    Raises PlanError when the folder, opened again, gives other rows than the network.
    """
    import torch
    import transformers

    from headstart.backbones import transformers_encoder
    from headstart.pretraining import publish

    student, spec = making.student, making.student.spec
    folder.mkdir(parents=True, exist_ok=True)
    with transformers_encoder.quiet(transformers):
        student.model.cpu().eval().save_pretrained(folder)  # type: ignore[operator]
    shutil.copyfile(hub.asset(str(spec["tokenizer"])), folder / "tokenizer.json")
    weights, name = folder / "model.safetensors", f"own:{folder}"
    opened = transformers_encoder.load(name, folder)
    division = transformers_encoder.divide(name, opened, spec)
    card = Backbone(
        "own", digest.of_files([weights]), spec,
        tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True)),
        division.width, sum(p.numel() for p in opened.parameters()), weights.stat().st_size,
        pretrained_on=facts.get("data_shown", ""), licence=facts.get("licence", ""),
    )  # fmt: skip
    publish.write_card(folder, "transformers", card, facts, assets=("tokenizer.json",))
    batch = {"input_ids": torch.arange(8)[None] % student.model.config.vocab_size}  # type: ignore[union-attr, operator]
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    with torch.inference_mode():
        apart = (body_of(opened, spec)(batch) - student.body.eval()(batch)).abs().max()
    if not apart <= 1e-5:
        raise PlanError(f"{folder}, opened again, gives other rows than the network that was trained, by {apart:.2g}.")
    return member("backbones", "own").card(str(folder))
