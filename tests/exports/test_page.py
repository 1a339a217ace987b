"""The page that stands alone: whole, closed to the network, and with nothing from outside as markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

import vmxsim
from tests.checker.odd import KeepsFields
from tests.exports.cases import checked, named
from vmxsim.designs import find_design
from vmxsim.errors import InputError
from vmxsim.exports.page import page


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.open = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open = tag if tag == "script" else self.open
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.open = None if tag == "script" else self.open

    def handle_data(self, data):
        if self.open:
            self.scripts[-1] += data

    def data(self):
        return json.loads(self.scripts[0])


@pytest.mark.parametrize("name", ["dedicated-accessors 64-bit", "s1.host-from-thread", "hostile"])
def test_nothing_is_fetched_and_only_its_own_script_may_run(name):
    text = vmxsim.export(named(name), "html")
    reader = Reader(text)
    assert not [tag for tag, found in reader.tags if found.get("src") or found.get("href")]
    assert not re.findall(r"url\((?!#)", text)
    (policy,) = [found["content"] for tag, found in reader.tags if found.get("http-equiv")]
    assert "default-src 'none'" in policy
    digest = base64.b64encode(hashlib.sha256(reader.scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert [found for tag, found in reader.tags if tag == "html"] == [{"lang": "en"}]
    assert not [found for _, found in reader.tags if any(key.startswith("on") for key in found)]
    assert len(reader.scripts) == 2


def test_it_opens_at_the_violation_else_at_the_start():
    example = checked("dedicated-accessors", "64-bit").counterexample
    data = Reader(vmxsim.export(example, "html")).data()
    assert data["start"] == example.trace.violations[0].step + 1
    assert data["films"][0]["frames"][data["start"]]["violations"]
    assert Reader(vmxsim.export(vmxsim.run(["run"], "never-trap"), "html")).data()["start"] == 0


def test_two_traces_go_through_one_schedule():
    runs = [vmxsim.run(["run", "guest long-mode on"], d) for d in ("host-from-thread", "dedicated-accessors")]
    data = Reader(vmxsim.export(runs, "html")).data()
    assert len(data["films"]) == 2
    assert data["pairs"][-1] == [len(trace.steps) for trace in runs]
    assert data["divergence"]["slot"] and "First divergence" in data["divergence"]["text"]
    assert data["pairs"][data["start"]][1] == runs[1].violations[0].step + 1
    with pytest.raises(InputError, match="one trace or two"):
        page()


def test_beside_each_other_a_breach_is_told_by_the_slider_s_step():
    runs = [vmxsim.run(["run", "guest long-mode on"], d) for d in ("host-from-thread", "dedicated-accessors")]
    text = vmxsim.export(runs, "html")
    own, slot = runs[1].violations[0].step + 1, Reader(text).data()["start"]
    assert own != slot and f"broken in step {slot} (its own step {own}) of dedicated-accessors" in text


@pytest.mark.parametrize("order", [1, -1])
def test_beside_each_other_each_has_its_own_heading_and_finding(order):
    example = checked("dedicated-accessors", "64-bit").counterexample
    runs = [example.trace, vmxsim.run(example.scenario, find_design("never-trap"))]
    reader = Reader(text := vmxsim.export(runs[::order], "html"))
    told = {film["subtitle"].split()[0]: film["title"] for film in reader.data()["films"]}
    assert told["dedicated-accessors"] == "dedicated-accessors: nothing is loaded when LMA is set"
    assert (
        told["never-trap"] == "never-trap: no invariant is broken" and f"<p>{told['never-trap']}.</p>" in text
    )
    assert runs[0].title == runs[1].title == "Schedule on which dedicated-accessors breaks guest-value"


def test_more_traits_are_passed_on():
    gates = [{"id": "q", "question": "</script>"}]
    data = Reader(
        vmxsim.export(vmxsim.run(["run"], "never-trap"), "html", gates=gates, presenting=True)
    ).data()
    assert data["gates"] == gates and data["presenting"] is True and data["answers"] == {}


def test_without_scripts_there_is_a_picture_and_every_step_in_words():
    trace = checked("dedicated-accessors", "64-bit").counterexample.trace
    text = vmxsim.export(trace, "html")
    (fallback,) = re.findall(r"<noscript>(.*?)</noscript>", text, re.DOTALL)
    assert fallback.count("<svg ") == 1 and "<title" in fallback
    assert fallback.count('<tr><th scope="row">') == len(trace.steps) + 1
    assert "✖ guest-value" in fallback


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_may_be_fixed(theme):
    reader = Reader(vmxsim.export(vmxsim.run(["run"], "never-trap"), "html", theme=theme))
    assert {"lang": "en", "data-theme": theme} in [found for _, found in reader.tags]


def test_hostile_text_is_data():
    reader = Reader(vmxsim.export(named("hostile"), "html"))
    assert len([tag for tag, _ in reader.tags if tag == "script"]) == 2
    assert "<" not in reader.scripts[0]


def test_sizes_stay_small():
    assert len(vmxsim.export(checked("dedicated-accessors", "64-bit"), "html")) < 400_000
    assert len(vmxsim.export(named("migrate"), "html")) < 900_000


def test_a_design_whose_function_calls_the_one_that_it_overrides_becomes_a_page():
    assert "KeepsFields" in vmxsim.export(vmxsim.check(KeepsFields, host="64-bit"))


def test_a_page_is_the_same_each_time():
    runs = [vmxsim.run(["run", "guest rdmsr"], design) for design in ("host-from-thread", "never-trap")]
    assert vmxsim.export(runs[0]) == vmxsim.export(runs[0])
    assert vmxsim.export(runs) == vmxsim.export(runs)
