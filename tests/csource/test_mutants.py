"""Mutants of a design, printed as C, get the verdict of the mutant in Python, or are refused at a line."""

import re

import pytest

from tests.csource.reading import said, verdicts, verdicts_of
from tests.csource.retell import retold
from vmxsim.checker.check import check
from vmxsim.checker.why import mutants
from vmxsim.csource.design import from_tree
from vmxsim.designs import find_design
from vmxsim.errors import NotUnderstoodError

DESIGNS = ("host-from-thread", "dedicated-accessors", "never-trap", "guest-state-loaded")
#: Of the 119 mutants so many get a verdict, the others are only read: a verdict takes a second.
EVERY = 8


def mutants_of(name):
    """Those of the functions that C tells: not lines that only cost time, and not common code."""
    return [m for m in mutants(find_design(name)) if not m.only_costs and m.function != "kvm_set_msr"]


def read_back(mutant):
    """The mutant as a design made of C, or why there is none."""
    try:
        return from_tree(retold(mutant.design)).design, None
    except NotUnderstoodError as error:
        return None, error


@pytest.mark.parametrize("name", DESIGNS)
def test_a_mutant_has_the_verdict_of_the_mutant_in_python(name):
    for number, mutant in enumerate(mutants_of(name)):
        design, error = read_back(mutant)
        if error:
            # without its early return, enter or leave does not show which field is the flag
            assert re.match(r"vmx\.c:\d+, \w+\(\)$", error.where) and "not clear" in error.message
            assert mutant.source in ("return", "self.vmx_prepare_switch_to_host(vmx)")
        elif number % EVERY == 0:
            assert verdicts(said(check(design))) == verdicts_of(mutant.design), (mutant.function, mutant.line)
