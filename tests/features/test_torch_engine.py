"""The frozen part in torch: rows in order, the same every time, and a receipt of what moved."""

from dataclasses import replace

import numpy as np
import pytest

from headstart.core.errors import PlanError
from headstart.core.plugins import member

torch = pytest.importorskip("torch")
pytest.importorskip("timm")


@pytest.fixture
def running(timm_card):
    made = timm_card("mobilenetv2_100.tf_in1k")
    small = tuple((k, (3, 64, 64) if k == "input_size" else v) for k, v in made.preprocess.settings)
    made = replace(made, preprocess=replace(made.preprocess, settings=small))
    return member("engines", "torch").start(made, made.cut(17))


def pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(count)]


def test_rows_come_in_order_the_same_every_time_and_whatever_stands_beside_them(running):
    units = pictures(19)
    rows = running.rows(units)
    assert rows.shape == (19, 1280) and rows.dtype == np.float32
    assert np.array_equal(rows, running.rows(units))
    alone = np.concatenate([running.rows([unit]) for unit in units])
    assert np.abs(alone - rows).max() <= 1e-5 * np.abs(rows).max()
    assert running.rows([]).shape == (0, 1280)


def test_threads_are_given_back(running):
    before = torch.get_num_threads()
    running.rows(pictures(17))
    assert torch.get_num_threads() == before


def test_the_receipt_of_a_frozen_network_shows_nothing_moved(running):
    running.rows(pictures(9))
    receipt = running.receipt()
    assert receipt.tensors == 312 and not receipt.moved and receipt.digest_before == receipt.digest_after


def test_the_receipt_sees_a_batchnorm_left_in_train_mode(running):
    norm = next(m for m in running.module.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.train()
    running.rows(pictures(9))
    receipt = running.receipt()
    assert receipt.moved == ("bn1.num_batches_tracked", "bn1.running_mean", "bn1.running_var")
    assert receipt.digest_before != receipt.digest_after


def test_below_the_top_rows_are_what_leaves_that_block(timm_card):
    made = timm_card("vit_tiny_patch16_224.augreg_in1k")
    engine = member("engines", "torch")
    units = [np.zeros((224, 224, 3), np.uint8)] * 2
    low = engine.start(made, made.cut(2))
    assert low.rows(units).shape == (2, *made.blocks[1].shape)
    assert low.receipt().tensors < engine.start(made, made.cut(12)).receipt().tensors
    with pytest.raises(PlanError, match="cut at 0"):
        engine.start(made, made.cut(0))
