"""The model card as Markdown with the YAML header that the Hugging Face hub reads, and as a page."""

from __future__ import annotations

import json
import re

from headstart.reporting import modelcard, result_sections
from headstart.reporting.fit_page import html_document
from headstart.reporting.formatting import escape, finite_number, metric_format, sanitize
from headstart.reporting.html import bullet_list, command_block, paragraph, section, table
from headstart.reporting.modelcard import CardSection, Code, Table

GENERATED_MARK = "<!-- Written by `headstart card`; written again, it is replaced. -->"
PIPELINE_TAGS = {("image", "classes"): "image-classification", ("image", "tags"): "image-classification"}
PIPELINE_TAGS |= {("text", name): "text-classification" for name in ("classes", "tags", "number")}
PIPELINE_TAGS |= {("vector", "classes"): "tabular-classification", ("vector", "number"): "tabular-regression"}
# What the hub takes for a licence. Source: huggingface.co/docs/hub/repositories-licenses, the common ones.
HUB_LICENCES = set(
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m openrail++ bsd bsd-2-clause bsd-3-clause cc "
    "cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 "
    "cc-by-nd-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 cdla-permissive-2.0 wtfpl epl-2.0 eupl-1.1 agpl-3.0 gfdl gpl "
    "gpl-2.0 gpl-3.0 lgpl lgpl-3.0 isc llama2 llama3 llama3.1 llama3.2 llama3.3 gemma mpl-2.0 ncsa unlicense zlib "
    "apple-amlr unknown other".split()
)


def markdown(result: dict, where: str, licence: str = "") -> str:
    """README.md of a model. where: as `modelcard.card_sections` takes it.  licence: in place of the base's"""
    sections = (
        f"## {_escape_markdown(part.title)}\n\n{''.join(map(_markdown_block, part.blocks))}"
        for part in modelcard.card_sections(result, where)
    )
    verdict = f"{_escape_markdown(result['verdict'])}\n\n" if result.get("verdict") else ""
    title = f"# {_escape_markdown(modelcard.model_name(result))}"
    return f"{yaml_header(result, licence)}\n{GENERATED_MARK}\n\n{title}\n\n{verdict}{''.join(sections)}"


def yaml_header(result: dict, licence: str = "") -> str:
    """The YAML front matter; its values are JSON, which is YAML too."""
    task, backbone = result["task"], result["backbone"]
    pipeline = PIPELINE_TAGS.get((task["kind"], task["objective"]), "")
    method = result["plan"]["method"]
    license = (licence or str(backbone.get("licence") or "unknown")).lower()
    facts: dict[str, object] = {"license": license if license in HUB_LICENCES else "other"}
    if license not in HUB_LICENCES:
        facts["license_name"] = re.sub(r"[^a-z0-9.]+", "-", license).strip("-") or "unnamed"
    facts |= {"library_name": "headstart", "tags": ["headstart", "transfer-learning", method]}
    if pipeline:
        facts["pipeline_tag"] = pipeline
    base_model = modelcard.hub_name(backbone["name"])
    if base_model:
        facts |= {"base_model": base_model, "base_model_relation": "adapter"}
    if result.get("metrics"):
        facts["model-index"] = [_model_index(result, pipeline)]
    lines = (f"{key}: {json.dumps(_yaml_safe(value), ensure_ascii=False)}" for key, value in facts.items())
    return "---\n" + "\n".join(lines) + "\n---\n"


def _model_index(result: dict, pipeline: str) -> dict:
    metrics = []
    for key, m in result["metrics"].items():
        metric = metric_format(key)
        interval = f"95 % interval {metric.interval(m.get('low'), m.get('high'))}{' %' if metric.is_share else ''}"
        name = f"{metric.label} ({interval}, n = {m.get('n')})"
        type = "f1" if key in ("macro_f1", "micro_f1") else key
        value = finite_number(m["value"])
        if value is not None:
            metrics.append({"type": type, "value": round(value, 6), "name": name})
    name = modelcard.dataset_name(result)
    data = {"type": name if "/" in name else re.sub(r"[^\w.-]+", "-", name), "name": name}
    data |= {} if result["task"].get("folds") else {"split": "test"}
    task = {"type": pipeline or "other"}
    return {"name": modelcard.model_name(result), "results": [{"task": task, "dataset": data, "metrics": metrics}]}


def _yaml_safe(value: object) -> object:
    """Values whose strings hold nothing that YAML forbids."""
    if isinstance(value, dict):
        return {key: _yaml_safe(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_yaml_safe(inner) for inner in value]
    return sanitize(value).replace("\xa0", " ").replace("\x85", " ") if isinstance(value, str) else value


def _markdown_block(block: str | tuple[str, ...] | Table | Code) -> str:
    if not block:
        return ""
    if isinstance(block, Code):
        return f"```{block.language}\n{sanitize(block.text)}\n```\n\n"
    if isinstance(block, Table):
        rows = [block.heads, tuple("---" for _ in block.heads), *block.rows]
        cells = ((c if c == "---" else _escape_markdown(c) for c in row) for row in rows)
        return "".join(f"| {' | '.join(row)} |\n" for row in cells) + "\n"
    if isinstance(block, tuple):
        return "".join(f"* {_escape_markdown(line)}\n" for line in block) + "\n"
    return f"{_escape_markdown(block)}\n\n"


def _escape_markdown(text: object) -> str:
    """One line with Markdown and HTML escaped, since names come from the data."""
    line = " ".join(sanitize(text).replace("\xa0", " ").split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", line)


def card_page(result: dict, where: str) -> str:
    """The model card as one self-contained HTML page."""
    name = modelcard.model_name(result)
    sections = (_card_section_html(n, part) for n, part in enumerate(modelcard.card_sections(result, where)))
    verdict = result_sections.verdict_heading(result) if result.get("verdict") else f"<h1>{escape(name)}</h1>"
    head = f"Model card · <bdi>{escape(name)}</bdi>"
    return html_document(f"{name} (model card, Headstart)", head, verdict, sections, result.get("version"))


def _card_section_html(n: int, part: CardSection) -> str:
    return section(f"card-{n}", part.title, "", *(_html_block(part.title, block) for block in part.blocks if block))


def _html_block(title: str, block: str | tuple[str, ...] | Table | Code) -> str:
    if isinstance(block, Code):
        return command_block(block.text, block.language)
    if isinstance(block, Table):
        return table(title, block.heads, [[escape(cell) for cell in row] for row in block.rows])
    if isinstance(block, tuple):
        return bullet_list((escape(line) for line in block), "told")
    return paragraph(escape(block))
