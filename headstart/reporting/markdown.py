"""A model card as Markdown with the header that the Hugging Face hub reads, and as a page."""

from __future__ import annotations

import json
import re

from headstart.reporting import modelcard, result_sections
from headstart.reporting.fit_page import shell
from headstart.reporting.formatting import clean, esc, measure_of, number
from headstart.reporting.html import bullets, paragraph, section, table
from headstart.reporting.modelcard import Code, Part, Table

MARK = "<!-- Written by `headstart card`; written again, it is replaced. -->"
PIPELINES = {("image", "classes"): "image-classification", ("image", "tags"): "image-classification"}
PIPELINES |= {("text", name): "text-classification" for name in ("classes", "tags", "number")}
PIPELINES |= {("vector", "classes"): "tabular-classification", ("vector", "number"): "tabular-regression"}
# What the hub takes for a licence. Source: huggingface.co/docs/hub/repositories-licenses, the common ones.
LICENCES = set(
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m openrail++ bsd bsd-2-clause bsd-3-clause cc "
    "cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 "
    "cc-by-nd-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 cdla-permissive-2.0 wtfpl epl-2.0 eupl-1.1 agpl-3.0 gfdl gpl "
    "gpl-2.0 gpl-3.0 lgpl lgpl-3.0 isc llama2 llama3 llama3.1 llama3.2 llama3.3 gemma mpl-2.0 ncsa unlicense zlib "
    "apple-amlr unknown other".split()
)


def markdown(result: dict, where: str, licence: str = "") -> str:
    """README.md of a model. where: as `modelcard.parts` takes it.  licence: in place of the base's"""
    parts = [
        f"## {_text(part.title)}\n\n{''.join(map(_block, part.blocks))}" for part in modelcard.parts(result, where)
    ]
    told = f"{_text(result['verdict'])}\n\n" if result.get("verdict") else ""
    return f"{header(result, licence)}\n{MARK}\n\n# {_text(modelcard.called(result))}\n\n{told}{''.join(parts)}"


def header(result: dict, licence: str = "") -> str:
    """The YAML at the top, whose values are JSON: that is YAML too."""
    task, card = result["task"], result["backbone"]
    pipeline = PIPELINES.get((task["kind"], task["objective"]), "")
    method = result["plan"]["method"]
    said = (licence or str(card.get("licence") or "unknown")).lower()
    facts: dict[str, object] = {"license": said if said in LICENCES else "other"}
    if said not in LICENCES:
        facts["license_name"] = re.sub(r"[^a-z0-9.]+", "-", said).strip("-") or "unnamed"
    facts |= {"library_name": "headstart", "tags": ["headstart", "transfer-learning", method]}
    if pipeline:
        facts["pipeline_tag"] = pipeline
    base = modelcard.hub_name(card["name"])
    if base:
        facts |= {"base_model": base, "base_model_relation": "adapter"}
    if result.get("metrics"):
        facts["model-index"] = [_index(result, pipeline)]
    lines = (f"{key}: {json.dumps(_plain(value), ensure_ascii=False)}" for key, value in facts.items())
    return "---\n" + "\n".join(lines) + "\n---\n"


def _index(result: dict, pipeline: str) -> dict:
    metrics = []
    for key, m in result["metrics"].items():
        measure = measure_of(key)
        span = f"95 % interval {measure.span(m.get('low'), m.get('high'))}{' %' if measure.percent else ''}"
        kind = "f1" if key in ("macro_f1", "micro_f1") else key
        value = number(m["value"])
        if value is not None:
            metrics.append(
                {"type": kind, "value": round(value, 6), "name": f"{measure.label} ({span}, n = {m.get('n')})"}
            )
    name = modelcard.source(result)
    data = {"type": name if "/" in name else re.sub(r"[^\w.-]+", "-", name), "name": name}
    data |= {} if result["task"].get("folds") else {"split": "test"}
    task = {"type": pipeline or "other"}
    return {"name": modelcard.called(result), "results": [{"task": task, "dataset": data, "metrics": metrics}]}


def _plain(value: object) -> object:
    """Text without what YAML cannot hold."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return clean(value).replace("\xa0", " ").replace("\x85", " ") if isinstance(value, str) else value


def _block(block: str | tuple[str, ...] | Table | Code) -> str:
    if not block:
        return ""
    if isinstance(block, Code):
        return f"```{block.language}\n{clean(block.text)}\n```\n\n"
    if isinstance(block, Table):
        rows = [block.heads, tuple("---" for _ in block.heads), *block.rows]
        return "\n".join(f"| {' | '.join(c if c == '---' else _text(c) for c in row)} |" for row in rows) + "\n\n"
    if isinstance(block, tuple):
        return "".join(f"* {_text(line)}\n" for line in block) + "\n"
    return f"{_text(block)}\n\n"


def _text(text: object) -> str:
    """One line whose marks are letters: names from data may hold what Markdown or HTML would act on."""
    line = " ".join(clean(text).replace("\xa0", " ").split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", line)


def page(result: dict, where: str) -> str:
    """The same as one self-contained HTML page."""
    name = modelcard.called(result)
    body = "".join(_section(n, part) for n, part in enumerate(modelcard.parts(result, where)))
    verdict = result_sections.verdict(result) if result.get("verdict") else f"<h1>{esc(name)}</h1>"
    head = f"Model card · <bdi>{esc(name)}</bdi>"
    return shell(esc(f"{name} (model card, Headstart)"), head, verdict, body, str(result.get("version") or ""))


def _section(n: int, part: Part) -> str:
    return section(f"card-{n}", part.title, "", *(_html(part.title, block) for block in part.blocks if block))


def _html(title: str, block: str | tuple[str, ...] | Table | Code) -> str:
    if isinstance(block, Code):
        pre = f'<pre tabindex="0" aria-label="{esc(block.language)}">{esc(block.text)}</pre>'
        return f'<div class="command"><button type="button" class="copy" hidden>Copy</button>{pre}</div>'
    if isinstance(block, Table):
        return table(title, block.heads, [[esc(cell) for cell in row] for row in block.rows])
    if isinstance(block, tuple):
        return bullets((esc(line) for line in block), "told")
    return paragraph(esc(block))
