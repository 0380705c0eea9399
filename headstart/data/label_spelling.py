"""Names of classes that look like one: which differ in spelling alone, and which may be a slip of the keyboard.

What is equal to Unicode (its forms NFC and NFD) is one name, and becomes one wherever labels are read. What only looks
equal (case, spaces, marks that nobody sees, letters of another script) is named by a guard and joined when asked to:
somebody may mean "a" and "A".
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from headstart.data.connected_components import connected_components

MIN_JOINED = 4  # characters of a name from which "ice cream" and "icecream" are one
MAX_SINGLE = 3  # pairs such as "m" and "M": with more of them, case is meant, as in a set of handwritten letters
RARE = 5  # times rarer than another class: a slip is no habit
MOST_RARE = 20  # examples of a class that may be a slip, however many the other has
MIN_WORD = 5  # letters of a word in which a slip is looked for: "cat" and "car" are words
MIN_WORD_CHANGED = 6  # where a letter stands for another
MAX_NAMES = 20_000  # in which slips are looked for
MAX_LENGTH = 80  # characters of a name in which they are
YES, NO = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}
HYPHENS = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
APOSTROPHES = re.compile("[\u2018\u2019\u201b\u02bc\u0060\u00b4\u2032]")
UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0]"
)
SEPARATORS = re.compile(r"(?:\s|_)+(?:-+(?:\s|_)+)?|(?<=\w)-+(?=\w)")
BETWEEN_DIGITS = re.compile(r"(?<=\d) (?=\d)")
AROUND = re.compile(r"^[\s\"'_]+|[\s\"'_.,;:]+$")
# Letters of Cyrillic and Greek that no eye tells from these Latin ones.
LOOK_ALIKE = str.maketrans("АВЕЅІЈКМНОРСТУХаеорсухѕіјԁһΑΒΕΖΗΙΚΜΝΟΡΤΥΧον", "ABESIJKMHOPCTYXaeopcyxsijdhABEZHIKMNOPTYXov")
OTHER_SCRIPTS = re.compile("[\u0370-\u03ff\u0400-\u052f]")


def composed(name: str) -> str:
    """A name in Unicode's form NFC: names that are equal to Unicode become the same characters."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def shown(name: str) -> str:
    """A name in quotation marks, with escapes for what an eye would miss: invisible marks, letters that look Latin."""
    return ascii(name) if _looks_otherwise(name) else repr(name)


def groups_alike(counts: Mapping[str, int]) -> list[list[str]]:
    """The names that differ in spelling only, in groups, each with the one first that shall stay: the commonest.

    One with marks that nobody sees, odd letters or the traces of a program comes behind a plain one, and of 1 and yes
    the word is first, so that both groups have names of one kind.

    counts: examples of each name
    """
    names = sorted(counts)
    by_key: dict[str, list[int]] = defaultdict(list)
    for i, name in enumerate(names):
        for key in _keys(name):
            by_key[key].append(i)
    edges = [(same[0], other) for same in by_key.values() for other in same[1:]]
    yes_or_no = _yes_or_no(names)
    edges = yes_or_no or edges
    groups: dict[int, list[str]] = defaultdict(list)
    for name, group in zip(names, connected_components(len(names), edges).tolist(), strict=True):
        groups[group].append(name)
    alike = [_plainest_first(group, counts, yes_or_no != []) for group in groups.values() if len(group) > 1]
    singles = [group for group in alike if all(len(name) == 1 for name in group)]
    if len(singles) > MAX_SINGLE:
        alike = [group for group in alike if group not in singles]
    return sorted(alike, key=lambda group: -sum(counts[n] for n in group))


