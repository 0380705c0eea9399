"""CLIP and SigLIP: the image tower is a backbone like any other, and words choose among classes without a label."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headstart import testing
from headstart.backbones import network
from headstart.core.backbone import Cut
from headstart.core.errors import ArtifactError, PlanError, WeightsNotFound
from headstart.core.features import Features
from headstart.core.plan import Above
from headstart.core.plugins import member
from headstart.data.demo.photos import write_photos
from headstart.deployment import model_folder, predict
from headstart.workflows import fit
from tests.support.networks import relative_difference

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

QUIET = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,'-"
TEXTS = ["a photo of a Cat.", "dog", "a rather long word stands here " * 4]
clip, zeroshot = member("backbones", "clip"), member("methods", "zeroshot")


def stirred(model):
    """The network with weights of a trained one's size, so that no picture and no text is like the next."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not name.startswith("logit"):
                p.add_(torch.randn(p.shape, generator=generator) * (0.3 if p.ndim > 1 else 0.05))
    return model.eval()


def made_clip(folder: Path) -> Path:
    """A small CLIP with random weights, a tokenizer of letters, and pictures of 32 pixels out of the middle."""
    symbols = [*LETTERS, *(f"{c}</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    end = len(symbols) - 1
    words = transformers.CLIPTokenizer(vocab={s: i for i, s in enumerate(symbols)}, merges=[])
    text = {"vocab_size": len(symbols), "max_position_embeddings": 40, "num_hidden_layers": 2}
    text |= {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end}
    vision = {"image_size": 32, "patch_size": 8, "num_hidden_layers": 3}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=SMALL | text, vision_config=SMALL | vision, projection_dim=24)
    stirred(transformers.CLIPModel(config)).save_pretrained(folder)
    words.save_pretrained(folder)
    old = {"size": 32, "crop_size": 32, "do_center_crop": True, "do_resize": True, "do_normalize": True, "resample": 3}
    old |= {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    old |= {"feature_extractor_type": "CLIPFeatureExtractor"}  # as OpenAI's weights have it
    (folder / "preprocessor_config.json").write_text(json.dumps(old))
    return folder


def made_siglip(folder: Path) -> Path:
    """A small SigLIP with random weights; pictures are squeezed to 32 pixels, texts filled up to 24 tokens."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    symbols = {s: i for i, s in enumerate(["<pad>", "</s>", "<unk>", *LETTERS])}
    letters = Tokenizer(models.WordLevel(symbols, "<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    letters.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    words = transformers.PreTrainedTokenizerFast(tokenizer_object=letters, **special)
    text = {"vocab_size": len(symbols), "max_position_embeddings": 24, "num_hidden_layers": 2, "projection_size": 32}
    vision = {"image_size": 32, "patch_size": 8, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = transformers.SiglipConfig(text_config=SMALL | text, vision_config=SMALL | vision)
    model = stirred(transformers.SiglipModel(config))
    with torch.no_grad():
        model.logit_scale.fill_(2.5)
        model.logit_bias.fill_(-7.0)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    transformers.SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    made = {"clip": made_clip, "siglip": made_siglip}
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in made.items()}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return write_photos(tmp_path_factory.mktemp("data") / "photos", 90)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """One cache for all, so that the reference photos are rendered once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(params=["clip", "siglip"])
def folder(request, folders) -> Path:
    return folders[request.param]


def theirs(folder: Path):
    return transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()


def noise(count: int = 3):
    return torch.randn((count, 3, 32, 32), generator=torch.Generator().manual_seed(0))


def told(folder: Path, texts: list[str]) -> dict:
    """Texts as the library's own code prepares them for these weights."""
    read = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if "siglip" not in json.loads((folder / "config.json").read_text())["model_type"]:
        return dict(read(texts, padding=True, truncation=True, max_length=40, return_tensors="pt"))
    lowered = [t.lower() for t in texts]
    return {
        "input_ids": read(lowered, padding="max_length", truncation=True, max_length=24, return_tensors="pt").input_ids
    }


# The backbone


def test_at_every_cut_it_is_what_transformers_itself_gives(folder):
    card, whole = clip.card(str(folder)), theirs(folder)
    net = network.open_network(card)
    names = [f"vision_model.encoder.layers.{i}" for i in range(whole.config.vision_config.num_hidden_layers)]
    assert [b.name for b in card.blocks] == names
    with torch.no_grad():
        truth = whole.get_image_features(pixel_values=noise()).pooler_output
        for at in range(len(names) + 1):
            cut = Cut(at, top=at == len(names))
            row = net.above(cut)(net.below(cut)({"pixels": noise()}))
            assert row.shape == (3, card.width)
            assert relative_difference(row, truth) < 1e-5, f"cut at {at}"


def test_it_keeps_the_contract_and_sees_pictures_as_its_library_does(folder, pictures):
    raws = [p.read_bytes() for p in sorted(pictures.glob("*/*.jpg"))[:4]]
    testing.check_backbone(f"clip:{folder}", raws)
    card = clip.card(str(folder))
    spec, prepare = card.preprocess, member("preprocess", "image")
    units = [some[0] for some in prepare.prepare(raws, spec)]
    with torch.no_grad():
        pixels = torch.from_numpy(prepare.batch(units, spec)["pixels"])
        ours = theirs(folder).get_image_features(pixel_values=pixels).pooler_output.numpy()
    reference = clip.reference(card, lambda: raws)
    cosines = (ours * reference).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(reference, axis=1)
    assert cosines.min() > 0.999


def test_the_receipt_names_the_image_tower_and_nothing_of_the_texts(folder):
    card = clip.card(str(folder))
    net = network.open_network(card)
    held = set(net.tensors(net.below(Cut(len(card.blocks), top=True))))
    state = theirs(folder)
    own = {n for n, _ in (*state.named_parameters(), *state.named_buffers())}
    assert held == {n for n in own if n.startswith(("vision_model.", "visual_projection."))}
    assert card.parameters == sum(p.numel() for n, p in state.named_parameters() if n.startswith("vis"))


def test_words_are_what_transformers_itself_gives(folder):
    card = clip.card(str(folder))
    with torch.no_grad():
        truth = theirs(folder).get_text_features(**told(folder, TEXTS)).pooler_output
    ours = clip.words(card, TEXTS)
    assert ours.shape == (3, card.width) and relative_difference(torch.tensor(ours), truth) < 1e-5
    assert relative_difference(torch.tensor(clip.words(card, TEXTS[1:2])), truth[1:2]) < 1e-5, (
        "a text's place depends on what stands beside it"
    )
    assert clip.words(card, []).shape == (0, card.width)


def test_positions_that_old_files_hold_are_no_strangers(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(folders["clip"], tmp_path / "old")
    state = load_file(tmp_path / "old/model.safetensors")
    more = {f"{t}_model.embeddings.position_ids": torch.arange(n)[None] for t, n in (("text", 40), ("vision", 17))}
    save_file({**state, **more}, tmp_path / "old/model.safetensors", metadata={"format": "pt"})
    assert len(clip.card(str(tmp_path / "old")).blocks) == 3


def test_half_precision_files_are_computed_with_in_single(folders, tmp_path):
    shutil.copytree(folders["siglip"], tmp_path / "half")
    theirs(folders["siglip"]).to(torch.bfloat16).save_pretrained(tmp_path / "half")
    card = clip.card(str(tmp_path / "half"))
    assert {p.dtype for p in network.open_network(card).model.parameters()} == {torch.float32}
    assert clip.words(card, ["dog"]).dtype == np.float32
    assert clip.scale(card) == pytest.approx((np.exp(2.5), -7.0))


# Refusals


def test_what_is_no_clip_is_refused_and_told_where_to_go(folders, tmp_path, text):
    with pytest.raises(PlanError, match=r"two halves.*--backbone clip:"):
        member("backbones", "transformers").card(str(folders["clip"]))
    with pytest.raises(WeightsNotFound, match=r"preprocessor_config\.json"):
        clip.card(text.partition(":")[2].partition("?")[0])
    with pytest.raises(PlanError, match="'pooling'"):
        clip.card(f"{folders['clip']}?pooling=mean")
    shutil.copytree(folders["clip"], tmp_path / "mean")
    facts = json.loads((tmp_path / "mean/preprocessor_config.json").read_text())
    (tmp_path / "mean/preprocessor_config.json").write_text(json.dumps({**facts, "image_mean": None}))
    with pytest.raises(PlanError, match="lacks mean"):
        clip.card(str(tmp_path / "mean"))
    encoder = text.partition(":")[2].partition("?")[0]
    shutil.copytree(encoder, tmp_path / "one")
    shutil.copy(folders["clip"] / "preprocessor_config.json", tmp_path / "one")
    with pytest.raises(PlanError, match="no tower for images"):
        clip.card(str(tmp_path / "one"))


def test_without_a_tokenizer_it_still_sees_but_knows_no_words(folders, tmp_path):
    shutil.copytree(folders["clip"], tmp_path / "mute")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "mute" / name).unlink()
    card = clip.card(str(tmp_path / "mute"))
    assert len(network.open_network(card).blocks) == 3
    with pytest.raises(PlanError, match=r"has no tokenizer.*tokenizer\.json"):
        clip.words(card, ["dog"])


def test_other_weights_under_the_same_name_are_noticed(folders, tmp_path):
    shutil.copytree(folders["clip"], tmp_path / "net")
    card = clip.card(str(tmp_path / "net"))
    blob = bytearray((tmp_path / "net/model.safetensors").read_bytes())
    blob[-1] ^= 1
    (tmp_path / "net/model.safetensors").write_bytes(blob)
    for ask in (lambda: network.open_network(card), lambda: clip.words(card, ["dog"])):
        with pytest.raises(ArtifactError, match="has changed since"):
            ask()


# Zero-shot


def fitted_on(folder: Path, given: list, kind: str = "classes", **settings):
    """The method fitted to rows of noise with the labels `given`."""
    card = clip.card(str(folder))
    objective = member("objectives", kind).of(given)
    x = np.random.default_rng(0).standard_normal((len(given), card.width)).astype(np.float32)
    data = Features(x, objective.encode(given), tuple(map(str, range(len(given)))))
    method = replace(zeroshot.Settings(), **settings)
    cut = method.cut(card)
    opened = Above(torch.nn.Sequential(), card, cut)
    nothing = data.rows(np.zeros(0, np.int64))
    return method.fit(data, nothing, objective, above=lambda: opened, rng=np.random.default_rng(0)), objective


def test_scores_are_the_model_s_own(folder):
    fitted, objective = fitted_on(folder, ["small_dog", "Cat", "sea-horse"])
    prompts = ["a photo of a Cat.", "a photo of a sea horse.", "a photo of a small dog."]
    assert fitted.notes["labels"] == ["Cat", "sea horse", "small dog"]
    whole = theirs(folder)
    with torch.no_grad():
        logits = whole(pixel_values=noise(), **told(folder, prompts)).logits_per_image
        rows = whole.get_image_features(pixel_values=noise()).pooler_output.numpy()
    scores = fitted.scores(rows)
    assert np.allclose(scores, logits, rtol=1e-4, atol=1e-4)
    assert np.allclose(objective.probabilities(scores), logits.softmax(1), atol=1e-4)
    assert np.ptp(logits.softmax(1).numpy(), axis=0).max() > 0.01, "the prompts are told apart"


def test_several_templates_are_the_mean_of_unit_vectors(folder):
    fitted, _ = fitted_on(folder, ["cat", "dog"], templates="a {} here.|one {}")
    prompts = ["a cat here.", "one cat", "a dog here.", "one dog"]
    rows = clip.words(clip.card(str(folder)), prompts).astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mean = rows.reshape(2, 2, -1).mean(1)
    assert np.allclose(fitted.words, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-6)
    assert len(fitted_on(folder, ["cat", "dog"], templates="several")[0].notes["templates"]) == 7


def test_labels_teach_nothing_and_the_state_is_all_there_is(folders):
    right, objective = fitted_on(folders["clip"], ["cat", "dog", "cow"] * 4)
    wrong, _ = fitted_on(folders["clip"], ["dog", "cow", "cat"] * 4)
    x = np.random.default_rng(1).standard_normal((5, 24)).astype(np.float32)
    assert np.array_equal(right.scores(x), wrong.scores(x))
    assert np.array_equal(zeroshot.restore(right.state()).scores(x), right.scores(x))
    assert np.allclose(right.scores(x[:1]), right.scores(x)[:1], atol=1e-5)
    assert np.allclose(right.scores(3 * x), right.scores(x), atol=1e-5), "only the direction of a row counts"
    assert right.scores(x[:0]).shape == (0, objective.width)
    assert right.notes["learned"] == 0


@pytest.mark.parametrize(
    ("labels", "settings", "said"),
    [
        (["cat", "dog"], {"templates": "a photo"}, "no {}"),
        (["cat", "dog"], {"labels": ("house cat",)}, "names 1 classes and there are 2"),
        (["hot-dog", "hot_dog"], {}, "both called 'hot dog'"),
        (["0", "1"], {}, "does not say what they look like"),
    ],
)
def test_names_that_say_nothing_are_refused(folders, labels, settings, said):
    with pytest.raises(PlanError, match=said):
        fitted_on(folders["clip"], labels, **settings)


def test_numbers_can_be_given_words(folders):
    fitted, _ = fitted_on(folders["clip"], ["0", "1"], labels=("cat", "dog"))
    assert np.array_equal(fitted.words, fitted_on(folders["clip"], ["cat", "dog"])[0].words)


def test_other_labels_and_other_backbones_are_refused(folders):
    with pytest.raises(PlanError, match=r"no classes.*--method probe"):
        fitted_on(folders["clip"], [("a",), ("b",), ()], kind="tags")
    with pytest.raises(PlanError, match=r"never saw words.*--backbone clip:"):
        zeroshot.Settings().cut(member("backbones", "stats").card(""))


# The whole way


def test_photos_are_classified_by_words_alone(folder, pictures, root, tmp_path):
    given = {"backbone": f"clip:{folder}", "method": "zeroshot", "root": root}
    done = fit.fit(pictures, into=tmp_path / "run", settings={"templates": "metal with a {}."}, **given)
    result = done.result
    assert result["plan"]["cut"] == len(result["backbone"]["blocks"])
    assert result["params"]["trained"] == 0 and result["frozen"]["moved"] == 0
    assert result["frozen"]["agreement"] > 0.999
    assert result["head"]["labels"] == ["dent", "scratch", "stain"]
    assert set((done.folder / "model").iterdir()) >= {done.folder / "model/delta.safetensors"}
    some = sorted(pictures.glob("*/*.jpg"))[:3]
    answers = predict.predict(done.folder, some, root=root)
    assert all(a.label in ("dent", "scratch", "stain") and not a.error for a in answers)
    few = fit.fit(pictures, into=tmp_path / "few", shots=1, **given)
    assert few.result["task"]["n"]["train"] == 3 and few.result["cache"]["misses"] == 0


def test_a_saved_model_needs_its_text_tower_no_more(folders, pictures, root, tmp_path):
    shutil.copytree(folders["clip"], tmp_path / "net")
    done = fit.fit(pictures, into=tmp_path / "run", backbone=f"clip:{tmp_path / 'net'}", method="zeroshot", root=root)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "net" / name).unlink()
    model, _ = model_folder.load(done.folder, root)
    assert model.fitted.words.shape == (3, 24)


STEPS = {"steps": "4", "views": "0"}


@QUIET
@pytest.mark.parametrize(
    ("kind", "method", "settings"),
    [
        ("clip", "probe", {}),
        ("clip", "finetune", STEPS),
        ("clip", "lora", STEPS),
        ("siglip", "lora", STEPS),
        ("siglip", "prompt", STEPS),
    ],
)
def test_other_methods_work_on_the_image_tower(kind, method, settings, folders, pictures, root, tmp_path):
    given = {"backbone": f"clip:{folders[kind]}", "method": method, "settings": settings, "root": root}
    done = fit.fit(pictures, into=tmp_path / "run", **given)
    assert done.result["params"]["trained"] > 0 and done.result["frozen"]["moved"] == 0
    some = sorted(pictures.glob("*/*.jpg"))[:2]
    assert all(not a.error for a in predict.predict(done.folder, some, root=root))
