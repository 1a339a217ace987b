"""The explorer's controls: its operations as scenarios, the widgets to choose one, and the choice as data.

An operation with the toggles **long mode** and **guest state loaded** becomes a list of actions:
preparation first, then the operation itself, where the view starts. The guest owns the value 0xA000 from
the beginning, so places that hold it stand out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as w
from attrs import frozen

from vmxsim.designs import DESIGNS, find_design
from vmxsim.kernel.kvm import Kvm, release_of
from vmxsim.simulation.scenario import HOSTS
from vmxsim.widgets.message import Message

#: Userspace stores the guest's value with KVM_SET_MSRS before anything else.
PREPARE = ("set-msr 0xA000",)

#: The functions that load the guest's state and restore the host's, under every name they have had.
ENTER = ("vmx_save_host_state", "vmx_prepare_switch_to_guest")
LEAVE = ("__vmx_load_host_state", "vmx_load_host_state", "vmx_prepare_switch_to_host")


@frozen
class Operation:
    """One thing to look at.

    ``loaded`` are its actions while the vCPU thread runs the guest, ``unloaded`` while it is in
    user space. ``{on}`` and ``{off}`` stand for switching long mode and switching it back, ``{look}``
    for reading the guest's value at the end. The view starts at the first of the functions ``focus``.
    """

    id: str
    title: str
    loaded: tuple[str, ...]
    unloaded: tuple[str, ...]
    about: str
    focus: tuple[str, ...] = ()


OPERATIONS = {
    operation.id: operation
    for operation in (
        Operation(
            "enter",
            "Enter: load guest state",
            ("emulate rdmsr -> 0xA000",),
            ("run",),
            "Runs before every VM entry. If guest state is already loaded, it returns immediately.",
            ENTER,
        ),
        Operation(
            "leave",
            "Leave: restore the host's state",
            ("exit",),
            ("get-msr -> 0xA000",),
            "Runs when the vCPU thread returns to user space, sleeps or is preempted.",
            LEAVE,
        ),
        Operation(
            "read",
            "Read: KVM reads the guest's value",
            ("emulate rdmsr -> 0xA000",),
            ("get-msr -> 0xA000",),
            "vmx_get_msr(): for KVM's emulator while guest state is loaded, else for KVM_GET_MSRS.",
            ("vmx_get_msr",),
        ),
        Operation(
            "write",
            "Write: KVM writes the guest's value",
            ("emulate wrmsr 0xB000", "guest rdmsr -> 0xB000"),
            ("set-msr 0xB000", "get-msr -> 0xB000"),
            "vmx_set_msr(): for KVM's emulator while guest state is loaded, else for KVM_SET_MSRS.",
            ("vmx_set_msr",),
        ),
        Operation(
            "guest",
            "Guest: its own WRMSR and RDMSR",
            ("guest wrmsr 0xB000", "guest rdmsr -> 0xB000"),
            ("run", "guest wrmsr 0xB000", "guest rdmsr -> 0xB000"),
            "The MSR bitmap decides whether a guest access exits or acts on the register.",
        ),
        Operation(
            "efer",
            "Set EFER: long mode on or off",
            ("guest long-mode {on}", "guest long-mode {off}", "{look}"),
            ("set-efer long-mode {on}", "set-efer long-mode {off}", "{look}"),
            "vmx_set_efer(): the guest flips CR0.PG while its state is loaded, else KVM_SET_SREGS sets it.",
            ("vmx_set_efer", "enter_lmode", "exit_lmode"),
        ),
        Operation(
            "preempt",
            "Preempt: scheduled out, in again on CPU 1",
            ("preempt cpu1", "guest rdmsr -> 0xA000"),
            ("preempt cpu1", "get-msr -> 0xA000"),
            "An interrupt takes the vCPU thread off its CPU; it resumes elsewhere.",
        ),
        Operation(
            "smm",
            "SMI and RSM, as KVM emulates them",
            ("guest smi", "guest rsm", "{look}"),
            ("run", "guest smi", "exit", "run", "guest rsm", "guest rdmsr -> 0xA000"),
            "System-management mode leaves long mode and comes back. Without loaded state the handler"
            " makes a trip to user space in between.",
        ),
    )
}


def actions_of(operation: Operation, long_mode: bool, loaded: bool) -> tuple[list[str], int]:
    """The scenario's actions and how many of them are preparation."""
    on, off = ("off", "on") if long_mode else ("on", "off")
    look = "guest rdmsr -> 0xA000" if loaded else "get-msr -> 0xA000"
    prepare = [*PREPARE, *(["run"] if loaded else [])]
    chosen = operation.loaded if loaded else operation.unloaded
    return prepare + [action.format(on=on, off=off, look=look) for action in chosen], len(prepare)


