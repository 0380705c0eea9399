"""A pretrained network as data: enough to find its features without opening it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from headstart.core.errors import PlanError


@dataclass(frozen=True, slots=True)
class Block:
    """A point where one tensor crosses.

    name:  the module path inside the network, "blocks.11"
    shape: what leaves it for one example, e.g. (320, 7, 7) or (197, 192); () where it depends on the input's length
    """

    name: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What must happen to raw bytes before this network may see them.

    Comes from the weights' own card, never from a default: a wrong mean is silent.
    kind: names a file in preprocess/.  settings: sorted (name, value) pairs; lists as tuples
    files: of the backbone on this machine, among them what settings name by digest; neither stored nor compared
    """

    kind: str
    settings: tuple[tuple[str, object], ...]
    files: tuple[Path, ...] = field(default=(), compare=False, repr=False)

    def __getitem__(self, name: str) -> object:
        return dict(self.settings)[name]

    @property
    def pixel_range(self) -> tuple[float, float] | None:
        """(black, white) of pictures with more than 8 bits; None: by their format, or each by its own."""
        value = dict(self.settings).get("range")
        return (float(value[0]), float(value[1])) if isinstance(value, tuple) else None

    def with_range(self, pixel_range: Sequence[float]) -> Preprocess:
        """The same, for pictures with more than 8 bits of this range; () for none. Of texts it is the same."""
        if self.kind != "image" or tuple(pixel_range) == (self.pixel_range or ()):
            return self
        settings = [pair for pair in self.settings if pair[0] != "range"]
        settings += [("range", tuple(map(float, pixel_range)))] if pixel_range else []
        return replace(self, settings=tuple(sorted(settings)))

    def facts(self) -> dict:
        """What is stored of it, and what a cache key is made of."""
        return {"kind": self.kind, "settings": self.settings}


@dataclass(frozen=True, slots=True)
class Backbone:
    """A card: pure data, hashable, no torch.

    name:       "<member of backbones/>:<name there>", e.g. "timm:vit_small_patch14_dinov2.lvd142m"; "stats" alone
    weights:    digest of the weights themselves, not of a tag that can move: "sha256:…"
    blocks:     in the order in which the input meets them
    width:      length d of the pooled vector
    parameters: count, all of them.  size: bytes of the weights as stored
    identity:   digest of the bytes of everything that computes: weights, graph, format, architecture, arguments. Part
                of every cache key. "" where `weights` is of all that already
    """

    name: str
    weights: str
    preprocess: Preprocess
    blocks: tuple[Block, ...]
    width: int
    parameters: int = 0
    size: int = 0
    source_classes: tuple[str, ...] = ()
    pretrained_on: str = ""
    licence: str = ""
    identity: str = ""

    @property
    def family(self) -> str:
        """The member of backbones/ that knows it: "timm" of "timm:resnet50"."""
        return self.name.partition(":")[0]

    @property
    def local(self) -> str:
        """Its name there: "resnet50" of "timm:resnet50"."""
        return self.name.partition(":")[2]

    def cut(self, at: int) -> Cut:
        """The cut above `at` blocks. Raises PlanError outside 0..len(blocks)."""
        n = len(self.blocks)
        if not 0 <= at <= n:
            raise PlanError(f"{self.name} has {n} blocks; a cut at {at} is outside 0..{n}.")
        return Cut(at, top=at == n)

    def with_files(self, files: Iterable[Path]) -> Backbone:
        """The same card, which knows where its files are on this machine."""
        return replace(self, preprocess=replace(self.preprocess, files=tuple(files)))

    def with_range(self, pixel_range: Sequence[float]) -> Backbone:
        """The same card, for pictures with more than 8 bits of this range; () for none. Texts are not touched."""
        changed = self.preprocess.with_range(pixel_range)
        return self if changed is self.preprocess else replace(self, preprocess=changed)

    def facts(self) -> dict:
        """JSON from which `restore` makes an equal card."""
        return {**asdict(self), "preprocess": self.preprocess.facts()}


def restore(facts: dict) -> Backbone:
    """A card from its `facts()`, also after a trip through JSON."""
    spec = facts["preprocess"]
    preprocess = Preprocess(spec["kind"], tuple((k, _frozen(v)) for k, v in spec["settings"]))
    blocks = tuple(Block(b["name"], tuple(b["shape"])) for b in facts["blocks"])
    classes = tuple(facts.get("source_classes", ()))
    return Backbone(**{**facts, "preprocess": preprocess, "blocks": blocks, "source_classes": classes})


def _frozen(value: object) -> object:
    return tuple(_frozen(v) for v in value) if isinstance(value, list | tuple) else value


@dataclass(frozen=True, slots=True)
class Cut:
    """Below it all is frozen, so its output can be kept; above it things learn.

    at:  blocks[:at] are below.  top: nothing but pooling and a head is above, and pooled (n, d) rows are kept
    precision: in which what is below is computed: "float32", "bfloat16", "mixed" (of both)
    engine: the member of engines/ that must run it; "" leaves that to us: it changes no number beyond rounding
    """

    at: int
    top: bool
    precision: str = "float32"
    engine: str = ""
