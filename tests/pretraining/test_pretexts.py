"""Learning without labels: losses against references and hand counts, runs that go on, folders that `fit` borrows."""

import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.backbones.providers import own
from headstart.core.errors import ArtifactError, HeadstartError, PlanError, SourceError
from headstart.core.plugins import member
from headstart.core.task import Example
from headstart.data.demo.tickets import tickets
from headstart.deployment import predict
from headstart.pretraining import pretrain
from headstart.pretraining.contracts import Corpus
from headstart.pretraining.tokenizer_training import Marks, bytepairs, wordpiece
from headstart.workflows import fit

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TEXTS = [text for text, _ in tickets()]
LABELS = [label for _, label in tickets()]
TINY = {"student": "bert:2x64", "rate": 3e-3, "settings": {"batch": "8", "length": "32", "vocabulary": "500"}}
BACK = {**TINY, "student": "gpt2:2x64"}


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    place = tmp_path_factory.mktemp("masked")
    return pretrain.pretrain(
        [(TEXTS, None)], pretext="masked", into=place / "run", root=place / "cache", steps=40, **TINY
    )


@pytest.fixture(scope="module")
def nexttoken(tmp_path_factory):
    place = tmp_path_factory.mktemp("nexttoken")
    told = []
    made = pretrain.pretrain(
        [(TEXTS, None)], pretext="nexttoken", into=place / "run", root=place / "cache", steps=10,
        probe=(TEXTS, LABELS), echo=told.append, **BACK,
    )  # fmt: skip
    return made, told


def words_of(*texts):
    return [Example(str(i), text, f"{i:032x}", None) for i, text in enumerate(texts)]


# Losses


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
    from headstart.pretraining.pretexts.simclr import ntxent

    z = np.random.default_rng(seed).standard_normal((2 * half, 5))
    seen = float(ntxent(torch.tensor(z, dtype=torch.float32), temperature, chunk))
    assert seen == pytest.approx(reference_ntxent(z, temperature), rel=1e-4)


def test_the_chunked_loss_has_the_gradient_of_the_whole_one():
    from headstart.pretraining.pretexts.simclr import ntxent

    z = torch.tensor(np.random.default_rng(0).standard_normal((12, 5)), dtype=torch.float32, requires_grad=True)
    whole, parts = (torch.autograd.grad(ntxent(z, 0.3, chunk), z)[0] for chunk in (12, 5))
    assert float(whole.abs().max()) > 0.01
    assert torch.allclose(whole, parts, atol=1e-6)


def test_ntxent_of_a_student_that_sees_nothing_is_the_log_of_the_others():
    from headstart.pretraining.pretexts.simclr import ntxent

    assert float(ntxent(torch.ones(8, 3), 0.5, 3)) == pytest.approx(math.log(7), rel=1e-5)


def test_half_precision_does_not_reach_the_loss():
    from headstart.pretraining.pretexts.simclr import ntxent

    z = torch.tensor(np.random.default_rng(1).standard_normal((16, 8)), dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = ntxent(z, 0.1, 4)
    assert inside.dtype == torch.float32
    assert float(inside) == float(ntxent(z, 0.1, 4))


def test_pairs_are_matched_both_ways_and_an_equal_caption_is_no_wrong_answer():
    from headstart.pretraining.pretexts.contrastive import matched

    rng = np.random.default_rng(0)
    a, b = (torch.tensor(rng.standard_normal((4, 3)), dtype=torch.float32) for _ in range(2))
    alone = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 3]])
    scores = 5 * (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).T
    wanted = -(scores.log_softmax(1).diagonal().mean() + scores.log_softmax(0).diagonal().mean()) / 2
    assert float(matched(a, b, torch.tensor(5.0), alone)) == pytest.approx(float(wanted), rel=1e-5)
    same = torch.zeros(4, 4, dtype=torch.bool)
    same[0, 3] = same[3, 0] = True
    left = scores.masked_fill(same, -torch.inf)
    wanted = -(left.log_softmax(1).diagonal().mean() + left.log_softmax(0).diagonal().mean()) / 2
    twice = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 0]])
    assert float(matched(a, b, torch.tensor(5.0), twice)) == pytest.approx(float(wanted), rel=1e-5)


# Which tokens are asked for

SPECIAL = Marks(np.isin(np.arange(20), (0, 1, 2, 3, 4)), 4)  # [PAD] [UNK] [CLS] [SEP] [MASK], then 15 words


