"""Texts become tokens in windows: tokenizers, batches of like lengths, padding at the end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.core.task import Example
from headstart.pretraining.contracts import Corpus
from headstart.pretraining.tokenizer_training import train_byte_bpe, train_wordpiece
from tests.support.ticket_texts import TEXTS

pytest.importorskip("torch")
pytest.importorskip("transformers")


def words_of(*texts):
    return [Example(str(i), text, f"{i:032x}", None) for i, text in enumerate(texts)]


def corpus_of(lengths, seed=0):
    starts = np.r_[0, np.cumsum(lengths)]
    return Corpus(tokens=np.arange(starts[-1], dtype=np.int32), starts=starts, seed=seed)


def test_a_batch_holds_its_windows_and_padding_at_their_end():
    from headstart.pretraining.text_corpus import pad_batch

    got = pad_batch(corpus_of([3, 1, 2]), np.array([2, 0]), 99)
    assert got["input_ids"].tolist() == [[4, 5, 99], [0, 1, 2]]
    assert got["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), batch=st.integers(1, 12), seed=st.integers(0, 9))
def test_no_window_comes_twice_in_a_pass_and_few_are_left_out(n, batch, seed):
    from headstart.pretraining.text_corpus import BUCKET_BATCHES, length_bucket

    corpus = corpus_of(np.random.default_rng(seed).integers(1, 30, n), seed)
    pieces = min(BUCKET_BATCHES, max(1, n // batch))
    passes = max(1, n // min(n, batch * pieces)) * pieces
    seen = np.concatenate([length_bucket(corpus, batch, i) for i in range(passes)])
    assert len(np.unique(seen)) == len(seen)
    assert len(seen) > n - batch * pieces
    assert all(np.array_equal(length_bucket(corpus, batch, i), length_bucket(corpus, batch, i)) for i in (0, passes))


def test_windows_of_about_one_length_stand_together():
    from headstart.pretraining.text_corpus import length_bucket, pad_batch

    corpus = corpus_of(np.random.default_rng(0).integers(2, 120, 640))
    kept = [pad_batch(corpus, length_bucket(corpus, 16, i), 0)["attention_mask"].mean() for i in range(8)]
    plain = pad_batch(corpus, np.arange(128), 0)["attention_mask"].mean()
    assert np.mean(kept) > 0.85 > 0.65 > plain


@pytest.mark.parametrize("learn", [train_wordpiece, train_byte_bpe])
def test_equal_texts_give_an_equal_tokenizer(learn):
    assert learn(lambda: iter(TEXTS), 600).to_str() == learn(lambda: iter(TEXTS), 600).to_str()


def test_tokenizers_put_their_marks_around_a_text_and_know_their_size():
    pieces, strings = train_wordpiece(lambda: iter(TEXTS), 600), train_byte_bpe(lambda: iter(TEXTS), 600)
    assert pieces.encode("My password").tokens[:2] == ["[CLS]", "my"]
    assert pieces.encode("My password").tokens[-1] == "[SEP]"
    assert strings.encode("My password").tokens[0] == "<|endoftext|>"
    assert strings.decode(strings.encode("naïve 猫 \U0001f600").ids) == "naïve 猫 \U0001f600", "no byte is unknown"
    for one in (pieces, strings):
        ids = sorted(one.get_vocab().values())
        assert ids == list(range(len(ids)))
        assert len(ids) <= 600


def test_long_texts_are_read_to_their_end_in_windows(tmp_path):
    from headstart.pretraining.text_corpus import text_preprocess, tokenize_texts, train_tokenizer

    texts = words_of("my password is wrong " * 5000, "hello", "hello", "", "my parcel")
    said = []
    say = lambda event, facts: said.append((event, facts))  # noqa: E731
    file = train_tokenizer(texts, "wordpiece", 300, tmp_path)
    got = tokenize_texts(texts, text_preprocess(file, 16), 16, tmp_path, say)
    lengths = np.diff(got.starts)
    assert lengths.max() <= 16
    assert lengths.sum() == len(got.tokens)
    words = train_wordpiece(lambda: iter(t.content for t in texts), 300).encode(
        texts[0].content, add_special_tokens=False
    )
    assert lengths[got.owners == 0].sum() - 2 * (got.owners == 0).sum() == len(words.ids)
    assert set(got.owners.tolist()) == {0, 1, 2, 4}, "the empty text is set aside"
    assert any(event == "finding" and "3: " in facts["message"] for event, facts in said)
    again = tokenize_texts(texts, text_preprocess(file, 16), 16, tmp_path, lambda event, facts: None)
    assert np.array_equal(again.tokens, got.tokens)
