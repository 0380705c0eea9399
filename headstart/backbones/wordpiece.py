"""BERT's WordPiece in plain Python: texts -> token ids, exactly those that the `tokenizers` library gives.

Lower case, accents stripped, words split at blanks and punctuation, each word into the longest pieces that the
vocabulary has, from the left (Devlin et al. 2019; Schuster and Nakajima 2012). Fast, because each run of characters
between two blanks is split once and cached.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from headstart.backbones import hub
from headstart.core.backbone import Backbone
from headstart.core.errors import PlanError

MAX_WORD_LENGTH = 100  # characters of a word; a longer one is unknown
CACHE_SIZE = 100_000  # words, about 20 MB; then the cache is cleared
MAX_CACHED_LENGTH = 64  # characters
SPECIAL_TOKENS = re.compile(r"(\[(?:PAD|UNK|CLS|SEP|MASK)\])")  # kept whole where a text holds them
UNKNOWN_TOKEN, CONTINUATION = "[UNK]", "##"
NORMALIZER = {"clean_text": True, "handle_chinese_chars": True, "lowercase": True}  # of the teachers that can be used

# Character classes as compiled into `tokenizers` 0.23 (about Unicode 8), so that no newer Python splits otherwise.
# tests/backbones/test_static_embeddings.py compares every code point with the library.
DROPPED = (
    "0-8 b-c e-1f 7f-9f ad 600-605 61c 6dd 70f 180e 200b-200f 202a-202e 2060-2064 2066-206f e000-f8ff feff "
    "fff9-fffb fffd 110bd 1bca0-1bca3 1d173-1d17a e0001 e0020-e007f f0000-ffffd 100000-10fffd "
)
BLANK = "9-a d 20 a0 1680 2000-200a 2028-2029 202f 205f 3000 "
ALONE = "3400-4dbf 4e00-9fff f900-faff 20000-2a6df 2a700-2b81f 2b920-2ceaf 2f800-2fa1f "
ACCENTS = (
    "300-36f 483-487 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 610-61a 64b-65f 670 6d6-6dc 6df-6e4 6e7-6e8 6ea-6ed 711 "
    "730-74a 7a6-7b0 7eb-7f3 816-819 81b-823 825-827 829-82d 859-85b 8e3-902 93a 93c 941-948 94d 951-957 962-963 "
    "981 9bc 9c1-9c4 9cd 9e2-9e3 a01-a02 a3c a41-a42 a47-a48 a4b-a4d a51 a70-a71 a75 a81-a82 abc ac1-ac5 ac7-ac8 "
    "acd ae2-ae3 b01 b3c b3f b41-b44 b4d b56 b62-b63 b82 bc0 bcd c00 c3e-c40 c46-c48 c4a-c4d c55-c56 c62-c63 c81 "
    "cbc cbf cc6 ccc-ccd ce2-ce3 d01 d41-d44 d4d d62-d63 dca dd2-dd4 dd6 e31 e34-e3a e47-e4e eb1 eb4-eb9 ebb-ebc "
    "ec8-ecd f18-f19 f35 f37 f39 f71-f7e f80-f84 f86-f87 f8d-f97 f99-fbc fc6 102d-1030 1032-1037 1039-103a "
    "103d-103e 1058-1059 105e-1060 1071-1074 1082 1085-1086 108d 109d 135d-135f 1712-1714 1732-1734 1752-1753 "
    "1772-1773 17b4-17b5 17b7-17bd 17c6 17c9-17d3 17dd 180b-180d 18a9 1920-1922 1927-1928 1932 1939-193b 1a17-1a18 "
    "1a1b 1a56 1a58-1a5e 1a60 1a62 1a65-1a6c 1a73-1a7c 1a7f 1ab0-1abd 1b00-1b03 1b34 1b36-1b3a 1b3c 1b42 1b6b-1b73 "
    "1b80-1b81 1ba2-1ba5 1ba8-1ba9 1bab-1bad 1be6 1be8-1be9 1bed 1bef-1bf1 1c2c-1c33 1c36-1c37 1cd0-1cd2 1cd4-1ce0 "
    "1ce2-1ce8 1ced 1cf4 1cf8-1cf9 1dc0-1df5 1dfc-1dff 20d0-20dc 20e1 20e5-20f0 2cef-2cf1 2d7f 2de0-2dff 302a-302d "
    "3099-309a a66f a674-a67d a69e-a69f a6f0-a6f1 a802 a806 a80b a825-a826 a8c4 a8e0-a8f1 a926-a92d a947-a951 "
    "a980-a982 a9b3 a9b6-a9b9 a9bc a9e5 aa29-aa2e aa31-aa32 aa35-aa36 aa43 aa4c aa7c aab0 aab2-aab4 aab7-aab8 "
    "aabe-aabf aac1 aaec-aaed aaf6 abe5 abe8 abed fb1e fe00-fe0f fe20-fe2f 101fd 102e0 10376-1037a 10a01-10a03 "
    "10a05-10a06 10a0c-10a0f 10a38-10a3a 10a3f 10ae5-10ae6 11001 11038-11046 1107f-11081 110b3-110b6 110b9-110ba "
    "11100-11102 11127-1112b 1112d-11134 11173 11180-11181 111b6-111be 111ca-111cc 1122f-11231 11234 11236-11237 "
    "112df 112e3-112ea 11300-11301 1133c 11340 11366-1136c 11370-11374 114b3-114b8 114ba 114bf-114c0 114c2-114c3 "
    "115b2-115b5 115bc-115bd 115bf-115c0 115dc-115dd 11633-1163a 1163d 1163f-11640 116ab 116ad 116b0-116b5 116b7 "
    "1171d-1171f 11722-11725 11727-1172b 16af0-16af4 16b30-16b36 16f8f-16f92 1bc9d-1bc9e 1d167-1d169 1d17b-1d182 "
    "1d185-1d18b 1d1aa-1d1ad 1d242-1d244 1da00-1da36 1da3b-1da6c 1da75 1da84 1da9b-1da9f 1daa1-1daaf 1e8d0-1e8d6 "
    "e0100-e01ef "
)
PUNCTUATION = (
    "21-2f 3a-40 5b-60 7b-7e a1 a7 ab b6-b7 bb bf 37e 387 55a-55f 589-58a 5be 5c0 5c3 5c6 5f3-5f4 609-60a 60c-60d "
    "61b 61e-61f 66a-66d 6d4 700-70d 7f7-7f9 830-83e 85e 964-965 970 af0 df4 e4f e5a-e5b f04-f12 f14 f3a-f3d f85 "
    "fd0-fd4 fd9-fda 104a-104f 10fb 1360-1368 1400 166d-166e 169b-169c 16eb-16ed 1735-1736 17d4-17d6 17d8-17da "
    "1800-180a 1944-1945 1a1e-1a1f 1aa0-1aa6 1aa8-1aad 1b5a-1b60 1bfc-1bff 1c3b-1c3f 1c7e-1c7f 1cc0-1cc7 1cd3 "
    "2010-2027 2030-2043 2045-2051 2053-205e 207d-207e 208d-208e 2308-230b 2329-232a 2768-2775 27c5-27c6 27e6-27ef "
    "2983-2998 29d8-29db 29fc-29fd 2cf9-2cfc 2cfe-2cff 2d70 2e00-2e2e 2e30-2e42 3001-3003 3008-3011 3014-301f 3030 "
    "303d 30a0 30fb a4fe-a4ff a60d-a60f a673 a67e a6f2-a6f7 a874-a877 a8ce-a8cf a8f8-a8fa a8fc a92e-a92f a95f "
    "a9c1-a9cd a9de-a9df aa5c-aa5f aade-aadf aaf0-aaf1 abeb fd3e-fd3f fe10-fe19 fe30-fe52 fe54-fe61 fe63 fe68 "
    "fe6a-fe6b ff01-ff03 ff05-ff0a ff0c-ff0f ff1a-ff1b ff1f-ff20 ff3b-ff3d ff3f ff5b ff5d ff5f-ff65 10100-10102 "
    "1039f 103d0 1056f 10857 1091f 1093f 10a50-10a58 10a7f 10af0-10af6 10b39-10b3f 10b99-10b9c 11047-1104d "
    "110bb-110bc 110be-110c1 11140-11143 11174-11175 111c5-111c9 111cd 111db 111dd-111df 11238-1123d 112a9 114c6 "
    "115c1-115d7 11641-11643 1173c-1173e 12470-12474 16a6e-16a6f 16af5 16b37-16b3b 16b44 1bc9f 1da87-1da8b "
)


@dataclass(frozen=True, slots=True, eq=False)
class WordPiece:
    """A tokenizer, made by `from_vocabulary`; safe to share between threads."""

    vocabulary: Mapping[str, int]
    chunk_ids: _ChunkIds

    def encode(self, text: str, max_tokens: int | None = None) -> np.ndarray:
        """(t,) int32 ids of a text's tokens, at most `max_tokens`; no special tokens are put around it."""
        # Split at blanks only: other white space is rare, and handled once a chunk.
        if "\n" in text:
            text = text.replace("\n", " ")
        ids = np.frombuffer(b"".join(map(self.chunk_ids.__getitem__, text.split(" "))), np.int32)
        return ids if max_tokens is None else ids[:max_tokens]


