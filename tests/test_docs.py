"""The pages for maintainers are true: what they name is there, and what is generated is what would be generated."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [DOCS / "architecture.md", ROOT / "CONTRIBUTING.md", *sorted((DOCS / "decisions").glob("*.md"))]
PATH = re.compile(r"[\w.-]+/[\w/.-]*(\.py|\.md|\.toml|/)|[\w.-]+/")
USERS = ("runs", "photos", "model", ".")  # folders of a user, not of ours


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_and_functions_that_a_page_names_are_there(page):
    text = re.sub(r"<!-- tree -->.*<!-- /tree -->", "", page.read_text(encoding="utf-8"), flags=re.S)
    source = ""
    for line in text.splitlines():
        for name in re.findall(r"`([^`]+)`", line):
            if PATH.fullmatch(name) and not name.startswith(USERS):
                path = next((p for p in (ROOT / name, ROOT / "headstart" / name) if p.exists()), None)
                assert path, f"{page.name} names {name}"
                source = path.read_text(encoding="utf-8") if path.is_file() else source
            elif page.name == "architecture.md" and (called := re.fullmatch(r"(\w+)\(\)", name)):
                assert source, f"{page.name}: {name} stands behind no file"
                there = re.search(rf"^\s*(def|class) {called[1]}\b|^{called[1]} = ", source, re.M)
                assert there, f"{page.name}: {name}"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)[)#]", "".join(p.read_text("utf-8") for p in PAGES[:2])))
def test_links_lead_somewhere(link):
    assert (ROOT / "docs" / link).exists() or (ROOT / link).exists(), link


def test_the_picture_and_the_tree_are_drawn_anew():
    done = subprocess.run([sys.executable, "docs/structure.py", "--check"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
