"""Pictures with boxes, in the formats of YOLO, COCO and Pascal VOC, are classes or tags."""

import json

import pytest

from headstart.core.errors import SourceError
from headstart.core.result import SetAside
from headstart.data.read import read, read_source
from headstart.data.read_inputs import read_inputs
from tests.support.sources import part_sizes, png_bytes, write_text

NAMES = ["cat", "big dog"]
YAML = {
    "list": "path: .\nnc: 2\nnames: ['cat', \"big dog\"]\n",
    "lines": "names:\n  0: cat\n  1: big dog  # the other\nnc: 2\n",
    "table": "names: {0: cat, 1: 'big dog'}\nnc: 2\n",
    "dashes": "nc: 2\nnames:\n- cat\n- big dog\ntrain: images/train\n",
}
SHOWN = [(n % 2,) for n in range(48)]  # classes in each picture, by number
SEVERAL = [((), (0,), (1,), (0, 1))[n % 4] for n in range(48)]


def boxes(numbers) -> str:
    return "".join(f"{n} 0.5 0.5 0.2 0.1\n" for n in numbers)


def yolo(root, shown, yaml="list", parts=("train", "val")):
    write_text(root / "data.yaml", YAML[yaml])
    for n, numbers in enumerate(shown):
        part = parts[n >= 36]
        write_image(root / "images" / part / f"{n}.png", n)
        if numbers:
            write_text(root / "labels" / part / f"{n}.txt", boxes(numbers))


def write_image(file, n):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(png_bytes(n))


def roboflow(root, shown):
    write_text(root / "data.yaml", YAML["dashes"])
    for n, numbers in enumerate(shown):
        part = ("train", "valid")[n >= 36]
        write_image(root / part / "images" / f"{n}.png", n)
        write_text(root / part / "labels" / f"{n}.txt", boxes(numbers))


def coco(root, shown):
    for part, rows in (("train", range(36)), ("val", range(36, 48))):
        for n in rows:
            write_image(root / f"{part}2017" / f"{n}.png", n)
        facts = {
            "images": [{"id": n, "file_name": f"{n}.png"} for n in rows],
            "annotations": [
                {"image_id": n, "category_id": 7 + c, "bbox": [0, 0, 1, 1]} for n in rows for c in shown[n]
            ],
            "categories": [{"id": 7 + c, "name": name} for c, name in enumerate(NAMES)],
        }
        write_text(root / "annotations" / f"instances_{part}2017.json", json.dumps(facts))


def voc(root, shown):
    for n, numbers in enumerate(shown):
        write_image(root / "JPEGImages" / f"{n}.png", n)
        objects = "".join(f"<object><name>{NAMES[c]}</name></object>" for c in numbers)
        write_text(root / "Annotations" / f"{n}.xml", f"<annotation><filename>x</filename>{objects}</annotation>")


FORMATS = {"yolo": yolo, "roboflow": roboflow, "coco": coco, "voc": voc}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shown", [SHOWN, SEVERAL], ids=["classes", "tags"])
def test_boxes_are_classes_or_tags(tmp_path, name, shown):
    FORMATS[name](tmp_path, shown)
    task = read(tmp_path)
    labels = {int(e.id.rpartition("/")[2].partition(".")[0]): e.label for e in task.examples}
    assert task.objective.link == ("softmax" if shown is SHOWN else "sigmoid")
    assert set(task.objective.names) == set(NAMES)
    for n, numbers in enumerate(shown):
        expected = tuple(NAMES[c] for c in numbers)
        assert labels[n] == (expected[0] if shown is SHOWN else expected)
    if name != "voc":
        assert part_sizes(task)["test"] == 12
    assert len(list(read_inputs(tmp_path, task.contract))) == 48


@pytest.mark.parametrize("yaml", YAML)
def test_names_of_yolo(tmp_path, yaml):
    yolo(tmp_path, SHOWN, yaml)
    assert read(tmp_path).objective.names == ("big dog", "cat")


def test_without_names_classes_have_numbers_and_a_bad_line_is_one_picture(tmp_path):
    yolo(tmp_path, SHOWN)
    (tmp_path / "data.yaml").unlink()
    write_text(tmp_path / "labels" / "train" / "3.txt", "cat 0.5 0.5\n")
    task = read(tmp_path)
    assert task.objective.names == ("0", "1")
    assert task.aside == (SetAside("images/train/3.png", "3.txt has a line that is no box: 'cat 0.5 0.5'"),)
    write_text(tmp_path / "data.yaml", "names: [cat]")
    assert {a.reason for a in read_source(tmp_path).aside} > {"5.txt has the class 1; there are 1"}


def test_damaged_annotations_are_refused_in_words(tmp_path):
    coco(tmp_path / "c", SHOWN)
    write_text(tmp_path / "c" / "annotations" / "instances_train2017.json", '{"images": [], "annotations": 3')
    with pytest.raises(SourceError, match="no file of COCO annotations that can be read"):
        read(tmp_path / "c")
    voc(tmp_path / "v", SHOWN)
    bomb = '<!DOCTYPE a [<!ENTITY b "cccc">]><annotation><object><name>&b;</name></object></annotation>'
    write_text(tmp_path / "v" / "Annotations" / "3.xml", bomb)
    assert [a.reason for a in read(tmp_path / "v").aside] == ["3.xml is no XML that can be read (it declares entities)"]
