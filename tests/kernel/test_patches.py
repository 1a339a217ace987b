"""What a subclass changes is honoured or refused, never ignored.

The yardstick is a leave that does nothing: whoever runs it leaves the guest's value in the register, so the
thread returns to user space with it. A change that is ignored leaves the design right.
"""

import textwrap
from functools import partialmethod, wraps

import pytest

import vmxsim
from vmxsim.designs import DESIGNS, NeverTrap
from vmxsim.designs.history import never_called
from vmxsim.designs.own import designs_in
from vmxsim.errors import InputError
from vmxsim.kernel.language import *
from vmxsim.simulation.run import run


def leave(self, vmx):
    sldt()


class Static(NeverTrap):
    @staticmethod
    def vmx_prepare_switch_to_host(vmx):
        sldt()


class OfTheClass(NeverTrap):
    @classmethod
    def vmx_prepare_switch_to_host(cls, vmx):
        cls.nothing(vmx)

    def nothing(self, vmx):
        sldt()


class UnderAnotherName(NeverTrap):
    vmx_prepare_switch_to_host = leave


class AssignedLater(NeverTrap):
    pass


AssignedLater.vmx_prepare_switch_to_host = leave


class Inherits(NeverTrap):
    pass


class Child(Inherits):
    pass


Inherits.vmx_prepare_switch_to_host = leave


class Mixin:
    def vmx_prepare_switch_to_host(self, vmx):
        sldt()


class Mixed(Mixin, NeverTrap):
    pass


class MixedThenInherited(Mixed):
    pass


def instead(function):
    return leave


class Decorated(NeverTrap):
    @instead
    def vmx_prepare_switch_to_host(self, vmx):
        super().vmx_prepare_switch_to_host(vmx)


HONOURED = (
    Static, OfTheClass, UnderAnotherName, AssignedLater, Inherits, Child, Mixed, MixedThenInherited,
    Decorated,
)  # fmt: skip


@pytest.mark.parametrize("design", HONOURED, ids=lambda design: design.__name__)
def test_an_emptied_leave_breaks_the_host_however_it_is_written(design):
    trace = run(["run", "exit"], design, long_mode=True)
    assert "host-value" in {v.invariant for v in trace.violations}
    result = vmxsim.check(design, host="64-bit")
    assert result.verdict == "violated"
    assert {"host-value", "no-leak"} <= set(result.hosts[0].counterexamples)


def test_a_mixin_after_the_design_overrides_nothing():
    class After(NeverTrap, Mixin):
        pass

    assert not run(["run", "exit"], After, long_mode=True).violations


def test_super_in_a_class_named_like_its_parent_calls_the_parent():
    class MsrArray(DESIGNS["msr-array"]):
        def set_efer(self, vmx):
            super().set_efer(vmx)

    trace = run(["run", "guest long-mode on", "guest smi", "guest rsm", "exit"], MsrArray, long_mode=False)
    assert not trace.violations


def test_what_was_found_out_before_a_change_does_not_hold_after_it():
    class Mine(NeverTrap):
        pass

    assert vmxsim.check(Mine, host="64-bit").verdict == "safe"
    Mine.vmx_prepare_switch_to_host = leave
    assert vmxsim.check(Mine, host="64-bit").verdict == "violated"
    del Mine.vmx_prepare_switch_to_host
    assert vmxsim.check(Mine, host="64-bit").verdict == "safe"


def test_a_refused_change_leaves_the_class_as_it_was():
    class Mine(NeverTrap):
        pass

    for name, value in (
        ("vmx_prepare_switch_to_host", 5),
        ("vmx_prepare_switch_to_host", lambda self, vmx: sldt()),
        ("interception", "allways"),
        ("no_such_attribute", 1),
    ):
        with pytest.raises(InputError):
            setattr(Mine, name, value)
    assert Mine.interception == "never" and not hasattr(Mine, "no_such_attribute")
    assert not run(["run", "exit"], Mine, long_mode=True).violations


def test_a_design_of_the_history_does_not_change():
    with pytest.raises(InputError, match=r"test_patches.py:\d+: NeverTrap is a design of the history"):
        NeverTrap.vmx_prepare_switch_to_host = leave
    with pytest.raises(InputError, match="class Mine"):
        del NeverTrap.vmx_vcpu_put
    assert not run(["run", "exit"], NeverTrap, long_mode=True).violations


def wrapped(function):
    @wraps(function)
    def around(self, vmx):
        preempt_disable()

    return around


def by_partial():
    class Mine(NeverTrap):
        title = "Mine"
        vmx_prepare_switch_to_host = partialmethod(leave)


def by_lambda():
    class Mine(NeverTrap):
        title = "Mine"
        vmx_prepare_switch_to_host = lambda self, vmx: sldt()  # noqa: E731


def by_property():
    class Mine(NeverTrap):
        @property
        def vmx_prepare_switch_to_host(self):
            return leave


def by_a_wrapper():
    class Mine(NeverTrap):
        @wrapped
        def vmx_prepare_switch_to_host(self, vmx):
            sldt()


def by_none():
    class Mine(NeverTrap):
        title = "Mine"
        vmx_prepare_switch_to_host = None


