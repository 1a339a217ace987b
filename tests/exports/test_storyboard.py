"""The storyboard has every telling step, and prints as as many sheets as it says."""

import re
import subprocess
from html.parser import HTMLParser

import pytest

import vmxsim
from tests.browser.lab import ARGUMENTS, find_chromium
from tests.conftest import MISSING_CHROMIUM
from tests.exports.cases import checked, named
from vmxsim.errors import InputError
from vmxsim.views.telling import telling_steps


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def told(text):
    return [int(number) for number in re.findall(r'<p class="where">Step (\d+),', text)]


@pytest.mark.parametrize("per_page", [2, 4])
@pytest.mark.parametrize("name", ["dedicated-accessors 64-bit", "load-gs-index 32-bit", "migrate"])
def test_every_telling_step_is_there_once(name, per_page):
    what = named(name)
    example = getattr(what, "counterexample", None)
    trace, lost = (example.trace, {example.explanation.step + 1}) if example else (what, ())
    text = vmxsim.export(what, "storyboard", per_page=per_page)
    assert told(text) == telling_steps(trace, lost)
    sheets = re.findall(r'<section class="sheet".*?</section>', text, re.DOTALL)
    for sheet in sheets[1:]:
        assert 1 <= len(told(sheet)) <= per_page
        assert sheet.count("<svg ") == sheet.count("<figure>") == len(told(sheet))
    assert f"{len(sheets)} / {len(sheets)}</span>" in sheets[-1]


def test_pictures_share_a_style_sheet_and_ids_are_unique():
    text = vmxsim.export(checked("dedicated-accessors", "64-bit"), "storyboard")
    assert text.count("<style>") == 1 and "var(" not in text
    ids = [attributes["id"] for _, attributes in Tags(text).found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_hostile_text_is_text():
    text = vmxsim.export(named("hostile"), "storyboard")
    assert "script" not in {tag for tag, _ in Tags(text).found}
    assert "\x1b" not in text


def test_two_or_four_a_sheet():
    with pytest.raises(InputError, match="2 or 4"):
        vmxsim.export(checked("dedicated-accessors", "64-bit"), "storyboard", per_page=3)


@pytest.mark.parametrize("per_page", [2, 4])
@pytest.mark.parametrize("name", ["dedicated-accessors 64-bit", "s1.dedicated-accessors"])
def test_it_prints_a_page_a_sheet(tmp_path, name, per_page):
    chromium = find_chromium()
    if chromium is None:
        pytest.skip(MISSING_CHROMIUM)
    page, pdf = tmp_path / "story.html", tmp_path / "story.pdf"
    vmxsim.export(named(name), "storyboard", page, per_page=per_page)
    command = [
        chromium,
        "--headless",
        *ARGUMENTS,
        "--no-pdf-header-footer",
        f"--print-to-pdf={pdf}",
        page.as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    data = pdf.read_bytes()
    sheets = page.read_text().count('<section class="sheet"')
    assert len(re.findall(rb"/Type ?/Page\b", data)) == sheets
    width, height = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", data).groups()
    assert round(float(width)) == 842 and round(float(height)) == 595