#: Where the thread's GS base comes from, and whether the kernel uses FSGSBASE. A list cannot hold None.
GS_BASES = {"": None, "msr": "msr", "descriptor": "descriptor"}
FSGSBASE = {"": None, "on": True, "off": False}

#: Entries of the operation list that are not operations.
OWN = "own"
SHORTEST = "shortest"

NATURAL = {"description_width": "initial"}
FITS = {"width": "auto", "max_width": "calc(100% - 4px)"}


def dropdown(label: str, options: Sequence[Any], value: Any) -> w.Dropdown:
    """A list to choose from, as wide as its label and options need, within reason."""
    layout = FITS | {"max_width": "min(100% - 4px, 380px)"}
    return w.Dropdown(description=label, options=options, value=value, style=NATURAL, layout=layout)


def host_dropdowns() -> tuple[w.Dropdown, w.Dropdown]:
    """Where the thread's GS base comes from, and whether the kernel uses FSGSBASE."""
    bases = [("usual", ""), ("MSR", "msr"), ("descriptor", "descriptor")]
    uses = [("as in its release", ""), ("on", "on"), ("off", "off")]
    return dropdown("GS base from", bases, ""), dropdown("FSGSBASE", uses, "")


def main_button(label: str, tooltip: str) -> w.Button:
    """The button of a form that does what the form is for."""
    return w.Button(description=label, tooltip=tooltip, button_style="primary", layout=FITS)


@frozen
class Choice:
    """The state of the controls. ``operation`` is an operation's id, OWN or SHORTEST."""

    designs: tuple[str | type[Kvm], ...]
    operation: str
    long_mode: bool
    loaded: bool
    host: str
    gs_base_from: str | None
    fsgsbase: bool | None
    text: str

    @property
    def asked_of_host(self) -> dict[str, Any]:
        """What was chosen of the host besides its width, as options of ``run``."""
        return {"gs_base_from": self.gs_base_from, "fsgsbase": self.fsgsbase}


