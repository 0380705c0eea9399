"""transformers: a folder that AutoModel and the tokenizer open, with the head beside it.

AutoModelForSequenceClassification pools otherwise (BERT's puts the first token through a layer of its own), so the
encoder is written as AutoModel, and predict.py pools as Headstart does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.disk_errors import library_writes
from headstart.core.errors import PlanError
from headstart.core.plan import Model
from headstart.deployment.export import parity, predict_script
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.export.library_model import ALTERNATIVE, linear_head, merged_network, require_library
from headstart.features.runner import Extractor

Settings = parity.NoSettings
SAYS = "a folder that plain transformers opens as AutoModel, with the head beside it"
POOLING_NOTE = (
    "Texts are pooled and scored in predict.py with head.npz; AutoModelForSequenceClassification pools otherwise."
)
POOLING = {
    "mean": "(hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)",
    "cls": "hidden[:, 0]",
    "max": "hidden.max(1)",
}
ASK = """

def ask(ids):
    \"\"\"Token ids -> embedding, scores, probabilities.\"\"\"
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


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> parity.ExportResult:
    """What save_pretrained writes, tokenizer.json and head.npz. Raises PlanError where AutoModel cannot hold it."""
    require_library(model, "transformers")
    if model.backbone.preprocess.kind != "text":
        raise PlanError(f"{model.backbone.name} reads photos; this format is for text encoders. {ALTERNATIVE}")
    linear_head(model)
    network: Any = merged_network(model)
    with library_writes(folder):
        network.save_pretrained(folder)
    parity.write_tokenizer(model, folder)
    parity.write_head(model, folder)
    import transformers

    imports = ["import numpy as np", "import torch", "import transformers"]
    code = predict_code(model, "An answer by transformers.", imports, OPEN)
    needs = ("transformers", "torch", "tokenizers")
    written: Any = transformers.AutoModel.from_pretrained(folder, local_files_only=True)
    return parity.ExportResult(encoder_answers(model, written.eval()), code, needs, says=(POOLING_NOTE,))


def predict_code(model: Model, title: str, imports: list[str], setup: str) -> str:
    """The program: tokens, encoder, pooling, head."""
    spec = dict(model.backbone.preprocess.settings)
    unit = "row / np.linalg.norm(row, axis=1, keepdims=True)" if spec["normalize"] else "row"
    functions, ask_text = predict_script.text_code(model)
    ask = ASK.replace("{pool}", POOLING[str(spec["pooling"])]).replace("{unit}", unit)
    return predict_script.build_program(title, imports, setup.rstrip() + functions + ask, ask_text, model)


def encoder_answers(model: Model, network: Any) -> Callable:
    """Outputs of an encoder with the model's pooling and head."""
    import torch

    from headstart.backbones.token_pooling import pool_tokens

    spec, head = dict(model.backbone.preprocess.settings), head_of(model.fitted)

    def run(unit: np.ndarray) -> tuple[np.ndarray, ...]:
        ids = torch.from_numpy(unit.astype(np.int64))[None]
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            hidden = network(input_ids=ids, attention_mask=mask).last_hidden_state
            row = pool_tokens(hidden, mask, str(spec["pooling"]), bool(spec["normalize"])).numpy()
        scores = head.scores(row)
        return row, scores, model.objective.probabilities(scores)

    return lambda contents: parity.exported_outputs(model, contents, run)
