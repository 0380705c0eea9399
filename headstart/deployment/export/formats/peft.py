"""peft: the adapter for PeftModel.from_pretrained on the base network, with the head beside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headstart.backbones.network import open_network
from headstart.core.errors import PlanError
from headstart.core.files import make_folder, write_file
from headstart.core.plan import Model, Trained, winner_of
from headstart.core.plugins import member
from headstart.deployment.export import parity, predict_script
from headstart.deployment.export.formats.transformers import encoder_answers, predict_code
from headstart.deployment.export.head_matrices import head_of
from headstart.deployment.export.library_model import linear_head, method_name
from headstart.features.runner import Extractor
from headstart.training.tuning import peft_adapters

Settings = parity.NoSettings
SAYS = "the adapter of lora or ia3 for PeftModel.from_pretrained, on the borrowed network"
OPEN_IMAGE = """
base = timm.create_model({name!r}, pretrained=True)
transform = timm.data.create_transform(**timm.data.resolve_data_config(model=base))
network = PeftModel.from_pretrained(base, HERE / "adapter").base_model.model.eval()
"""
ASK_IMAGE = """
with torch.inference_mode():
    row = network.forward_head(network.forward_features(transform(read(item))[None]), pre_logits=True)
p = probabilities(scores(row.flatten(1).numpy()[0]))
"""
OPEN_TEXT = """
base = transformers.AutoModel.from_pretrained({name!r})
network = PeftModel.from_pretrained(base, HERE / "adapter").eval()
"""


def write(model: Model, extractor: Extractor, folder: Path, settings: Settings) -> parity.ExportResult:
    """adapter/ and head.npz. Raises PlanError where no adapter was trained, or its base is of neither library."""
    trained, card = winner_of(model.fitted), model.backbone
    learner = trained.learner if isinstance(trained, Trained) and trained.learner.adapter else None
    if learner is None or card.family not in ("timm", "transformers"):
        why = f"{method_name(model)} learned no adapter of PEFT" if learner is None else f"{card.name} is of no library"
        raise PlanError(f"{why}, so there is nothing for PeftModel to open. Fit with --method lora or ia3 on timm:… or "
                        "transformers:…, or take --to onnx.")  # fmt: skip
    linear_head(model)
    make_folder(folder / "adapter")
    for name, content in peft_adapters.files(learner).items():
        write_file(folder / "adapter" / Path(name).name, content)
    parity.write_head(model, folder)
    parity.write_tokenizer(model, folder)
    base = card.local.partition("?")[0]
    common_imports = ["import numpy as np", "import torch"]
    if card.preprocess.kind == "image":
        head = f"{predict_script.HEAD.strip()}\n\n{predict_script.link_code(model)}"
        setup = f"{OPEN_IMAGE.format(name=base).strip()}\n{head}"
        imports = ["import timm", *common_imports, "from peft import PeftModel"]
        code = predict_script.build_program("An answer by PEFT on timm.", imports, setup, ASK_IMAGE, model)
        needs: tuple[str, ...] = ("peft", "timm", "pillow")
    else:
        imports = [*common_imports, "import transformers", "from peft import PeftModel"]
        code = predict_code(model, "An answer by PEFT on transformers.", imports, OPEN_TEXT.format(name=base))
        needs = ("peft", "transformers", "tokenizers")
    says = (f"The borrowed network is not in the folder: it is {base}, weights {card.weights[:19]}….",)
    return parity.ExportResult(_answer(model, folder), code, needs, says=says)


def _answer(model: Model, folder: Path) -> Callable:
    """Outputs of the written adapter on the base network."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # from peft's calls into transformers
        adapted = PeftModel.from_pretrained(open_network(model.backbone).model, folder / "adapter")
    base: Any = adapted.base_model
    network = base.model.eval()
    if model.backbone.preprocess.kind != "image":
        return encoder_answers(model, network)

    import torch

    spec, head = model.backbone.preprocess, head_of(model.fitted)
    prepare = member("preprocess", spec.kind)

    def answer(contents: Sequence[bytes | str]) -> parity.Outputs:
        units = [prepared[0] for prepared in prepare.prepare(list(contents), spec)]
        x = torch.from_numpy(prepare.batch(units, spec)["pixels"])
        with torch.inference_mode():
            rows = network.forward_head(network.forward_features(x), pre_logits=True).flatten(1).numpy()
        scores = head.scores(rows)
        return parity.Outputs(rows, model.objective.probabilities(scores), tuple(np.asarray(u) for u in units))

    return answer