def test_tokens_are_hidden_by_the_shares_of_the_paper_and_never_a_special_one():
    from headstart.pretraining.pretexts.masked import hide

    ids = np.tile(np.r_[2, np.tile(np.arange(5, 20), 4), 3, 0, 0], (400, 1))
    mask = (ids != 0).astype(np.int64)
    got = hide(ids, mask, SPECIAL, 0.15, np.random.default_rng(0))
    at, shown = got["at"], got["input_ids"].ravel()[got["at"]]
    assert len(at) == 400 * 9, "15 % of 60 words a row"
    assert np.array_equal(ids.ravel()[at], got["truth"])
    assert not SPECIAL.special[got["truth"]].any()
    untouched = np.setdiff1d(np.arange(ids.size), at)
    assert np.array_equal(got["input_ids"].ravel()[untouched], ids.ravel()[untouched])
    shares = [(shown == 4).mean(), (shown == got["truth"]).mean()]
    # A word drawn at random is the true one in 1 of 15 cases.
    assert shares == pytest.approx([0.8, 0.1 + 0.1 / 15], abs=0.025)
    assert not SPECIAL.special[shown[shown != 4]].any(), "a replacement is a word"


def test_a_short_window_is_asked_for_one_token_and_a_window_without_words_for_none():
    from headstart.pretraining.pretexts.masked import hide

    ids = np.array([[2, 7, 3, 0], [2, 1, 1, 3]])
    got = hide(ids, (ids != 0).astype(np.int64), SPECIAL, 0.15, np.random.default_rng(0))
    assert got["at"].tolist() == [1]
    assert got["truth"].tolist() == [7]


def test_the_next_token_is_foretold_n_minus_1_times_a_window_and_never_from_padding():
    from headstart.pretraining.pretexts.nexttoken import targets

    ids = np.array([[1, 5, 6, 7], [1, 8, 0, 0], [1, 0, 0, 0]])
    got = targets(ids, np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]]))
    assert got["at"].tolist() == [0, 1, 2, 4]
    assert got["truth"].tolist() == [5, 6, 7, 8]


def test_the_pad_token_within_a_text_is_a_target_and_padding_beside_it_is_none():
    from headstart.pretraining.pretexts.nexttoken import targets

    got = targets(np.array([[1, 0, 5, 0]]), np.array([[1, 1, 1, 0]]))
    assert got["truth"].tolist() == [0, 5]


# Batches


def corpus_of(lengths, seed=0):
    starts = np.r_[0, np.cumsum(lengths)]
    return Corpus(tokens=np.arange(starts[-1], dtype=np.int32), starts=starts, seed=seed)


