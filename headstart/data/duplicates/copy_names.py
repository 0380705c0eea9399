"""What file names say about copies: "ant_flip.jpg", "rot90_ant.jpg", "ant (2).jpg", Roboflow's "ant_jpg.rf.<hash>.jpg".

A name is a clue, never a proof: the pairs that it gives are looked at like any other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

MAX_FAMILY = 64  # files of one root; of more, such as "photo (1)" to "photo (900)", each is paired with its neighbours
WORDS = (
    "aug(?:mented|mentation|ment)?|copy|copie|kopie|copia|dup(?:licate)?|orig(?:inal)?|"
    "h?v?flip(?:ped|_?lr|_?ud|_?h|_?v|_?x|_?y)?|mirror(?:ed)?|rot(?:ate|ated|ation)?|turn(?:ed)?|transposed?|"
    "crop(?:ped)?|zoom(?:ed)?|shift(?:ed)?|scaled?|resized?|shear(?:ed)?|bright(?:er|ness)?|dark(?:er)?|contrast|hue|"
    "satur?(?:ation)?|colou?r(?:jitter|ed)?|gr[ae]y(?:scale)?|bw|blur(?:red)?|noise|noisy|jitter|distort(?:ed)?|"
    "equali[sz]ed?|gamma|sharp(?:en|ened)?|inverted"
)
SIGN = rf"(?:{WORDS})[-_. ]?\d*(?:deg|°)?"
ENDINGS = (
    re.compile(r"[-_.](?:jpe?g|png|bmp|webp|tiff?)\.rf\.[0-9a-f]{8,}$"),
    re.compile(r"[-_.][0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),  # Augmentor
    re.compile(r"\.(?:jpe?g|png|bmp|webp|tiff?)$"),
    re.compile(r"[-_. ]*\(\d{1,3}\)$"),
    re.compile(rf"(?:[-_. ]+{SIGN})+(?:[-_. ]+\d{{1,4}})*$"),
    re.compile(rf"(?<=\d)(?:{WORDS})\d*$"),
)
BEGINNING = re.compile(rf"^(?:{SIGN}[-_. ]+)+(?:of[-_. ]+)?(?:\d{{1,3}}[-_. ]+(?=.*\d))?", re.ASCII)


def name_clues(ids: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of ids that are paths of which one is named as a copy of the other, or both of a third."""
    families: dict[str, list[int]] = defaultdict(list)
    marked: set[int] = set()
    for i, name in enumerate(ids):
        root, is_marked = root_name(name)
        families[root].append(i)
        if is_marked:
            marked.add(i)
    pairs = []
    for members in families.values():
        near = len(members) if len(members) <= MAX_FAMILY else 2
        for position, i in enumerate(members):
            pairs += [(i, j) for j in members[position + 1 : position + 1 + near] if i in marked or j in marked]
    return pairs


def root_name(path: str) -> tuple[str, bool]:
    """(the name without folder, suffix and what marks a copy; whether anything marked it), in lower case."""
    name = path.replace("\\", "/").rpartition("/")[2].casefold()
    stem = ENDINGS[2].sub("", name)
    root = stem
    while True:
        shorter = root
        for ending in ENDINGS:
            shorter = ending.sub("", shorter) or shorter
        shorter = BEGINNING.sub("", shorter) or shorter
        if shorter == root:
            return root, root != stem
        root = shorter
