"""What a design is called in a text for somebody else: its commit, the commit's title, its base."""

from __future__ import annotations

import re

from vmxsim.designs import DESIGNS
from vmxsim.errors import printable
from vmxsim.exports.subject import Subject
from vmxsim.kernel.kvm import Kvm

#: What every text says of the model.
MODEL = (
    "vmxsim is a model checker. What it explores is a model of the kernel code, retold in Python, one"
    " statement a step; a line number counts from the function's 'def' in the model, not in the kernel's"
    " source."
)


def shipped(design: type[Kvm]) -> bool:
    """Whether the design is one of the history, not the reader's own."""
    return DESIGNS.get(design.id) is design


def base_of(design: type[Kvm]) -> type[Kvm]:
    """The design of the history that a reader's own stands on; Kvm where it stands on none."""
    return next((base for base in design.__mro__[1:] if base in DESIGNS.values()), Kvm)


def base_words(design: type[Kvm]) -> str:
    """``on top of 678e315e78a7``, for a reader's own design; '' for one of the history."""
    if shipped(design):
        return ""
    base = base_of(design)
    return f"on top of {base.commit or base._name()}" if base is not Kvm else ""


def design_words(design: type[Kvm]) -> str:
    """``dedicated-accessors (commit 678e315e78a7, Linux 4.19-rc1)``; ``PatchV2 (on top of ...)``."""
    known = []
    base = base_of(design)
    if not shipped(design) and base is not Kvm:
        known.append(f"on top of {base.id}")
        design_of = base
    else:
        design_of = design
    if design_of.commit:
        known.append(f"commit {design_of.commit}")
    if design_of.release:
        known.append(f"Linux {design_of.release}")
    return design._name() + (f" ({', '.join(known)})" if known else "")


def subject_name(about: Subject) -> str:
    """The design in the subject of a mail: its name and its commit, or what it stands on."""
    if about.design is None:
        return printable(about.title, 60)
    name, base = about.design._name(), base_words(about.design)
    if base:
        return f"{name} {base}"
    return f"{name} ({about.design.commit})" if about.design.commit else name


def introduction(about: Subject) -> str:
    """Which code it is about, with the commit and its title; '' for a recording."""
    design = about.design
    if design is None:
        return ""
    if shipped(design):
        return f"This is about {_origin(design)}; it is called {design.id} below."
    base = base_of(design)
    if base is Kvm:
        return f"This is about {design._name()}, a design of its own, which is shown below."
    return (
        f"This is about {design._name()}, a change on top of {_origin(base)}. The change is shown below;"
        f" what it stands on is called {base.id}."
    )


def _origin(design: type[Kvm]) -> str:
    quoted = re.search(r'"([^"]+)"', design.__doc__ or "")
    if quoted:
        title = f'"{" ".join(quoted[1].split())}"'
        said = f"commit {design.commit}, {title}" if design.commit else title
    else:  # its title is vmxsim's, not the commit's
        said = f"commit {design.commit} (in short: {design.title})" if design.commit else design.title
    return f"{said}, Linux {design.release}" if design.release else said