def from_vocabulary(lines: str) -> WordPiece:
    """From a vocabulary as vocab.txt has it: one token a line, its id the line's number from 0."""
    vocabulary = {token: i for i, token in enumerate(lines.removesuffix("\n").split("\n"))}
    return WordPiece(vocabulary, _ChunkIds(vocabulary))


def vocabulary_of(teacher: Backbone) -> str:
    """The teacher's vocabulary as vocab.txt has it. Raises PlanError where it is no lower-case WordPiece of BERT's."""
    if teacher.preprocess.kind != "text":
        raise PlanError(f"{teacher.name} reads {teacher.preprocess.kind}; a text encoder is expected as teacher.")
    facts = json.loads(hub.asset_file(teacher.preprocess, "tokenizer").read_text(encoding="utf-8"))
    model, normalizer = facts.get("model") or {}, facts.get("normalizer") or {}
    supported = model.get("type") == "WordPiece" and model.get("continuing_subword_prefix") == CONTINUATION
    supported &= model.get("max_input_chars_per_word") == MAX_WORD_LENGTH and model.get("unk_token") == UNKNOWN_TOKEN
    supported &= normalizer.get("type") == "BertNormalizer" and normalizer.get("strip_accents") is not False
    supported &= all(normalizer.get(name) is value for name, value in NORMALIZER.items())
    if not supported or (facts.get("pre_tokenizer") or {}).get("type") != "BertPreTokenizer":
        raise PlanError(
            f"{teacher.name} splits texts with {model.get('type')} after {normalizer.get('type')}; static vectors are "
            "made of BERT's WordPiece in lower case. Such a teacher is "
            "transformers:sentence-transformers/all-MiniLM-L6-v2."
        )
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    return "\n".join(tokens) + "\n"


