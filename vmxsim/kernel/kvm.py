"""KVM as far as it is the same in every design."""

from __future__ import annotations

from typing import Any, ClassVar

from vmxsim.kernel.control_registers import ControlRegisters
from vmxsim.kernel.msr import MsrAccess
from vmxsim.kernel.run_loop import RunLoop
from vmxsim.kernel.scheduler import Scheduler
from vmxsim.kernel.smm import SystemManagement
from vmxsim.kernel.vcpu_ioctls import VcpuIoctls
from vmxsim.model.vcpu import Vcpu


class Kvm(VcpuIoctls, RunLoop, MsrAccess, ControlRegisters, SystemManagement, Scheduler):
    """Base of all designs. A design adds *enter*, *leave*, the MSR accessors and what it
    does when EFER changes, and says so in these attributes:

    ``id``, ``title``, ``commit`` and ``release`` (None where not known), ``story``,
    ``changed`` and ``defect`` (None where none is known), ``interception``: when the
    guest's access exits (``always``, ``outside long mode``, ``never``), ``labels``: what
    this version calls g, h and L.
    """

    id: ClassVar[str] = ""
    title: ClassVar[str] = ""
    commit: ClassVar[str | None] = None
    release: ClassVar[str | None] = None
    story: ClassVar[str] = ""
    changed: ClassVar[str | None] = None
    defect: ClassVar[str | None] = None
    interception: ClassVar[str] = "outside long mode"
    #: The MSR bitmap of a new vCPU passes the register through, whatever its mode.
    bitmap_passes_at_creation: ClassVar[bool] = False
    #: Shared MSRs that *enter* sets, out of long mode and in it.
    shared_msrs: ClassVar[tuple[int, int]] = (0, 0)
    labels: ClassVar[dict[str, str]] = {
        "g": "msr_guest_kernel_gs_base",
        "h": "msr_host_kernel_gs_base",
        "loaded": "host_state.loaded",
    }
    kvm_x86_ops = {
        "prepare_guest_switch": "vmx_save_host_state",
        "vcpu_load": "vmx_vcpu_load",
        "vcpu_put": "vmx_vcpu_put",
        "get_msr": "vmx_get_msr",
        "set_msr": "vmx_set_msr",
        "set_efer": "vmx_set_efer",
        "set_cr0": "vmx_set_cr0",
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # what a design says of itself is not inherited: a reader's patch is not its parent's release
        own = {"id": "", "title": cls.__name__, "commit": None, "release": None, "story": ""}
        for name, value in {**own, "changed": None, "defect": None}.items():
            if name not in vars(cls):
                setattr(cls, name, value)
        super().__init_subclass__(**kwargs)

    @classmethod
    def _name(cls) -> str:
        """What to call this design: its id, or the class's name of a reader's own."""
        return cls.id or cls.__name__

    @staticmethod
    def _in_register(vcpu: Vcpu) -> bool:
        """Whether this design takes the register for the guest's now: where it would look
        for the value, and what the next leave would save."""
        return vcpu.loaded and vcpu.long_mode

    def vmx_vcpu_load(self, vmx):
        """The VMCS becomes current on this CPU; guest state is not loaded."""