@pytest.mark.parametrize(
    ("make", "line", "says"),
    [
        (by_partial, 3, "write 'def vmx_prepare_switch_to_host(self, vmx): ...'"),
        (by_lambda, 3, "write 'def vmx_prepare_switch_to_host(self, vmx): ...'"),
        (by_property, 2, "write 'def vmx_prepare_switch_to_host(self, vmx): ...'"),
        (by_a_wrapper, 2, "without the decorator"),
        (by_none, 3, "write 'def vmx_prepare_switch_to_host(self, vmx): ...'"),
    ],
)
def test_what_is_no_kernel_code_is_refused_with_file_and_line(make, line, says):
    with pytest.raises(InputError) as caught:
        make()
    first = make.__code__.co_firstlineno
    assert says in str(caught.value)
    lines = {
        f"{__file__}:{first + line}",
        f"{__file__}:{first + line + 1}",
    }  # a decorator, or the def below it
    assert str(caught.value).startswith(tuple(lines))


def refused_file(tmp_path, body):
    file = tmp_path / "mine.py"
    imports = "from vmxsim.designs import NeverTrap\nfrom vmxsim.kernel.language import *\n\n\n"
    file.write_text(imports + "class Mine(NeverTrap):\n" + textwrap.indent(body, "    ") + "\n")
    with pytest.raises(InputError) as caught:
        designs_in(file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "line", "says"),
    [
        ("title = 'x'\ninterception = 'allways'", 7, "did you mean 'always'?"),
        ("interception = None", 6, "expected 'always', 'outside long mode' or 'never'"),
        ("labels = {}", 6, "names 'g', 'h' and 'loaded'"),
        ("labels = {'g': 1, 'h': 'h', 'loaded': 'l'}", 6, "names 'g', 'h' and 'loaded'"),
        ("shared_msrs = 5", 6, "two whole numbers"),
        ("shared_msrs = (1, -1)", 6, "two whole numbers"),
        ("bitmap_passes_at_creation = 'no'", 6, "True or False"),
        ("title = 7", 6, "expected a text"),
        ("kvm_x86_ops = {'set_msr': 'vmx_set_msr'}", 6, "'prepare_guest_switch' is missing"),
        (
            "kvm_x86_ops = {**NeverTrap.kvm_x86_ops, 'set_msr': 'vmx_st_msr'}",
            6,
            "did you mean 'vmx_set_msr'?",
        ),
        ("intercepts = 'always'", 6, "did you mean 'interception'?"),
        ("def vmx_get_msr(self, vmx):\n    current.cpu = 1\n    return vmx.g", 7, "thread.gsbase"),
        ("def vmx_get_msr(self, vmx):\n    current.mode = 'user'\n    return vmx.g", 7, "thread.gsbase"),
        ("def vmx_get_msr(self, vmx):\n    current.bits = 32\n    return vmx.g", 7, "thread.gsbase"),
        ("def vmx_get_msr(self, vmx):\n    current.stack = 0\n    return vmx.g", 7, "thread.gsbase"),
        ("def vmx_get_msr(self, vmx):\n    vmx.id = 'vcpu1'\n    return vmx.g", 7, "keeps its id"),
        ("def link(self, vmx):\n    sldt()", 6, "take another one"),
        (
            "def vmx_get_msr(self, vmx):\n    return NeverTrap.vmx_get_msr(self, vmx)",
            7,
            "super().vmx_get_msr",
        ),
    ],
)
def test_an_attribute_or_assignment_that_means_nothing_is_refused(tmp_path, body, line, says):
    message = refused_file(tmp_path, body)
    assert message.startswith(f"{tmp_path / 'mine.py'}:{line}, ") and says in message, message


def test_kernel_code_may_save_the_base_into_its_thread():
    class Saves(NeverTrap):
        def vmx_prepare_switch_to_guest(self, vmx):
            if not vmx.loaded_cpu_state:
                current.thread.gsbase = rdmsr(MSR_KERNEL_GS_BASE)  # what current_save_fsgs() does
            super().vmx_prepare_switch_to_guest(vmx)

    assert not run(["run", "exit"], Saves, long_mode=True).violations


class Old(NeverTrap):
    def __vmx_load_host_state(self, vmx):
        sldt()


class Helps(NeverTrap):
    def my_helper(self, vmx):
        sldt()

    def vmx_get_msr(self, vmx):
        self.used(vmx)
        return super().vmx_get_msr(vmx)

    def used(self, vmx):
        sldt()


def test_the_verdict_says_that_a_function_is_never_called():
    (told,) = never_called(Old)
    assert told == (
        "your __vmx_load_host_state() is never called: this design enters and leaves through"
        " vmx_prepare_switch_to_guest() and vmx_prepare_switch_to_host()"
    )
    result = vmxsim.check(Old, host="64-bit")
    assert repr(result).splitlines()[1] == f"WARNING: {told}."
    assert f"WARNING: {told}." in result._repr_html_()


def test_only_what_nothing_reaches_is_said_to_be_never_called():
    (told,) = never_called(Helps)
    assert told.startswith("your my_helper() is never called")
    assert not any(never_called(design) for design in DESIGNS.values())
    assert not any(never_called(design) for design in HONOURED)


def test_why_looks_at_the_functions_of_a_mixin():
    class Right:
        def vmx_get_msr(self, vmx):
            self.vmx_load_host_state(vmx)
            return vmx.msr_guest_kernel_gs_base

        def vmx_load_host_state(self, vmx):
            preempt_disable()
            self.vmx_prepare_switch_to_host(vmx)
            preempt_enable()

    class Mine(Right, NeverTrap):
        pass

    found = vmxsim.why(Mine, hosts="64-bit")
    breaks = {(r.mutant.function, r.mutant.line): r.breaks for r in found.reasons}
    assert breaks["vmx_get_msr", 2] == "guest-value"
    assert ("vmx_load_host_state", 3) in breaks
