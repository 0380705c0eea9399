"""Bytes as text: UTF-8 where they are it, else the encoding that all of a file speaks for, or a question."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from typing import Any

from headstart.core.errors import SourceError
from headstart.core.input_contract import InputContract
from headstart.core.messages import did_you_mean

SAMPLE_BYTES = 1 << 17  # of the lines that are no ASCII, by which an encoding is told
MOST_DAMAGED = 0.02  # of what is no ASCII: bytes that are no UTF-8 in a text that is
FEW = 8  # bytes beyond ASCII: one plausible encoding too many is a question
CLEAR = 0.9  # plausibility from which an encoding is taken
ISO_2022 = (b"\x1b$B", b"\x1b$@", b"\x1b(J")  # by which Japanese mail changes its set of characters
UNLIKE = 0.15  # messiness (of charset-normalizer, 0 to 1) from which it is not
LOST = re.compile("[\udc80-\udcff]")  # Python's stand-ins for bytes that the encoding does not have
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
# Letters beyond ASCII by language, under the encoding whose text they are, the commonest encoding first: encodings of
# Latin letters share most bytes, and only the languages tell them apart.
ALPHABETS = {
    "cp1252": ("äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúü", "áâãàçéêíóôõúü", "àèéìíîòóùú", "àçèéëïíòóöü", "åäöé", "æøåéò",
               ),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž"),
    "cp1254": ("çğıiöşüâîû",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äöõüšž"),
    "iso8859_2": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű"),
    "mac_roman": ("äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúü"),
}  # fmt: skip
RARE = "áðéíóúýþæö"  # of Icelandic, whose bytes are those of Turkish
MARKS_OF_TEXT = re.compile(r"[€£§°–—‘’“”„«»¿¡…•·®©™±²³½¼µ×\xa0](?![^\W\d_])|[‘’“„«»¿¡]")
CJK = ("cp932", "cp949", "gb18030", "big5", "euc_jp")
# The commonest letters of the languages of an encoding of another script, and their share of any text.
COMMON = {
    **dict.fromkeys(("cp1251", "koi8_r", "iso8859_5"), ("оеаинтслрв", 0.62)),
    **dict.fromkeys(("cp1253", "iso8859_7"), ("αοιετσνηυρκπ", 0.65)),
    "cp1255": ("יולהאמתרבנש", 0.65), "cp1256": ("اليمنتورهبة", 0.65), "cp874": ("านรอกเงมยลวดทสตะ่้ิี", 0.65),
}  # fmt: skip
OTHERS = tuple(COMMON)
# Never told from the bytes alone, but taken when they are named.
NAMED = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "iso8859_15", "cp437", "cp850", "shift_jis"),
    *("euc_kr", "gbk", "gb2312", "cp866", "cp950", "ascii", "koi8_u", "mac_cyrillic", "iso2022_jp"),
)
SPOKEN = {
    "cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "koi8_r": "KOI8-R",
    "cp932": "Shift-JIS", "euc_jp": "EUC-JP", "gb18030": "GB18030 (GBK)", "big5": "Big5", "cp949": "EUC-KR (cp949)",
    "iso8859_2": "ISO-8859-2", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class WantedEncoding:
    """What is known beforehand. name: "" where nothing is.  certain: the user says so; else it was so once"""

    name: str = ""
    certain: bool = False


UNKNOWN = WantedEncoding()


@dataclass(frozen=True, slots=True)
class DecodedText:
    """text: with stand-ins (LOST) for bytes that could not be decoded.  encoding: "" for UTF-8 and what is marked"""

    text: str
    encoding: str = ""

    @property
    def notes(self) -> list[str]:
        """How it was read, where that is not what it says itself; to follow the name of the file."""
        spoken = SPOKEN.get(self.encoding, self.encoding)
        return [f"is not UTF-8; it was read as {spoken}. If that is wrong, say --encoding."] if self.encoding else []


def wanted_encoding(named: str | None, contract: InputContract | None) -> WantedEncoding:
    """What the user says, or else what was learned from. Raises SourceError where there is no such encoding."""
    if named:
        return WantedEncoding(_codec(named), True)
    if contract is None or not contract.encoding:
        return UNKNOWN
    return WantedEncoding(_codec(contract.encoding), contract.encoding_named)


def decode(data: bytes, wanted: WantedEncoding = UNKNOWN) -> DecodedText:
    """The text of one file. Raises SourceError, with the candidates, where its encoding is not clear."""
    encoding = wanted.name if wanted.certain else encoding_of([data], wanted)
    return decode_as(data, encoding, wanted.certain)


def decode_as(data: bytes, encoding: str, certain: bool = False) -> DecodedText:
    """The text of bytes in the encoding of all texts beside it; "" is UTF-8.

    certain: also of those that are UTF-8, or are marked otherwise
    """
    own = "" if certain else _own_encoding(data)
    name = own or encoding or "utf-8"
    text = data.decode(name, _errors_of(name))
    return DecodedText(text.removeprefix("\ufeff"), "" if own else encoding)


def encoding_of(files: Iterable[bytes], wanted: WantedEncoding = UNKNOWN) -> str:
    """The one encoding of texts that belong together, "" for UTF-8; marked ones speak for themselves.

    wanted: what is taken where they are no UTF-8
    Raises SourceError, with the candidates, where it is not clear.
    """
    foreign = [data for data in files if not _own_encoding(data)]
    if not foreign:
        return ""
    if wanted.name:
        return wanted.name
    head = b"".join(data[:4000] for data in foreign[:20])
    if head.count(0) > len(head) // 5:
        low, high = head[::2].count(0), head[1::2].count(0)
        if min(low, high) > max(low, high) / 10:
            raise SourceError("is not text: every few bytes one is zero. Save it as UTF-8.")
        return "utf-16-le" if high > low else "utf-16-be"
    sample = _foreign_lines(foreign)
    if _is_damaged_utf8(sample):
        return ""
    found = _ranked(sample)
    beyond = sum(byte > 127 for byte in sample)
    if not found or found[0][0] < CLEAR or (beyond < FEW and len(found) > 1 and found[1][0] > found[0][0] - 0.05):
        raise SourceError(_unclear(sample, [name for _, name in found]))
    return found[0][1]


def text_lines(stream: Any, named: str | None) -> Iterator[str]:
    """Lines of buffered bytes, as they come; what cannot be decoded has stand-ins (LOST). named: as the user says"""
    head = stream.peek(4)[:4]
    marked = next((name for mark, name in MARKS.items() if head.startswith(mark)), "")
    name = marked or wanted_encoding(named, None).name or "utf-8"
    yield from TextIOWrapper(stream, name, _errors_of(name), newline="\n")


def first_lost_byte(text: str) -> str:
    """What cannot be read of a text, in words; "" where all can."""
    lost = LOST.search(text)
    return f"byte 0x{ord(lost[0]) - 0xDC00:02x} cannot be decoded" if lost else ""


def _errors_of(encoding: str) -> str:
    """How bytes are kept that cannot be decoded; of these encodings wrong pieces are longer than a byte."""
    return "replace" if encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"


def _codec(name: str) -> str:
    """The name of an encoding as it is kept."""
    known = {codecs.lookup(n).name: n for n in (*ALPHABETS, *CJK, *OTHERS, *NAMED)}
    try:
        return known[codecs.lookup(name.strip()).name]
    except (LookupError, ValueError):
        raise SourceError(
            f"There is no encoding {name[:40]!r}.{did_you_mean(name, known.values())} There are: "
            f"{', '.join(sorted(known.values()))}."
        ) from None


def _own_encoding(data: bytes) -> str:
    """What bytes say themselves: by a mark, or as they are UTF-8; "" where they do not."""
    for mark, name in MARKS.items():
        if data.startswith(mark):
            return name
    if data[:4000].count(0) > len(data[:4000]) // 5:
        return ""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return "iso2022_jp" if any(escape in data for escape in ISO_2022) else "utf-8"


def _foreign_lines(files: list[bytes]) -> bytes:
    """Lines that are no ASCII, from all of the files, up to SAMPLE_BYTES."""
    share = max(SAMPLE_BYTES // len(files), 400)
    sample: list[bytes] = []
    for data in islice(files, SAMPLE_BYTES // 400):
        lines = [line for line in data.split(b"\n") if not line.isascii()]
        step = max(1, sum(map(len, lines)) // share)
        sample += [line[:2000] for line in lines[::step]]
    return b"\n".join(sample)[: 2 * SAMPLE_BYTES]


def _is_damaged_utf8(sample: bytes) -> bool:
    """Whether nearly all that is no ASCII is well-formed UTF-8, which no other encoding gives by chance."""
    text = sample.decode("utf-8", "surrogateescape")
    lost = len(LOST.findall(text))
    whole = sum(c > "\x7f" for c in text) - lost
    return whole > 0 and lost <= max(MOST_DAMAGED * whole, min(3, whole / 2))


def _ranked(sample: bytes) -> list[tuple[float, str]]:
    """(plausibility, encoding), the likeliest first; of several that give the same text, the first."""
    texts: dict[str, str] = {}
    for name in (*ALPHABETS, *CJK):
        text = sample.decode(name, "surrogateescape")
        if len(LOST.findall(text)) <= MOST_DAMAGED * sum(c > "\x7f" for c in text):
            texts.setdefault(text, name)
    scores = [(_share_of_letters(text, name), name) for text, name in texts.items() if name not in CJK]
    scores += [(_share_of_common(text, name), name) for text, name in texts.items() if name in CJK]
    order = [*ALPHABETS, *CJK, *OTHERS]
    scores += [(score, name) for name, score in _others(sample)]
    return sorted(scores, key=lambda s: (-round(s[0], 2), order.index(s[1])))


def _share_of_letters(text: str, encoding: str) -> float:
    """Of what is no ASCII, how much are letters of one language of the encoding, or common marks."""
    counts = Counter(c.lower() for c in text if c > "\x7f")
    total = counts.total()
    marks = len(MARKS_OF_TEXT.findall(text))
    letters = max(sum(counts[c] for c in alphabet) for alphabet in ALPHABETS[encoding])
    known = max(letters, 0.9 * sum(counts[c] for c in RARE) if encoding == "cp1252" else 0)
    if encoding == "cp1252":  # of several languages of the west
        known = max(known, 0.91 * sum(counts[c] for c in set("".join(ALPHABETS[encoding]))))
    # Languages of Latin letters write few beyond ASCII, and hardly two in a row.
    words = re.findall(r"[^\W\d_]+", text)
    foreign = [w for w in words if not w.isascii()]
    cased = [w for w in foreign if w.islower() or w.istitle() or w.isupper()]
    mixed = sum(any(c.isascii() for c in w) or len(w) < 3 for w in cased) / max(len(foreign), 1)
    if encoding == "mac_roman":
        known *= 0.94  # not written any more
    return (known + marks if known else marks / 2) / max(total, 1) * min(1.0, mixed + 0.1)


def _share_of_common(text: str, encoding: str) -> float:
    """Of what is no ASCII, how much are the characters that texts in the encoding are made of."""
    foreign = [c for c in text if c > "\x7f"]
    kana = sum("぀" <= c <= "ヿ" for c in foreign)
    hangul = sum("가" <= c <= "힣" for c in foreign)
    marks = sum("\u3000" <= c <= "〿" or "\uff01" <= c <= "\uff5e" for c in foreign)
    han = [c for c in foreign if "一" <= c <= "鿿"]
    if encoding in ("cp932", "euc_jp"):  # Japanese has kana in every sentence, of the half width hardly ever
        known = kana + marks + sum(_in_range(c, encoding, 0x88, 0x97, 0xB0, 0xCF) for c in han)
        return known / len(foreign) * min(1.0, 0.6 + 4 * kana / len(foreign))
    if encoding == "cp949":
        return (hangul + marks) / len(foreign)
    common = sum(_in_range(c, encoding, *((0xB0, 0xD7) if encoding == "gb18030" else (0xA4, 0xC6))) for c in han)
    return (common + marks) / len(foreign)


def _in_range(character: str, encoding: str, *bounds: int) -> bool:
    """Whether the first byte of a character lies in a range of the common ones. bounds: low, high, low, high …"""
    first = character.encode(encoding, "ignore")[:1]
    second = character.encode(encoding, "ignore")[1:2]
    if encoding == "gb18030" and second < b"\xa1":
        return False  # beyond GB 2312
    return any(first and low <= first[0] <= high for low, high in zip(bounds[::2], bounds[1::2], strict=True))


def _others(sample: bytes) -> list[tuple[str, float]]:
    """Encodings of other scripts, as charset-normalizer ranks them."""
    from charset_normalizer import from_bytes

    matches = from_bytes(sample, cp_isolation=[*OTHERS, "cp1252"])
    likely = [(m.encoding, m.chaos, str(m)) for m in matches if m.encoding in OTHERS and m.chaos < UNLIKE]
    return [(name, 1 - chaos / 2 - 2 * max(0.0, COMMON[name][1] - _share(text, COMMON[name][0])) ** 2)
            for name, chaos, text in likely if _is_one_script(text)]  # fmt: skip


def _share(text: str, letters: str) -> float:
    foreign = [c for c in text.lower() if c > "\x7f" and (c.isalpha() or c > "\u0e30")]
    return sum(c in letters for c in foreign) / max(len(foreign), 1)


def _is_one_script(text: str) -> bool:
    """Whether what is no ASCII are mostly letters, and the words of one script and case, unlike in a wrong table."""
    foreign = [c for c in text if c > "\x7f" and not c.isspace()]
    words = [w for w in re.findall(r"[^\W\d_]{3,}", text) if not w.isascii()]
    cased = sum(w.islower() or w.istitle() or w.isupper() or w.lower() == w.upper() for w in words)
    whole = sum(not any(c.isascii() for c in w) for w in words)
    return (
        sum(c.isalpha() or c > "\u0e30" for c in foreign) > 0.8 * len(foreign)
        and min(cased, whole) >= 0.9 * len(words) > 0
    )


def _unclear(sample: bytes, likely: list[str]) -> str:
    shown = []
    for name in (likely or ["cp1252", "cp1251"])[:3]:
        line = next((line for line in sample.decode(name, "replace").splitlines() if not line.isascii()), "")
        place = next((i for i, c in enumerate(line) if c > "\x7f"), 0)
        shown.append(f"{name}: …{line[max(0, place - 15) : place + 15].strip()}…")
    return (
        f"is not UTF-8, and its encoding is not clear ({'; '.join(shown)}). Say which with --encoding NAME, or save it "
        "as UTF-8."
    )