def likely_slips(counts: Mapping[str, int], known: Iterable[Sequence[str]] = ()) -> list[tuple[str, str]]:
    """(rare name, frequent name) where one letter makes the difference.

    known: groups of names that are alike anyway
    """
    if not 1 < len(counts) <= MAX_NAMES:
        return []
    group_of = {name: group[0] for group in known for name in group}
    totals: Counter[str] = Counter()
    for name, count in counts.items():
        totals[group_of.get(name, name)] += count
    plain = {name: _plain(name) for name in totals if len(name) <= MAX_LENGTH}
    near: dict[str, list[str]] = defaultdict(list)
    for name, text in plain.items():
        for part in {text, *_shortened(text)}:
            near[part].append(name)
    found: dict[str, str] = {}
    for names in near.values():
        most = max(names, key=lambda n: totals[n])
        for name in names:
            rare = totals[name] * RARE <= totals[most] and totals[name] <= max(MOST_RARE, totals[most] // 100)
            if rare and name not in found and _is_slip(plain[name], plain[most]):
                found[name] = most
    return sorted((rare, frequent) for rare, frequent in found.items() if frequent not in found)


def known_alike(names: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Of names that differ from a known one in spelling only, which that is."""
    names = list(names)
    by_key = {key: name for name in known for key in _keys(name)} if names and len(known) <= MAX_NAMES else {}
    return {name: by_key[key] for name in names for key in _keys(name) if key in by_key}


def _looks_otherwise(name: str) -> bool:
    """Whether it has invisible marks, or passes for a Latin name in letters of another script."""
    other = OTHER_SCRIPTS.search(name) is not None and name.translate(LOOK_ALIKE).isascii()
    return other or UNSEEN.search(name) is not None


def _keys(name: str) -> set[str]:
    """What names that look alike share; none where nothing is left of the name."""
    seen = _undone(name)
    keys = {_folded(seen)}
    if OTHER_SCRIPTS.search(seen):
        keys.add(_folded(seen.translate(LOOK_ALIKE)))
    return keys - {""}


def _undone(name: str) -> str:
    """A name less what programs do to it: "R&amp;D", and UTF-8 that was read as Windows-1252."""
    name = html.unescape(name) if "&" in name else name
    if not name.isascii():
        for encoding in ("cp1252", "latin-1"):
            try:
                return name.encode(encoding).decode("utf-8")
            except UnicodeError:
                pass
    return name


def _plain(name: str) -> str:
    """A name in small letters, with one kind of hyphen, apostrophe and space, and without what nobody sees."""
    name = unicodedata.normalize("NFKC", UNSEEN.sub("", unicodedata.normalize("NFKC", name)).casefold())
    name = name.replace("i\u0307", "i")  # of a Turkish capital
    name = APOSTROPHES.sub("'", HYPHENS.sub("-", name)).replace("&", " and ")
    return AROUND.sub("", SEPARATORS.sub(" ", name))


def _folded(name: str) -> str:
    plain = _plain(name)
    joined = BETWEEN_DIGITS.sub("\0", plain).replace(" ", "")
    return joined if len(joined) >= MIN_JOINED else plain


def _plainest_first(names: Sequence[str], counts: Mapping[str, int], words_first: bool) -> list[str]:
    def rank(name: str) -> tuple:
        tidy = " ".join(unicodedata.normalize("NFKC", _undone(name)).split())
        shouted = name.isupper() and len(name) > 1
        odd = _looks_otherwise(name) or tidy != name
        return odd, words_first and name.isdigit(), -counts[name], shouted, name

    return sorted(names, key=rank)


def _yes_or_no(names: Sequence[str]) -> list[tuple[int, int]]:
    """Edges between "True" and "1", "no" and "False", where all names say yes or no."""
    words = [_plain(name) for name in names]
    if len(names) < 3 or not set(words) <= YES | NO:
        return []
    sides = [[i for i, word in enumerate(words) if word in side] for side in (YES, NO)]
    return [(side[0], other) for side in sides for other in side[1:]]


def _shortened(text: str) -> Iterator[str]:
    """The text without one of its letters: texts that are one edit apart share one of these, or are one of them."""
    for i in range(len(text)):
        yield text[:i] + text[i + 1 :]


def _is_slip(rare: str, frequent: str) -> bool:
    """Whether one letter that is missing, too much, wrong or at its neighbour's place makes the difference.

    A plural is none, nor are "typical" and "atypical", "mouse" and "house", numbers and short codes.
    """
    a, b = rare.split(" "), frequent.split(" ")
    if len(a) != len(b):
        return False
    words = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
    if len(words) != 1:
        return False
    x, y = words[0]
    if not (x.isalpha() and y.isalpha()) or max(len(x), len(y)) < MIN_WORD or x[0] != y[0]:
        return False
    short, long = sorted((x, y), key=len)
    if len(short) != len(long):
        plural = long == short + "s" and not short.endswith("s")
        return not plural and len(long) == len(short) + 1 and short in _shortened(long)
    differs = [i for i in range(len(x)) if x[i] != y[i]]
    if len(differs) == 1:
        return len(x) >= MIN_WORD_CHANGED
    i = differs[0]
    return differs == [i, i + 1] and x[i] == y[i + 1] and x[i + 1] == y[i]