class Controls(w.VBox):
    """All controls in rows that wrap, with the buttons ``beside`` them at the end; calls ``changed`` after
    each change. What is rarely needed is folded away under :attr:`more`."""

    def __init__(
        self,
        designs: Sequence[str | type[Kvm]],
        changed: Callable[[], None],
        beside: Sequence[w.Widget] = (),
    ) -> None:
        labels = ("Design",) if len(designs) == 1 else ("Design A", "Design B")
        self.designs = [dropdown(label, _designs(d), d) for label, d in zip(labels, designs, strict=True)]
        for design in self.designs:
            design.layout.max_width = f"min(100% - 4px, {300 if len(designs) == 1 else 285}px)"
        operations = [(operation.title, operation.id) for operation in OPERATIONS.values()]
        if len(designs) > 1:
            operations.append(("Shortest schedule on which they differ", SHORTEST))
        operations.append(("Scenario: your own, or a file", OWN))
        self.operation = dropdown("Operation", operations, "read")
        self.long_mode = w.Checkbox(description="Long mode", indent=False, value=True, layout=FITS)
        self.loaded = w.Checkbox(description="Guest state loaded", indent=False, value=True, layout=FITS)
        self.host = dropdown("Host", list(HOSTS), HOSTS[0])
        self.gs_base_from, self.fsgsbase = host_dropdowns()
        self.preemption = dropdown("Preemption", [("off", False), ("a tick arrives", True)], False)
        self.step = w.BoundedIntText(
            description="after step", min=1, max=1, style=NATURAL, layout={"width": "130px"}
        )
        self.cpu = dropdown("on", [("CPU 0", 0), ("CPU 1", 1)], 1)
        self.text = w.Textarea(
            description="",
            rows=9,
            continuous_update=False,
            placeholder="steps:\n  - run\n  - guest wrmsr 0xA000",
            layout={"width": "calc(100% - 6px)"},
        )
        self.text.add_class("vmxsim-scenario")
        self.file = w.Text(
            description="File",
            placeholder="scenario.yaml",
            continuous_update=False,
            style=NATURAL,
            layout={"width": "360px", "max_width": "calc(100% - 4px)"},
        )
        self.open_file = w.Button(description="Open file", layout=FITS)
        self.go = w.Button(description="Run", layout=FITS)
        self.schedule = w.Button(tooltip="The scenario as text, to read and to change", layout=FITS)
        self.schedule.on_click(lambda _: self._unfold("schedule"))
        self.about = w.HTML()
        self.more = w.Button(tooltip="More about the host, and about what is shown", layout=FITS)
        self.more.on_click(lambda _: self._unfold("more"))
        #: What the reader has unfolded.
        self._unfolded: set[str] = set()
        self.message = Message()
        self.folded = _row(self.gs_base_from, self.fsgsbase, self.about)
        self.own = w.VBox([_row(self.file, self.open_file, self.go), self.text])
        super().__init__(
            [
                _row(
                    *(*self.designs, self.operation, self.long_mode, self.loaded, self.host),
                    *(self.preemption, self.step, self.cpu, self.schedule, self.more, *beside),
                ),
                self.folded,
                self.own,
                self.message,
            ]
        )
        #: True while :meth:`set` changes values, which must not start a run.
        self.quiet = False
        self._changed = changed
        host = (self.host, self.gs_base_from, self.fsgsbase)
        for control in (*self.designs, self.operation, self.long_mode, self.loaded, *host, self.text):
            control.observe(self._on_change, "value")
        self._fit()

    @property
    def choice(self) -> Choice:
        """The current choice."""
        return Choice(
            tuple(d.value for d in self.designs),
            self.operation.value,
            self.long_mode.value,
            self.loaded.value,
            self.host.value,
            GS_BASES[self.gs_base_from.value],
            FSGSBASE[self.fsgsbase.value],
            self.text.value,
        )

    def set(self, **values: Any) -> None:
        """Set controls by name without starting a run."""
        self.quiet = True
        try:
            for name, value in values.items():
                getattr(self, name).value = value
        finally:
            self.quiet = False
        self._fit()

    def choose_design(self, which: int, design: str | type[Kvm]) -> None:
        """Choose a design, even an unlisted one, without starting a run."""
        dropdown = self.designs[which]
        self.quiet = True
        try:
            if design not in [value for _, value in dropdown.options]:
                dropdown.options = _designs(design)
            dropdown.value = design
        finally:
            self.quiet = False

    def _unfold(self, part: str) -> None:
        self._unfolded ^= {part}
        self._fit()

    def _on_change(self, change: Any) -> None:
        if not self.quiet:
            if change["owner"] is self.operation and change["new"] == OWN:
                self._unfolded.add("schedule")  # a reader who chooses it wants to write
            self._fit()
            self._changed()

    def _fit(self) -> None:
        """Show only the controls that the chosen operation needs."""
        chosen = self.operation.value
        for control, needed in (
            (self.long_mode, chosen in OPERATIONS),
            (self.loaded, chosen in OPERATIONS),
            (self.host, chosen != OWN),
            (self.gs_base_from, chosen != OWN),
            (self.fsgsbase, chosen != OWN),
            (self.schedule, chosen == OWN),
            (self.own, chosen == OWN and "schedule" in self._unfolded),
            (self.folded, "more" in self._unfolded),
            (self.step, self.preemption.value),
            (self.cpu, self.preemption.value),
        ):
            control.layout.display = None if needed else "none"
        for button, name in ((self.schedule, "Schedule"), (self.more, "More")):
            button.description = f"▾ {name}: fold away" if name.lower() in self._unfolded else f"▸ {name}"
        about = {
            OWN: "The scenario sets the host and the guest's initial mode; choose the design above.",
            SHORTEST: "Found by the model checker: guest or host can read different values here.",
        }
        titles = [find_design(d.value).title for d in self.designs]
        text = f"{' against '.join(titles)}. {about.get(chosen) or OPERATIONS[chosen].about}"
        self.about.value = (
            f'<div style="line-height:1.4;color:var(--jp-ui-font-color2,inherit)">{escape(text)}</div>'
        )


def _row(*children: w.Widget) -> w.Box:
    return w.Box(
        children,
        layout={
            "overflow": "visible",
            "display": "flex",
            "flex_flow": "row wrap",
            "align_items": "center",
            "grid_gap": "2px 12px",
        },
    )


def _designs(chosen: str | type[Kvm]) -> list[tuple[str, str | type[Kvm]]]:
    """All designs, oldest first, and the user's own class if it is the one explored."""
    listed: list[tuple[str, str | type[Kvm]]] = [(f"{i} · {release_of(d)}", i) for i, d in DESIGNS.items()]
    if isinstance(chosen, type):
        listed.append((f"{chosen.__name__} (yours)", chosen))
    return listed
