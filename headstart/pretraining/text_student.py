"""The student for texts: a small encoder with random weights, or a pretrained one, and the folder it is saved as."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from headstart.backbones import hub
from headstart.backbones.cards import find_card
from headstart.core.backbone import Backbone, Block, Preprocess
from headstart.core.disk_errors import library_writes
from headstart.core.errors import PlanError, missing_extra
from headstart.core.plugins import member
from headstart.core.settings import own_value
from headstart.core.task import Example
from headstart.pretraining.contracts import Student
from headstart.pretraining.pretrain_plan import PretrainPlan
from headstart.pretraining.text_corpus import text_preprocess, train_tokenizer

HEAD_DIM = 64  # numbers of an attention head, as in BERT and GPT-2
MIN_LENGTH = 8  # tokens of a window, at least
MAX_DEVIATION = 1e-5  # of the saved network's rows from the trained one's
EXPECTED = "bert:4x256 (layers x width), gpt2:4x256, or a backbone such as transformers:FOLDER is expected"


def init_text_student(
    plan: PretrainPlan, module: ModuleType, pretext: Any, examples: Sequence[Example], folder: Path, root: Path
) -> Student:
    """A small encoder with random weights and a tokenizer trained on these texts, or a pretrained one.

    module, pretext: of the pretext, and its settings, whose `max_length` and `vocabulary_size` are read here
    folder: the tokenizer lies there until the end
    Raises PlanError for a student that this pretext cannot teach.
    """
    name = plan.student if plan.student != "auto" else module.STUDENT
    if name.partition(":")[0] in ("bert", "gpt2"):
        model, spec = _random_encoder(name, pretext, examples, folder)
    else:
        if "vocabulary_size" in plan.settings:
            raise PlanError(
                f"--set vocabulary_size has no effect on {name}, which brings its own tokenizer. Leave it out."
            )
        model, spec = _pretrained_encoder(name, root)
        length = own_value(pretext, "max_length")
        if "max_length" in plan.settings and length > int(str(spec["max_length"])):
            raise PlanError(f"--set max_length={length}: {name} reads {spec['max_length']} tokens at once.")
    if is_bidirectional(model) != module.BOTH_WAYS:
        actual, expected = ("both ways", "back only") if not module.BOTH_WAYS else ("back only", "both ways")
        raise PlanError(
            f"{name} looks {actual} along a text; {plan.pretext} teaches networks that look {expected}. "
            f"Take --student {module.STUDENT}, or another --pretext."
        )
    return Student(pooled_encoder(model, spec), model, int(model.config.hidden_size), spec, format="transformers")


def _random_encoder(name: str, pretext: Any, examples: Sequence[Example], folder: Path):
    """A network with random weights of torch's generator, and how its texts are preprocessed."""
    family, _, size = name.partition(":")
    layers, _, width = size.partition("x")
    if not (layers.isdigit() and width.isdigit() and int(layers) and int(width) and int(width) % HEAD_DIM == 0):
        raise PlanError(f"--student {name}: {EXPECTED}, with a width that is a multiple of {HEAD_DIM}.")
    length = own_value(pretext, "max_length")
    if length < MIN_LENGTH:
        raise PlanError(f"--set max_length={length}: at least {MIN_LENGTH} tokens are expected.")
    kind = "wordpiece" if family == "bert" else "bytepairs"
    tokenizer = train_tokenizer(examples, kind, own_value(pretext, "vocabulary_size"), folder)
    vocabulary_size = len(json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"])
    return build_encoder(family, int(layers), int(width), vocabulary_size, length), text_preprocess(tokenizer, length)


def build_encoder(family: str, layers: int, width: int, vocabulary_size: int, max_length: int):
    """A BERT without pooler or a GPT-2 without head, with random weights. Sources: Devlin 2019, Radford et al. 2019.

    vocabulary_size: tokens, of which 0 is padding.  max_length: positions
    """
    try:
        from transformers import BertConfig, BertModel, GPT2Config, GPT2Model
    except ImportError as error:
        raise missing_extra(error.name or "transformers", "text", f"A student {family}") from error
    if family == "bert":
        bert = BertConfig(
            vocab_size=vocabulary_size, hidden_size=width, num_hidden_layers=layers,
            num_attention_heads=width // HEAD_DIM, intermediate_size=4 * width, max_position_embeddings=max_length,
            pad_token_id=0,
        )  # fmt: skip
        return BertModel(bert, add_pooling_layer=False)
    gpt2 = GPT2Config(
        vocab_size=vocabulary_size, n_embd=width, n_layer=layers, n_head=width // HEAD_DIM, n_positions=max_length,
        use_cache=False, pad_token_id=0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    return GPT2Model(gpt2)


def _pretrained_encoder(name: str, root: Path):
    """The encoder of a backbone, unfrozen, and how its texts are preprocessed.

    Raises PlanError where it is none of transformers'.
    """
    from headstart.backbones.network import open_network

    if ":" not in name:
        raise PlanError(f"--student {name}: {EXPECTED}.")
    card = find_card(name, root)
    files = {p.name for p in member("backbones", card.family).files(card.local)}
    if card.preprocess.kind != "text" or "config.json" not in files:
        raise PlanError(f"--student {name} is no text encoder of transformers; {EXPECTED}.")
    return open_network(card).model.requires_grad_(True), card.preprocess


def pooled_encoder(model: Any, spec: Preprocess):
    """A module from {"input_ids", "attention_mask"} to embeddings (b, d), pooled as the card says."""
    from torch import nn

    from headstart.backbones.token_pooling import pool_tokens

    class Body(nn.Module):
        def __init__(self, inner: nn.Module):
            super().__init__()
            self.inner = inner

        def forward(self, batch):
            hidden = self.inner(**batch).last_hidden_state
            return pool_tokens(hidden, batch["attention_mask"], str(spec["pooling"]), bool(spec["normalize"]))

    return Body(model)


def is_bidirectional(model: Any) -> bool:
    """Whether a token's hidden state depends on a later token: tried by changing the last of eight."""
    import torch

    ids = torch.arange(8)[None] % model.config.vocab_size
    other = ids.clone()
    other[0, -1] = (other[0, -1] + 1) % model.config.vocab_size
    model.eval()
    with torch.inference_mode():
        a, b = (model(input_ids=x, attention_mask=torch.ones_like(x)).last_hidden_state[0, :-1] for x in (ids, other))
    return not torch.allclose(a, b, atol=1e-6)


def save_text_student(student: Student, folder: Path, facts: dict) -> Backbone:
    """Writes what transformers would: config.json, model.safetensors, tokenizer.json; and the card.

    facts: how it was made, for the card.
    Raises PlanError when the folder, opened again, gives other embeddings than the network.
    """
    import torch
    import transformers

    from headstart.backbones import transformers_encoder
    from headstart.pretraining import publish

    spec, network = student.spec, student.model
    folder.mkdir(parents=True, exist_ok=True)
    with transformers_encoder.quiet_loading(transformers), library_writes(folder):
        network.cpu().eval().save_pretrained(folder)  # type: ignore[operator]
    shutil.copyfile(hub.asset_file(spec, "tokenizer"), folder / "tokenizer.json")
    name = f"own:{folder}"
    reopened = transformers_encoder.load_encoder(name, {n: folder / n for n in ("config.json", "model.safetensors")})
    division = transformers_encoder.divide_encoder(name, reopened, spec)
    blocks = tuple(Block(n, s) for n, s in zip(division.names, division.shapes, strict=True))
    parameters = sum(p.numel() for p in reopened.parameters())
    card = publish.build_card([folder / "model.safetensors"], spec, blocks, division.width, parameters, facts)
    publish.write_card(folder, "transformers", card, facts, assets=("tokenizer.json",))
    batch = {"input_ids": torch.arange(8)[None] % network.config.vocab_size}  # type: ignore[union-attr, operator]
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    with torch.inference_mode():
        deviation = (pooled_encoder(reopened, spec)(batch) - student.body.eval()(batch)).abs().max()
    if not deviation <= MAX_DEVIATION:
        raise PlanError(
            f"{folder}, opened again, gives other rows than the network that was trained, by {deviation:.2g}."
        )
    return member("backbones", "own").card(str(folder))
