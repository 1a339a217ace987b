"""In a notebook a mistake is told in one message, without a traceback."""

import pytest
from IPython.testing.globalipapp import start_ipython

import vmxsim


@pytest.fixture(scope="module")
def shell():
    return start_ipython()


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("import vmxsim; vmxsim.run(['run'], 'never-tarp')", "did you mean 'never-trap'?"),
        ("import vmxsim; vmxsim.explore('never-trap', 'reed')", "did you mean 'read'?"),
        (
            "from vmxsim.designs import NeverTrap\nclass Mine(NeverTrap):\n"
            "    def vmx_get_msr(self, vmx):\n        return rdmssr(MSR_KERNEL_GS_BASE)",
            "did you mean 'rdmsr'?",
        ),
    ],
)
def test_a_mistake_in_a_cell_is_one_message(shell, capsys, cell, says):
    shell.run_cell(cell)
    told = "".join(capsys.readouterr())
    assert says in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 1


def test_a_design_typed_into_a_cell_runs(shell):
    shell.run_cell(
        "import vmxsim\nfrom vmxsim.designs import NeverTrap\nclass Mine(NeverTrap):\n"
        "    def vmx_get_msr(self, vmx):\n        return vmx.msr_guest_kernel_gs_base\n"
        "broken = vmxsim.run(['run', 'guest wrmsr 0xA000', 'emulate rdmsr'], Mine).violations"
    ).raise_error()
    assert [v.invariant for v in shell.user_ns["broken"]] == ["guest-value"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cost", "designs: expected designs, by name or as classes"),
        ("from_source", "tree: expected a kernel tree, a C file or an archive"),
        ("picture", "picture: expected a run or a recording"),
        ("predict", "trace: expected a trace, as vmxsim.run returns"),
        ("review", "patch: expected a file, a patch's text or a commit"),
        ("slides", "notebook: expected a notebook's file, or the beginning of its name"),
    ],
)
def test_what_is_of_no_use_to_a_function_is_named(name, says):
    with pytest.raises(vmxsim.InputError, match=f"^{says}, not 42$"):
        getattr(vmxsim, name)(42)