class _ChunkIds(dict):
    """A cache: characters between two blanks -> their ids, as the bytes of an int32 array."""

    __slots__ = ("longest", "vocabulary")

    def __init__(self, vocabulary: Mapping[str, int]):
        super().__init__()
        self.vocabulary = vocabulary
        self.longest = max(map(len, vocabulary))

    def __missing__(self, chunk: str) -> bytes:
        ids = np.array(_ids(chunk, self.vocabulary, self.longest), np.int32).tobytes()
        if len(chunk) <= MAX_CACHED_LENGTH:
            if len(self) >= CACHE_SIZE:
                self.clear()
            self[chunk] = ids
        return ids


def _ids(chunk: str, vocabulary: Mapping[str, int], longest: int) -> list[int]:
    if chunk.isascii() and chunk.isalnum():  # most are, and that is fast
        return _pieces(chunk.lower(), vocabulary, longest)
    ids: list[int] = []
    for i, part in enumerate(SPECIAL_TOKENS.split(chunk)):
        if i % 2:
            ids.append(vocabulary.get(part, vocabulary[UNKNOWN_TOKEN]))
        else:
            for word in _words(part):
                ids += _pieces(word, vocabulary, longest)
    return ids


def _words(text: str) -> list[str]:
    """Runs of letters and single punctuation marks, in lower case, without accents."""
    dropped, blank, alone, accents, word = _patterns()
    if not text.isascii():
        # Surrogates, as careless JSON has them: pairs are joined, single ones dropped.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = alone.sub(r" \g<0> ", blank.sub(" ", dropped.sub("", text)))
    text = accents.sub("", unicodedata.normalize("NFD", text))
    # Character by character: str.lower of a word treats a final sigma otherwise than the library.
    return word.findall("".join(map(str.lower, text)))


def _pieces(word: str, vocabulary: Mapping[str, int], longest: int) -> list[int]:
    if len(word) > MAX_WORD_LENGTH:
        return [vocabulary[UNKNOWN_TOKEN]]
    ids, start = [], 0
    while start < len(word):
        prefix = CONTINUATION if start else ""
        for end in range(min(len(word), start + longest), start, -1):
            token_id = vocabulary.get(prefix + word[start:end])
            if token_id is not None:
                ids.append(token_id)
                start = end
                break
        else:
            return [vocabulary[UNKNOWN_TOKEN]]
    return ids


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern, ...]:
    punctuation = _character_class(PUNCTUATION)
    classes = [re.compile(f"[{_character_class(t)}]") for t in (DROPPED, BLANK, ALONE, ACCENTS)]
    return (*classes, re.compile(f"[{punctuation}]|[^{punctuation} ]+"))


def _character_class(table: str) -> str:
    """The inside of a regular expression's [] from ranges in hexadecimal."""
    ends = [[f"\\U{int(end, 16):08x}" for end in part.split("-")] for part in table.split()]
    return "".join("-".join(pair) for pair in ends)
