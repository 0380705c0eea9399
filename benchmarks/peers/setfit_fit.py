"""SetFit's defaults on a folder of train.csv and test.csv: run by speed/texts.py, in an environment that has it.

python setfit_fit.py FOLDER BACKBONE
"""

import csv
import json
import sys
import tempfile
from pathlib import Path

from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments


def table(name: str) -> tuple[list[str], list[str]]:
    with open(Path(sys.argv[1]) / f"{name}.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["label"] for row in rows]


texts, labels = table("train")
held, truth = table("test")
names = sorted(set(labels))
model = SetFitModel.from_pretrained(sys.argv[2], labels=names)
arguments = TrainingArguments(output_dir=tempfile.mkdtemp(), report_to="none", show_progress_bar=False)
Trainer(model, arguments, train_dataset=Dataset.from_dict({"text": texts, "label": labels})).train()
answers = [str(answer) for answer in model.predict(held)]
print(json.dumps({"accuracy": sum(a == b for a, b in zip(answers, truth, strict=True)) / len(truth)}))
