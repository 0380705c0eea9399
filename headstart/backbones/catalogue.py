"""A list of recommended backbones, and the one that is used where none was named. For choosing; a card is the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headstart.backbones import hub
from headstart.backbones.providers import own


@dataclass(frozen=True, slots=True)
class Entry:
    """One backbone.

    parameters: of the trunk without its classifier, in millions.  width: of its embeddings
    megabytes:  of its weights in float32
    speed:      images or texts a second on 2 ordinary cores: "fast" hundreds, "medium" tens, "slow" a few
    """

    name: str
    kind: Literal["image", "text"]
    parameters: float
    width: int
    megabytes: int
    speed: Literal["fast", "medium", "slow"]
    pretrained_on: str
    licence: str
    good_for: str


CATALOGUE = (
    Entry("timm:mobilenetv3_large_100.ra_in1k", "image", 4.2, 1280, 22, "fast", "ImageNet-1k", "apache-2.0",
          "everyday photos where speed counts: small machines, browsers"),
    Entry("timm:efficientnet_b0.ra_in1k", "image", 4.0, 1280, 21, "fast", "ImageNet-1k", "apache-2.0",
          "everyday photos; a little better and slower than MobileNetV3"),
    Entry("timm:resnet50.a1_in1k", "image", 23.5, 2048, 102, "medium", "ImageNet-1k", "apache-2.0",
          "the classic; what most published comparisons use"),
    Entry("timm:convnext_tiny.in12k_ft_in1k", "image", 27.8, 768, 114, "medium", "ImageNet-12k, then ImageNet-1k",
          "apache-2.0", "the recommended one: good on nearly all photos, fine-tunes well"),
    Entry("timm:vit_small_patch14_dinov2.lvd142m", "image", 22.1, 384, 88, "slow", "LVD-142M, without labels",
          "apache-2.0", "fine detail and unusual photos (textures, products, nature) with a plain linear head"),
    Entry("timm:vit_base_patch14_dinov2.lvd142m", "image", 86.6, 768, 346, "slow", "LVD-142M, without labels",
          "apache-2.0", "the same, better still; wants a GPU"),
    Entry("timm:vit_base_patch16_clip_224.openai", "image", 85.8, 768, 343, "slow", "OpenAI's image-text pairs",
          "apache-2.0", "drawings, memes, screenshots: whatever the web shows with words beside it"),
    Entry("timm:vit_base_patch16_siglip_224.webli", "image", 92.9, 768, 372, "slow", "WebLI image-text pairs",
          "apache-2.0", "as CLIP, more recent"),
    Entry("clip:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "image", 87.8, 512, 605, "medium", "LAION-2B, with captions",
          "mit", "classes that words can name: --method zeroshot needs no label"),
    Entry("clip:google/siglip2-base-patch16-224", "image", 92.9, 768, 1502, "slow", "WebLI, with captions",
          "apache-2.0", "the same, more recent, names in many languages"),
    Entry("transformers:sentence-transformers/all-MiniLM-L6-v2", "text", 22.7, 384, 91, "fast", "1 billion pairs",
          "apache-2.0", "the recommended one: short English texts, topics and intents"),
    Entry("transformers:BAAI/bge-small-en-v1.5", "text", 33.4, 384, 133, "medium", "RetroMAE, then pairs", "mit",
          "English texts of a few paragraphs"),
    Entry("transformers:intfloat/e5-small-v2?prompt=query: ", "text", 33.4, 384, 133, "medium", "CCPairs", "mit",
          "English questions and passages"),
    Entry("transformers:intfloat/multilingual-e5-small?prompt=query: ", "text", 117.7, 384, 471, "medium",
          "mC4 and pairs in 100 languages", "mit", "texts in other languages than English, or in several"),
    Entry("transformers:answerdotai/ModernBERT-base?pooling=mean", "text", 149.0, 768, 596, "slow",
          "2 trillion tokens of text and code", "apache-2.0", "long texts and code; better fine-tuned than frozen"),
    Entry("transformers:openai-community/gpt2?pooling=mean&pad=50256", "text", 124.4, 768, 548, "slow", "WebText",
          "mit", "a generator's view of text; sentence encoders are better at topics"),
)  # fmt: skip
RECOMMENDED = {
    "image": "timm:convnext_tiny.in12k_ft_in1k",
    "text": "transformers:sentence-transformers/all-MiniLM-L6-v2",
}
SHIPPED_DEFAULT = {"image": "vision-small", "text": "text-static"}
BASELINE = {"image": "stats", "text": "stats:text"}


def default_backbone(kind: str, *, allow_hub: bool, width: int = 0) -> tuple[str, str]:
    """The backbone for data of this kind where none was named, and why, in a sentence.

    allow_hub: whether the recommended one of the hub may be taken where it is cached or downloading is allowed
    """
    if kind == "vector":
        return f"vector:{width}", "The data are feature vectors, so nothing was borrowed."
    best = RECOMMENDED[kind]
    unavailable = ""
    if allow_hub:
        if is_cached(best):
            return best, f"Backbone auto: the recommended '{best}' is on this machine."
        if not hub.is_offline():
            return best, f"Backbone auto: the recommended '{best}' was fetched from the hub."
        unavailable = "Backbone auto: the recommended one is not on this machine and downloading is not allowed; "
    shipped = SHIPPED_DEFAULT[kind]
    if shipped in own.shipped():
        why = unavailable or "No backbone was named: "
        used = "which comes with Headstart, was used. `--backbone auto` borrows a larger one."
        return f"own:{shipped}", f"{why}own:{shipped}, {used}"
    baseline = BASELINE[kind]
    return baseline, f"{unavailable}No backbone was named, so the baseline '{baseline}' (no network) was used."


def list_backbones() -> list[Entry]:
    """The backbones that ship with Headstart, then the list."""
    entries = []
    for name in own.shipped():
        card = own.card(name)
        kind: Literal["image", "text"] = "image" if card.preprocess.kind == "image" else "text"
        good = "the default: works offline at once, with the light install"
        size = sum(file.stat().st_size for file in own.files(name)) / 1e6
        entries.append(
            Entry(card.name, kind, round(card.parameters / 1e6, 1), card.width, max(1, round(size)), "fast",
                  card.pretrained_on, card.licence, good)
        )  # fmt: skip
    return [*entries, *CATALOGUE]


def is_cached(name: str) -> bool:
    """Whether the weights of a catalogued name are on this machine."""
    family, _, local = name.partition(":")
    if family == "own":
        return True
    repo = hub.split_overrides(local)[0]
    return hub.is_cached(repo if "/" in repo else f"timm/{repo}")
