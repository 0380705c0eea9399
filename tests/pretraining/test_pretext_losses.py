"""Losses against references and hand counts; which tokens are asked for."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.pretraining.tokenizer_training import SpecialTokens

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


def reference_ntxent(z, temperature):
    """Equation 1 of Chen et al. 2020, a sum at a time, float64."""
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    half, losses = len(z) // 2, []
    for i in range(len(z)):
        scores = [math.exp(unit[i] @ unit[k] / temperature) for k in range(len(z)) if k != i]
        losses.append(-math.log(math.exp(unit[i] @ unit[(i + half) % len(z)] / temperature) / sum(scores)))
    return float(np.mean(losses))


@settings(max_examples=10, deadline=None)
@given(half=st.integers(2, 9), chunk=st.integers(1, 20), temperature=st.floats(0.1, 2), seed=st.integers(0, 99))
def test_the_chunked_loss_is_ntxent(half, chunk, temperature, seed):
    from headstart.pretraining.pretexts.simclr import nt_xent_loss

    z = np.random.default_rng(seed).standard_normal((2 * half, 5))
    seen = float(nt_xent_loss(torch.tensor(z, dtype=torch.float32), temperature, chunk))
    assert seen == pytest.approx(reference_ntxent(z, temperature), rel=1e-4)


def test_the_chunked_loss_has_the_gradient_of_the_whole_one():
    from headstart.pretraining.pretexts.simclr import nt_xent_loss

    z = torch.tensor(np.random.default_rng(0).standard_normal((12, 5)), dtype=torch.float32, requires_grad=True)
    whole, parts = (torch.autograd.grad(nt_xent_loss(z, 0.3, chunk), z)[0] for chunk in (12, 5))
    assert float(whole.abs().max()) > 0.01
    assert torch.allclose(whole, parts, atol=1e-6)


def test_ntxent_of_a_student_that_sees_nothing_is_the_log_of_the_others():
    from headstart.pretraining.pretexts.simclr import nt_xent_loss

    assert float(nt_xent_loss(torch.ones(8, 3), 0.5, 3)) == pytest.approx(math.log(7), rel=1e-5)


def test_half_precision_does_not_reach_the_loss():
    from headstart.pretraining.pretexts.simclr import nt_xent_loss

    z = torch.tensor(np.random.default_rng(1).standard_normal((16, 8)), dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = nt_xent_loss(z, 0.1, 4)
    assert inside.dtype == torch.float32
    assert float(inside) == float(nt_xent_loss(z, 0.1, 4))


def test_pairs_are_matched_both_ways_and_an_equal_caption_is_no_wrong_answer():
    from headstart.pretraining.pretexts.contrastive import clip_loss

    rng = np.random.default_rng(0)
    a, b = (torch.tensor(rng.standard_normal((4, 3)), dtype=torch.float32) for _ in range(2))
    alone = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 3]])
    scores = 5 * (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).T
    wanted = -(scores.log_softmax(1).diagonal().mean() + scores.log_softmax(0).diagonal().mean()) / 2
    assert float(clip_loss(a, b, torch.tensor(5.0), alone)) == pytest.approx(float(wanted), rel=1e-5)
    same = torch.zeros(4, 4, dtype=torch.bool)
    same[0, 3] = same[3, 0] = True
    left = scores.masked_fill(same, -torch.inf)
    wanted = -(left.log_softmax(1).diagonal().mean() + left.log_softmax(0).diagonal().mean()) / 2
    twice = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 0]])
    assert float(clip_loss(a, b, torch.tensor(5.0), twice)) == pytest.approx(float(wanted), rel=1e-5)


SPECIAL = SpecialTokens(np.isin(np.arange(20), (0, 1, 2, 3, 4)), 4)  # [PAD] [UNK] [CLS] [SEP] [MASK], then 15 words


def test_tokens_are_hidden_by_the_shares_of_the_paper_and_never_a_special_one():
    from headstart.pretraining.pretexts.masked import mask_tokens

    ids = np.tile(np.r_[2, np.tile(np.arange(5, 20), 4), 3, 0, 0], (400, 1))
    mask = (ids != 0).astype(np.int64)
    got = mask_tokens(ids, mask, SPECIAL, 0.15, np.random.default_rng(0))
    at, shown = got["positions"], got["input_ids"].ravel()[got["positions"]]
    assert len(at) == 400 * 9, "15 % of 60 words a row"
    assert np.array_equal(ids.ravel()[at], got["targets"])
    assert not SPECIAL.special[got["targets"]].any()
    untouched = np.setdiff1d(np.arange(ids.size), at)
    assert np.array_equal(got["input_ids"].ravel()[untouched], ids.ravel()[untouched])
    shares = [(shown == 4).mean(), (shown == got["targets"]).mean()]
    # A word drawn at random is the true one in 1 of 15 cases.
    assert shares == pytest.approx([0.8, 0.1 + 0.1 / 15], abs=0.025)
    assert not SPECIAL.special[shown[shown != 4]].any(), "a replacement is a word"


def test_a_short_window_is_asked_for_one_token_and_a_window_without_words_for_none():
    from headstart.pretraining.pretexts.masked import mask_tokens

    ids = np.array([[2, 7, 3, 0], [2, 1, 1, 3]])
    got = mask_tokens(ids, (ids != 0).astype(np.int64), SPECIAL, 0.15, np.random.default_rng(0))
    assert got["positions"].tolist() == [1]
    assert got["targets"].tolist() == [7]


def test_the_next_token_is_foretold_n_minus_1_times_a_window_and_never_from_padding():
    from headstart.pretraining.pretexts.nexttoken import next_token_targets

    ids = np.array([[1, 5, 6, 7], [1, 8, 0, 0], [1, 0, 0, 0]])
    got = next_token_targets(ids, np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]))
    assert got["positions"].tolist() == [0, 1, 2, 4]
    assert got["targets"].tolist() == [5, 6, 7, 8]


def test_the_pad_token_within_a_text_is_a_target_and_padding_beside_it_is_none():
    from headstart.pretraining.pretexts.nexttoken import next_token_targets

    got = next_token_targets(np.array([[1, 0, 5, 0]]), np.array([[1, 1, 1, 0]]))
    assert got["targets"].tolist() == [0, 5]
