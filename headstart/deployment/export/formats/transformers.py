"""transformers: a folder that AutoModel and the tokenizer open, with the head beside it.

AutoModelForSequenceClassification pools otherwise (BERT's takes the first token through a layer of its own), so the
encoder is written as AutoModel and predict.py pools as it was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.plan import Model
from headstart.deployment.export import predict_script
from headstart.deployment.export.library_model import INSTEAD, family, one_matrix, whole
from headstart.deployment.export.parity import Written, head_file, tokenizer, told
from headstart.features.extract import Running

SAYS = "a folder that plain transformers opens as AutoModel, with the head beside it"
POOLS = {
    "mean": "(hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)",
    "cls": "hidden[:, 0]",
    "max": "hidden.max(1)",
}
ASK = """

def ask(ids):
    \"\"\"Token ids -> embedding, and scores twice.\"\"\"
    ids = torch.tensor([ids])
    with torch.inference_mode():
        hidden = network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.numpy()
    mask = np.ones(hidden.shape[:2], np.float32)
    row = {pool}
    row = {unit}
    return row, scores(row[0])[None], probabilities(scores(row[0]))[None]
"""
OPEN = """
network = transformers.AutoModel.from_pretrained(HERE, local_files_only=True).eval()
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Nothing is set."""


def write(model: Model, running: Running, folder: Path, settings: Settings) -> Written:
    """What save_pretrained writes, tokenizer.json and head.npz. Raises PlanError where AutoModel has no room for it."""
    family(model, "transformers")
    texts_only(model)
    one_matrix(model)
    network: Any = whole(model)
    network.save_pretrained(folder)
    tokenizer(model, folder)
    head_file(model, folder)
    code = code_for(
        model, "An answer by transformers.", ["import numpy as np", "import torch", "import transformers"], OPEN
    )
    return Written(_answer(model, folder), code, ("transformers", "torch", "tokenizers"), says=(PLAIN_WORDS,))


PLAIN_WORDS = (
    "Texts are pooled and scored in predict.py with head.npz; AutoModelForSequenceClassification pools otherwise."
)


def texts_only(model: Model) -> None:
    """Raises PlanError for photos."""
    if model.backbone.preprocess.kind != "text":
        raise PlanError(f"{model.backbone.name} reads photos; this form is for text encoders. {INSTEAD}")


def code_for(model: Model, title: str, imports: list[str], opening: str) -> str:
    """The program: tokens, encoder, pooling, head."""
    spec = dict(model.backbone.preprocess.settings)
    unit = "row / np.linalg.norm(row, axis=1, keepdims=True)" if spec["normalize"] else "row"
    functions, asking = predict_script.texts(model)
    ask = ASK.replace("{pool}", POOLS[str(spec["pooling"])]).replace("{unit}", unit)
    return predict_script.program(title, imports, opening.rstrip() + functions + ask, asking, model)


def _answer(model: Model, folder: Path) -> Callable:
    """Answers of the folder as it lies."""
    import transformers

    return answered(model, transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval())


def answered(model: Model, network: Any) -> Callable:
    """Answers of an encoder with our pooling and head."""
    import torch

    from headstart.backbones.block_division import pooled
    from headstart.deployment.export.head_matrices import head_of

    spec, head = dict(model.backbone.preprocess.settings), head_of(model.fitted)

    def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        ids = torch.from_numpy(unit.astype(np.int64))[None]
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            hidden = network(input_ids=ids, attention_mask=mask).last_hidden_state
            row = pooled(hidden, mask, str(spec["pooling"]), bool(spec["normalize"])).numpy()
        scores = head.scores(row)
        return row, scores, model.objective.probabilities(scores)

    return lambda contents: told(model, contents, run)
