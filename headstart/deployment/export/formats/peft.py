"""peft: the adapter as PeftModel.from_pretrained opens it on the borrowed network, with the head beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headstart.core.errors import PlanError
from headstart.core.plan import Model, Trained, learned
from headstart.core.plugins import member
from headstart.deployment.export import predict_script
from headstart.deployment.export.formats.transformers import answered, code_for
from headstart.deployment.export.library_model import method_of, one_matrix
from headstart.deployment.export.parity import Said, Written, head_file, tokenizer
from headstart.features.extract import Running
from headstart.training.tuning import peft_adapters

SAYS = "the adapter of lora or ia3 for PeftModel.from_pretrained, on the borrowed network"
PHOTOS = """
base = timm.create_model({name!r}, pretrained=True)
transform = timm.data.create_transform(**timm.data.resolve_data_config(model=base))
network = PeftModel.from_pretrained(base, HERE / "adapter").base_model.model.eval()
"""
PHOTO = """
with torch.inference_mode():
    row = network.forward_head(network.forward_features(transform(read(item))[None]), pre_logits=True)
p = probabilities(scores(row.flatten(1).numpy()[0]))
"""
TEXTS = """
base = transformers.AutoModel.from_pretrained({name!r})
network = PeftModel.from_pretrained(base, HERE / "adapter").eval()
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Nothing is set."""


def write(model: Model, running: Running, folder: Path, settings: Settings) -> Written:
    """adapter/ and head.npz. Raises PlanError where no adapter was learned, or its base is no network of a library."""
    fitted, card = learned(model.fitted), model.backbone
    learner = fitted.learner if isinstance(fitted, Trained) and fitted.learner.adapter else None
    if learner is None or card.family not in ("timm", "transformers"):
        why = f"{method_of(model)} learned no adapter of PEFT" if learner is None else f"{card.name} is of no library"
        raise PlanError(f"{why}, so there is nothing for PeftModel to open. Fit with --method lora or ia3 on timm:… or "
                        "transformers:…, or take --to onnx.")  # fmt: skip
    one_matrix(model)
    (folder / "adapter").mkdir()
    for name, content in peft_adapters.files(learner).items():
        (folder / "adapter" / Path(name).name).write_bytes(content)
    head_file(model, folder)
    tokenizer(model, folder)
    base = card.local.partition("?")[0]
    peft_ = ["import numpy as np", "import torch"]
    if card.preprocess.kind == "image":
        opening = f"{PHOTOS.format(name=base).strip()}\n{predict_script.HEAD.strip()}\n\n{predict_script.linked(model)}"
        imports = ["import timm", *peft_, "from peft import PeftModel"]
        code = predict_script.program("An answer by PEFT on timm.", imports, opening, PHOTO, model)
        needs: tuple[str, ...] = ("peft", "timm", "pillow")
    else:
        imports = [*peft_, "import transformers", "from peft import PeftModel"]
        code = code_for(model, "An answer by PEFT on transformers.", imports, TEXTS.format(name=base))
        needs = ("peft", "transformers", "tokenizers")
    says = (f"The borrowed network is not in the folder: it is {base}, weights {card.weights[:19]}….",)
    return Written(_answer(model, folder), code, needs, says=says)


def _answer(model: Model, folder: Path) -> Callable:
    """Answers of the adapter as it lies, on the borrowed network."""
    import warnings

    from peft import PeftModel

    from headstart.backbones.network import open_network

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it asks transformers in an old way
        adapted = PeftModel.from_pretrained(open_network(model.backbone).model, folder / "adapter")
    inner: Any = adapted.base_model.model
    network = inner.eval()
    if model.backbone.preprocess.kind != "image":
        return answered(model, network)

    import torch

    from headstart.deployment.export.head_matrices import head_of

    spec, head = model.backbone.preprocess, head_of(model.fitted)
    prepare = member("preprocess", spec.kind)

    def answer(contents: Sequence[bytes | str]) -> Said:
        units = [some[0] for some in prepare.prepare(list(contents), spec)]
        x = torch.from_numpy(prepare.batch(units, spec)["pixels"])
        with torch.inference_mode():
            rows = network.forward_head(network.forward_features(x), pre_logits=True).flatten(1).numpy()
        scores = head.scores(rows)
        return Said(rows, model.objective.probabilities(scores), tuple(np.asarray(u) for u in units))

    return answer
