"""The glossary and the course belong together: a term is linked where it is used first, and nowhere else."""

import json
import re
from pathlib import Path

import pytest

from tests.notebooks.glossary_titles import LINK, meanings, titled

FOLDER = Path(__file__).parents[2] / "notebooks"
COURSE = sorted(FOLDER.glob("[01]*.ipynb"))
#: What is not prose: fenced code, headings, rows of tables, links to elsewhere.
NO_PROSE = re.compile(r"```[\s\S]*?```|^#[^\n]*$|^\|[^\n]*$|(?<!!)\[[^\]]*\]\((?!glossary)[^)]*\)", re.M)


def cells(path):
    return json.loads(path.read_text())["cells"]


def terms():
    """(anchor, words, first notebook as the entry says it) of each entry."""
    for cell in cells(FOLDER / "glossary.ipynb")[1:]:
        source = "".join(cell["source"])
        heading = re.match(r"### (.+)", source)[1]
        first = re.search(r"First used in \[[^\]]+\]\(([^)]+)\)", source)[1]
        yield pytest.param(heading.replace(" ", "-"), cell["metadata"]["words"], first, id=heading)


def first_use(anchor, words):
    """(notebook, whether it is linked) of the first use in prose. A longer term's link may hold the word."""
    for path in COURSE:
        for cell in cells(path):
            if cell["cell_type"] != "markdown":
                continue
            text = NO_PROSE.sub(" ", "".join(cell["source"]))
            text = LINK.sub(lambda m: f"\0{m[1]}\0" if m[2] == anchor else " ", text)
            starts = [at for word in words for at in [position(text, word)] if at >= 0]
            if starts:
                return path.name, text[: min(starts) + 3].count("\0") % 2 == 1
    return None, False


def position(text, word):
    """Where a word stands in prose, -1 if nowhere; emphasised and code words only as they are."""
    if not word.startswith("`"):
        text = re.sub(r"`[^`\n]*`", lambda m: " " * len(m[0]), text)
    edge = r"(?<![\w.-])" if word[0].isalnum() else ""
    end = r"(?![\w(-]|\.\w)" if word[-1].isalnum() else ""
    flags = 0 if re.search(r"[A-Z_`]", word) else re.I
    bare = re.escape(word.strip("*")) if word.startswith("*") else re.escape(word)
    if word.startswith("*"):
        stars = re.escape(re.match(r"\*+", word)[0])
        found = re.search(rf"(?<!\*){stars}\0?{bare}\0?{stars}(?!\*)", text, flags)
    else:
        found = re.search(edge + bare + end, text, flags)
    return found.start() if found else -1


@pytest.mark.parametrize(("anchor", "words", "first"), list(terms()))
def test_a_term_is_linked_where_it_is_used_first(anchor, words, first):
    notebook, linked = first_use(anchor, words)
    assert notebook == first, f"the glossary says {first}"
    assert linked, f"{notebook}: link the first of {words} to glossary.ipynb#{anchor}"


def test_every_link_leads_to_an_entry():
    known = {param.values[0] for param in terms()}
    for path in COURSE:
        for cell in cells(path):
            anchors = {anchor for _, anchor, _ in LINK.findall("".join(cell["source"]))}
            assert anchors <= known, path.name


def test_a_link_shows_the_meaning_on_hover():
    known = meanings()
    for path in FOLDER.glob("*.ipynb"):
        for cell in cells(path):
            source = "".join(cell["source"])
            if path.name != "glossary.ipynb" and cell["cell_type"] == "markdown":
                assert source == titled(source, known), f"{path.name}: run 'make format'"


def test_a_meaning_is_a_plain_sentence():
    known = meanings()
    assert known["MSR"].startswith("A model-specific register")
    assert all(text.rstrip(")")[-1] in ".?!" and not set(text) & set('"[]`*') for text in known.values())


def test_notebooks_link_to_each_other():
    for path in FOLDER.glob("*.ipynb"):
        for cell in cells(path):
            if cell["cell_type"] == "markdown":
                for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", "".join(cell["source"])):
                    assert (FOLDER / target).exists(), f"{path.name}: {target}"
