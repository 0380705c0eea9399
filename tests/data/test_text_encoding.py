"""What a file of text is encoded in is decided over all of it, said, kept, and asked where it is not clear."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.core.errors import SourceError
from headstart.core.input_contract import CONTRACT_RULE, restore
from headstart.core.options import DataOptions
from headstart.core.result import SetAside
from headstart.data.read import read, read_source
from headstart.data.read_inputs import read_inputs
from headstart.data.text_encoding import WantedEncoding, decode, first_lost_byte
from tests.support.sources import has_note, write_text

SENTENCES = {
    "cp1252": ["Die Größe stimmt nicht, die Tür schließt schlecht", "Où est mon remboursement, très déçu",
               "El envío llegó mañana por la mañana, señor"],
    "mac_roman": ["La livraison est arrivée très tard, le colis était abîmé", "Où est la pièce, s'il vous plaît"],
    "cp1250": ["Przesyłka dotarła zbyt późno i była uszkodzona, proszę o zwrot pieniędzy"],
    "iso8859_2": ["Proszę anulować moje zamówienie, część źle działa"],
    "cp1254": ["Lütfen siparişimi iptal edin, şarj olmuyor ve ışığı yanmıyor"],
    "cp1251": ["Доставка пришла слишком поздно и коробка была повреждена"],
    "koi8_r": ["Пожалуйста, отмените мой заказ, серийный номер не читается"],
    "cp1253": ["Η παράδοση άργησε πολύ και το κουτί ήταν χαλασμένο"],
    "cp1255": ["המשלוח הגיע מאוחר מדי והקופסה הייתה פגומה"],
    "cp1256": ["وصلت الشحنة متأخرة جدا وكان الصندوق تالفا"],
    "cp932": ["商品の到着が遅くて箱が壊れていました、返金はいつですか"],
    "euc_jp": ["注文をキャンセルしてください、シリアル番号が読めません"],
    "gb18030": ["快递来得太晚了，盒子也坏了，请取消我的订单"],
    "big5": ["快遞來得太晚了，盒子也壞了，請取消我的訂單"],
    "cp949": ["배송이 너무 늦게 왔고 상자가 파손되었습니다"],
    "utf-8": ["Größe, señor, Доставка, 商品"],
    "utf-8-sig": ["Größe, señor, Доставка, 商品"],
    "utf-16": ["Größe, señor, Доставка, 商品"],
    "utf-16-le": ["Größe, señor, Доставка"],
    "utf-16-be": ["Größe, señor, Доставка"],
}  # fmt: skip


def table_of(sentences: list[str], rows: int = 40) -> str:
    lines = [f'{n},"{sentences[n % len(sentences)]} {n}",{"ab"[n // 3 % 2]}' for n in range(rows)]
    return "nr,text,label\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize("encoding", SENTENCES)
def test_a_table_is_read_in_the_encoding_it_was_written_in(tmp_path, encoding):
    sentences = SENTENCES[encoding]
    task = read(write_text(tmp_path / "t.csv", table_of(sentences), encoding))
    assert {e.content for e in task.examples} == {f"{sentences[n % len(sentences)]} {n}" for n in range(40)}
    assert has_note(task, "is not UTF-8; it was read as") == (encoding[:3] != "utf" or encoding[-2:] in ("le", "be"))
    contract = restore(task.contract.facts(), "text")
    assert not CONTRACT_RULE(task.contract.facts())
    # What is asked later may be UTF-8, or too short to tell its encoding from.
    for new in (encoding, "utf-8"):
        file = write_text(tmp_path / f"new {new}.csv", table_of(sentences, 1), new)
        assert [e.content for e in read_inputs(file, contract)] == [f"{sentences[0]} 0"]


@given(
    st.text(st.characters(codec="cp1252", exclude_categories=["C"]), min_size=1), st.sampled_from(["cp1252", "gb18030"])
)
def test_a_named_encoding_gives_what_was_written(text, encoding):
    assert decode(text.encode(encoding), WantedEncoding(encoding, True)).text == text
    assert decode(text.encode("utf-8-sig")).text == text


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "folder"])
def test_one_bad_byte_is_one_bad_row(tmp_path, suffix):
    texts = [f"Größe {n} stimmt nicht" for n in range(40)]
    labels = ["ab"[n % 2] for n in range(40)]
    rows = [{"text": t, "label": v} for t, v in zip(texts, labels, strict=True)]
    if suffix == "folder":
        source = tmp_path
        for n, (t, v) in enumerate(zip(texts, labels, strict=True)):
            write_text(tmp_path / v / f"{n:02}.txt", t)
        (tmp_path / "b" / "07.txt").write_bytes(b"Gr\xf6\xc3\x9fe 7 f\xc3\xbcr K\xc3\xb6ln")
    else:
        source = tmp_path / f"t.{suffix}"
        cut = {"csv": ",", "tsv": "\t"}.get(suffix)
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        whole = "[" + ",\n".join(lines) + "]" if suffix == "json" else "\n".join(lines)
        if cut:
            whole = "\n".join(cut.join(pair) for pair in [("text", "label"), *zip(texts, labels, strict=True)])
        source.write_bytes(whole.encode().replace("Größe 7".encode(), b"Gr\xf6\xc3\x9fe 7"))
    task = read(source)
    assert len(task.examples) == 39
    assert task.aside[0].reason.endswith("byte 0xf6 cannot be decoded")
    asked = list(read_inputs(source, task.contract))
    assert len(asked) == 40 and sum(isinstance(i, SetAside) for i in asked) == 1


def test_a_folder_is_decided_over_all_its_files(tmp_path):
    for n in range(24):
        write_text(tmp_path / "ab"[n % 2] / f"{n}.txt", f"отмените заказ {n}" if n else "да", "cp1251")
    task = read(tmp_path)
    assert {e.content for e in task.examples} >= {"да", "отмените заказ 5"}


def test_what_is_not_clear_is_asked_and_taken_as_it_is_named(tmp_path):
    file = write_text(tmp_path / "t.csv", "text,label\n" + "".join(f"plain {n},{'ab'[n % 2]}\n" for n in range(40)))
    file.write_bytes(file.read_bytes().replace(b"plain 7", b"\xb9\xea\x9c"))
    with pytest.raises(SourceError, match=r"its encoding is not clear .*--encoding NAME"):
        read(file)
    task = read(file, DataOptions(encoding="windows-1250"))
    assert "ąęś" in {e.content for e in task.examples}
    assert (task.contract.encoding, task.contract.encoding_named) == ("cp1250", True)
    assert [i.content for i in read_inputs(file, restore(task.contract.facts(), "text"))][7] == "ąęś"
    with pytest.raises(SourceError, match=r"no encoding 'cp125'.* Did you mean"):
        read(file, DataOptions(encoding="cp125"))
    with pytest.raises(SourceError, match="no encoding"):  # of Python's own, that run or unpack
        read_source(file, DataOptions(encoding="unicode_escape"))


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"a\0\0\0,b\0c\0\0\0d" * 50)
    with pytest.raises(SourceError, match="every few bytes one is zero"):
        read(tmp_path / "t.csv")
    assert first_lost_byte("whole") == ""
