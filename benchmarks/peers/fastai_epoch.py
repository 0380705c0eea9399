"""Seconds an epoch of fastai on the same weights, files and batch size: run by cut_cache.py, in its own environment.

    python fastai_epoch.py JOB.json

JOB.json: {"model", "files", "labels", "learns": [prefixes of parameters that learn], "batch", "size"}
"""

import json
import sys
import time

import timm
from fastai.vision.all import CategoryBlock, DataBlock, ImageBlock, Learner, Resize, set_seed
from torch import nn

job = json.load(open(sys.argv[1], encoding="utf-8"))
set_seed(0)
label = dict(zip(job["files"], job["labels"], strict=True))
block = DataBlock(
    blocks=(ImageBlock, CategoryBlock), get_items=lambda source: job["files"], get_y=lambda path: label[str(path)],
    splitter=lambda items: (list(range(len(items))), []), item_tfms=Resize(job["size"]),
)  # fmt: skip
loaders = block.dataloaders(".", bs=job["batch"], num_workers=0, device="cpu")
model = timm.create_model(job["model"], pretrained=True, num_classes=len(set(job["labels"])))
for name, parameter in model.named_parameters():
    parameter.requires_grad_(name.startswith(tuple(job["learns"])))
learner = Learner(loaders, model, loss_func=nn.CrossEntropyLoss(), lr=1e-5)
took = []
with learner.no_bar(), learner.no_logging():
    for _ in range(3):
        began = time.perf_counter()
        learner.fit(1)
        took.append(time.perf_counter() - began)
print(json.dumps({"seconds": min(took[1:])}))