def test_a_batch_holds_its_windows_and_padding_at_their_end():
    from headstart.pretraining.text_corpus import padded

    got = padded(corpus_of([3, 1, 2]), np.array([2, 0]), 99)
    assert got["input_ids"].tolist() == [[4, 5, 99], [0, 1, 2]]
    assert got["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), batch=st.integers(1, 12), seed=st.integers(0, 9))
def test_no_window_comes_twice_in_a_pass_and_few_are_left_out(n, batch, seed):
    from headstart.pretraining.text_corpus import ALIKE, alike

    corpus = corpus_of(np.random.default_rng(seed).integers(1, 30, n), seed)
    pieces = min(ALIKE, max(1, n // batch))
    passes = max(1, n // min(n, batch * pieces)) * pieces
    seen = np.concatenate([alike(corpus, batch, i) for i in range(passes)])
    assert len(np.unique(seen)) == len(seen)
    assert len(seen) > n - batch * pieces
    assert all(np.array_equal(alike(corpus, batch, i), alike(corpus, batch, i)) for i in (0, passes))


def test_windows_of_about_one_length_stand_together():
    from headstart.pretraining.text_corpus import alike, padded

    corpus = corpus_of(np.random.default_rng(0).integers(2, 120, 640))
    kept = [padded(corpus, alike(corpus, 16, i), 0)["attention_mask"].mean() for i in range(8)]
    plain = padded(corpus, np.arange(128), 0)["attention_mask"].mean()
    assert np.mean(kept) > 0.85 > 0.65 > plain


# Tokenizers


@pytest.mark.parametrize("learn", [wordpiece, bytepairs])
def test_equal_texts_give_an_equal_tokenizer(learn):
    assert learn(lambda: iter(TEXTS), 600).to_str() == learn(lambda: iter(TEXTS), 600).to_str()


def test_tokenizers_put_their_marks_around_a_text_and_know_their_size():
    pieces, strings = wordpiece(lambda: iter(TEXTS), 600), bytepairs(lambda: iter(TEXTS), 600)
    assert pieces.encode("My password").tokens[:2] == ["[CLS]", "my"]
    assert pieces.encode("My password").tokens[-1] == "[SEP]"
    assert strings.encode("My password").tokens[0] == "<|endoftext|>"
    assert strings.decode(strings.encode("naïve 猫 \U0001f600").ids) == "naïve 猫 \U0001f600", "no byte is unknown"
    for one in (pieces, strings):
        ids = sorted(one.get_vocab().values())
        assert ids == list(range(len(ids)))
        assert len(ids) <= 600


def test_long_texts_are_read_to_their_end_in_windows(tmp_path):
    from headstart.pretraining.text_corpus import prepared, tokenizer_of, tokens_of

    texts = words_of("my password is wrong " * 5000, "hello", "hello", "", "my parcel")
    said = []
    say = lambda event, facts: said.append((event, facts))  # noqa: E731
    file = tokenizer_of(texts, "wordpiece", 300, tmp_path)
    got = tokens_of(texts, prepared(file, 16), 16, tmp_path, say)
    lengths = np.diff(got.starts)
    assert lengths.max() <= 16
    assert lengths.sum() == len(got.tokens)
    words = wordpiece(lambda: iter(t.content for t in texts), 300).encode(texts[0].content, add_special_tokens=False)
    assert lengths[got.owners == 0].sum() - 2 * (got.owners == 0).sum() == len(words.ids)
    assert set(got.owners.tolist()) == {0, 1, 2, 4}, "the empty text is set aside"
    assert any(event == "finding" and "3: " in facts["message"] for event, facts in said)
    again = tokens_of(texts, prepared(file, 16), 16, tmp_path, lambda event, facts: None)
    assert np.array_equal(again.tokens, got.tokens)


# Runs


def test_masked_learning_lowers_its_loss(masked):
    beginning = math.log(500)
    assert masked.facts["figures"]["loss"] < beginning - 0.3
    assert masked.card.width == 64
    assert [b.name for b in masked.card.blocks] == ["encoder.layer.0", "encoder.layer.1"]


def test_real_paragraphs_are_learned(real_data, tmp_path):
    losses = []
    listen = lambda e: losses.append(e["loss"]) if e["event"] == "step" else None  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretrain, "SAID", 0.0)
        pretrain.pretrain(
            [real_data / "text_wikitext2"], pretext="masked", into=tmp_path / "run", root=tmp_path / "cache", steps=30,
            echo=listen, **TINY,
        )  # fmt: skip
    assert losses[-1] < losses[0] - 0.3


def test_what_was_made_is_borrowed_and_answers(masked, tmp_path):
    outcome = fit.fit((TEXTS, LABELS), into=tmp_path / "fit", backbone=f"own:{masked.folder}", root=tmp_path / "cache")
    assert outcome.result["metrics"]["accuracy"]["n"] > 0
    (answer,) = predict.predict(tmp_path / "fit", ["where is my parcel?"])
    assert answer.facts()["label"] in set(LABELS)


def test_the_folder_is_one_that_transformers_opens(masked, tmp_path):
    folder = masked.folder / "backbone"
    card = member("backbones", "transformers").card(f"{folder}?pooling=mean")
    assert {**dict(card.preprocess.settings)} == dict(masked.card.preprocess.settings)
    assert [b.name for b in card.blocks] == [b.name for b in masked.card.blocks]


@pytest.mark.parametrize("which", ["masked", "nexttoken"])
def test_a_row_does_not_depend_on_the_padding_beside_it(which, request):
    from headstart.testing import check_backbone

    made = request.getfixturevalue(which)
    made = made[0] if isinstance(made, tuple) else made
    check_backbone(f"own:{made.folder}", ["a short one", "My password is wrong, and I wrote it down. " * 2, "parcel"])


def test_the_probe_reads_texts_on_the_way(nexttoken):
    made, told = nexttoken
    probes = [e for e in told if e["event"] == "probe"]
    assert len(probes) == 10
    assert made.facts["figures"]["probe"] == [{"step": p["step"], "accuracy": p["accuracy"]} for p in probes]
    assert [b.name for b in made.card.blocks] == ["whole"], "GPT-2 is not divided"


def test_a_run_that_was_interrupted_goes_on_as_the_same_run(masked, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain, "SAVED", 0.0)
    monkeypatch.setattr(pretrain, "SAID", 0.0)

    def stop(event):
        if event["event"] == "step" and event["done"] == 21:
            raise KeyboardInterrupt

    what = {"pretext": "masked", "into": tmp_path / "run", "root": tmp_path / "cache", "steps": 40}
    with pytest.raises(KeyboardInterrupt):
        pretrain.pretrain([(TEXTS, None)], **what, **TINY, echo=stop)
    changed = {**TINY, "settings": {**TINY["settings"], "share": "0.3"}}
    with pytest.raises(PlanError, match=r"settings: .* then, .*'share': '0.3'.* now"):
        pretrain.pretrain([(TEXTS, None)], **what, **changed)
    told = []
    again = pretrain.pretrain([(TEXTS, None)], **what, **TINY, echo=told.append)
    assert next(e["step"] for e in told if e["event"] == "resumed") == 20
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        one, two = ((m.folder / "backbone" / name).read_bytes() for m in (masked, again))
        assert one == two, name


def test_a_single_letter_is_a_corpus_and_a_vocabulary(tmp_path):
    made = pretrain.pretrain(
        [(["   ", "x"], None)], pretext="masked", into=tmp_path / "run", root=tmp_path / "cache", steps=2, **TINY
    )
    assert made.card.width == 64
    assert 0 < made.facts["figures"]["loss"] < 2 * math.log(6), "[PAD] [UNK] [CLS] [SEP] [MASK] x"


def test_going_on_from_what_was_made_keeps_its_tokenizer(masked, tmp_path):
    made = pretrain.pretrain(
        [(TEXTS[:40], None)], pretext="masked", student=f"own:{masked.folder}", into=tmp_path / "run",
        root=tmp_path / "cache", steps=2, settings={"batch": "4", "length": "16"},
    )  # fmt: skip
    old, new = (m.folder / "backbone" for m in (masked, made))
    assert (old / "tokenizer.json").read_bytes() == (new / "tokenizer.json").read_bytes()
    assert dict(made.card.preprocess.settings) == dict(masked.card.preprocess.settings)
    assert made.card.weights != masked.card.weights


# What is refused


@pytest.mark.parametrize(
    ("said", "pretext", "what"),
    [
        (r"gpt2:2x64 looks back only", "masked", {"student": "gpt2:2x64"}),
        (r"bert:2x64 looks both ways", "nexttoken", {"student": "bert:2x64"}),
        (r"bert:2x65: .* multiple of 64", "masked", {"student": "bert:2x65"}),
        (r"--student resnet18: bert:4x256", "masked", {"student": "resnet18"}),
        (r"vocabulary=20: at least", "masked", {"settings": {"vocabulary": "20"}}),
        (r"share=2", "masked", {"settings": {"share": "2", "vocabulary": "400", "length": "16"}}),
        (r"no setting 'lenght'.*Did you mean 'length'", "nexttoken", {"settings": {"lenght": "16"}}),
    ],
)
def test_students_that_cannot_be_taught_are_refused(said, pretext, what, tmp_path):
    asked = {"student": "bert:2x64" if pretext == "masked" else "gpt2:2x64", "steps": 1, **what}
    with pytest.raises(PlanError, match=said):
        pretrain.pretrain([(TEXTS[:20], None)], pretext=pretext, into=tmp_path / "r", root=tmp_path / "c", **asked)


def test_a_setting_or_column_without_effect_is_refused(masked, tmp_path):
    place = {"into": tmp_path / "r", "root": tmp_path / "c", "pretext": "masked", "steps": 1}
    for said, settings_ in (("vocabulary has no effect", {"vocabulary": "900"}), ("reads 32 tokens", {"length": "64"})):
        with pytest.raises(PlanError, match=said):
            pretrain.pretrain([(TEXTS, None)], student=f"own:{masked.folder}", settings=settings_, **place)
    with pytest.raises(SourceError, match="--label team has no effect"):
        pretrain.pretrain([(TEXTS, None)], label="team", **place)
    with pytest.raises(SourceError, match="holds texts"):
        pretrain.pretrain([(TEXTS, None)], **{**place, "pretext": "simclr"})
    with pytest.raises(SourceError, match="holds texts; pairs"):
        pretrain.pretrain([(TEXTS, LABELS)], **{**place, "pretext": "contrastive"})


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_folder_with_a_changed_or_missing_file_is_refused_by_its_name(masked, name, tmp_path):
    folder = shutil.copytree(masked.folder / "backbone", tmp_path / "copy")
    assert own.card(str(folder)).width == 64
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"{name} is not the file that card.json"):
        own.card(str(folder))
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name} is missing"):
        fit.fit((TEXTS, LABELS), into=tmp_path / "fit", backbone=f"own:{folder}", root=tmp_path / "cache")


def test_a_card_that_pins_another_digest_is_refused(masked, tmp_path):
    folder = shutil.copytree(masked.folder / "backbone", tmp_path / "copy")
    card = json.loads((folder / "card.json").read_text())
    card["files"]["tokenizer.json"] = card["files"]["config.json"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is not the file"):
        own.card(str(folder))
    (folder / "card.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"card\.json is damaged"):
        own.card(str(folder))


# Pictures


def squares(n):
    """Pictures of one square each, and what they show."""
    rng = np.random.default_rng(0)
    colours = {"red": (220, 30, 30), "blue": (30, 30, 220)}
    pictures, captions = [], []
    for i in range(n):
        name, half = list(colours)[i % 2], 12 if i % 4 < 2 else 5
        picture = rng.integers(100, 130, (36, 36, 3)).astype(np.uint8)
        picture[18 - half : 18 + half, 18 - half : 18 + half] = colours[name]
        pictures.append(picture)
        captions.append(f"a {'large' if half == 12 else 'small'} {name} square")
    return pictures, captions


def colours(n):
    """Pictures of four fields of colour each, no two alike."""
    fields = np.random.default_rng(0).integers(0, 256, (n, 2, 2, 3)).astype(np.uint8)
    return list(fields.repeat(18, 1).repeat(18, 2))


@pytest.mark.parametrize("pretext", ["simclr", "contrastive"])
def test_pictures_are_learned_and_the_network_for_them_is_kept(pretext, tmp_path):
    pictures, captions = squares(48) if pretext == "contrastive" else (colours(48), None)
    chosen = {"vocabulary": "300"} if pretext == "contrastive" else {"policy": "gentle", "temperature": "0.2"}
    made = pretrain.pretrain(
        [(pictures, captions)], pretext=pretext, student="test_resnet", side=32, into=tmp_path / "run",
        root=tmp_path / "cache", steps=20, rate=2e-3, settings={"batch": "16", **chosen},
    )  # fmt: skip
    nothing = math.log(31 if pretext == "simclr" else 16)
    assert made.facts["figures"]["loss"] < nothing - 0.3
    names = sorted(p.name for p in (made.folder / "backbone").iterdir())
    assert names == ["card.json", "model.onnx", "model.safetensors"]
    thrown = own.made(str(made.folder))["thrown_away"]
    assert ("text tower" in thrown) == (pretext == "contrastive")


def test_the_two_views_of_a_picture_differ_and_stand_half_a_batch_apart(tmp_path):
    from headstart.data.read import reading
    from headstart.features.augmentation import STRONG
    from headstart.pretraining.image_corpus import gather
    from headstart.pretraining.pretexts.simclr import Settings

    pictures, _ = squares(6)
    kept = gather(reading((pictures, None), label="").examples[""], tmp_path, 40)
    corpus = Corpus(pictures=kept, seed=3)
    student = type("S", (), {"spec": {"input_size": (3, 32, 32)}})()
    got = [Settings(batch=3).draw(student, corpus, i)["pixels"] for i in (0, 1, 2)]
    order = np.random.default_rng([3, 0]).permutation(6)[:3]
    for row, i in enumerate(order):
        assert np.array_equal(got[0][row], kept.view(int(i), 1, STRONG, 3, 32))
        assert np.array_equal(got[0][row + 3], kept.view(int(i), 2, STRONG, 3, 32))
        assert not np.array_equal(got[0][row], got[0][row + 3])
    later = np.random.default_rng([3, 1]).permutation(6)[0]
    assert np.array_equal(got[2][0], kept.view(int(later), 3, STRONG, 3, 32)), "the next pass sees new views"


def test_captions_that_are_no_text_are_refused(tmp_path):
    pictures, _ = squares(4)
    with pytest.raises(HeadstartError, match=r"has 1 for a caption"):
        pretrain.pretrain([(pictures, [1, 2, 1, 2])], pretext="contrastive", into=tmp_path / "r", root=tmp_path / "c")
