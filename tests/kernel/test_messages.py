"""In a notebook a mistake is told in one message, without a traceback."""

import pytest
from IPython.testing.globalipapp import start_ipython


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
