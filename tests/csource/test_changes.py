"""A change of the C that matters changes the verdict: what breaks follows from what was changed."""

import pytest

from tests.csource.changing import SAFE, changed, sections
from tests.csource.reading import carried, said
from vmxsim.checker.check import check
from vmxsim.csource.design import from_tree

#: Each title ends with what breaks, and on which host.
CHANGES = sections("changes.c")


@pytest.mark.parametrize("title", CHANGES)
def test_what_breaks_follows_from_the_change(title):
    invariant, _, host = title.partition(": ")[2].partition(", ")
    widths = {"64-bit", "32-bit"} if host == "any host" else {host.removesuffix(" host")}
    found = said(check(from_tree(changed(CHANGES[title]), hint=carried(SAFE).roles).design))
    assert {host for host, result in found.items() if invariant in result} == widths
