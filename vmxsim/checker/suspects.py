"""Whom to suspect when a run breaks an invariant: steps, each with changes that should mend the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile

from attrs import evolve, frozen

from vmxsim.checker.rerun import Remedy, turnable, undoable
from vmxsim.checker.sides import MISSING, SKIPS, Side
from vmxsim.kernel.invariants import describe, is_host
from vmxsim.kernel.machine import EFER_LMA, Value, owner_words
from vmxsim.kernel.points import uses
from vmxsim.kernel.program import Expr, Field, Function, Primitive
from vmxsim.simulation.trace import Step


@frozen
class Blame:
    """A step that may be to blame, in words, and the changes of which one must mend the run."""

    step: int
    kind: str
    mechanism: str
    why: str
    #: Under which circumstances, to follow the symptom.
    when: str
    remedies: Sequence[Remedy]


#: Under which circumstances, by what :func:`lma_change` says.
_WHEN = {1: "after EFER.LMA 0->1 while state is loaded", -1: "after EFER.LMA 1->0 while state is loaded"}


def lma_change(step: Step) -> int:
    """1 where the step sets EFER.LMA, -1 where it clears it, else 0."""
    for change in step.changes:
        if change.place.endswith(".efer"):
            return bool(change.after & EFER_LMA) - bool(change.before & EFER_LMA)
    return 0


def _writes(step: Step, place: str) -> bool:
    """Whether a step writes a place, even with what it holds."""
    return any(move.target == place for move in step.moves) or any(c.place == place for c in step.changes)


def switches_task(step: Step) -> bool:
    """Whether another task runs on the CPU after this step."""
    return any(change.place.endswith(".current") for change in step.changes)


def _loads_gs(step: Step) -> bool:
    """Whether load_gs_index() leaves the descriptor's base in the register."""
    return any(access.kind == "load_gs_index" for access in step.accesses)


def _inside(step: Step, call: Step) -> bool:
    """Whether a step runs in the function of ``call`` or below it."""
    outer = [frame.function for frame in call.stack]
    return [frame.function for frame in step.stack][: len(outer)] == outer


def _by_scheduler(step: Step) -> bool:
    """Whether the scheduler runs this step."""
    return any(frame.function == "preempt_schedule_irq" for frame in step.stack)


def _read(e: Expr | None) -> str:
    """The place that an expression reads a value from, '' if none."""
    if isinstance(e, Field) and e.name in ("g", "h"):
        return e.name
    return "register" if isinstance(e, Primitive) and uses(e, "rdmsr") else ""


def _moves_value(e: Expr | None, target: object) -> bool:
    """Whether an instruction reads or writes the register, or stores a value."""
    if uses(e, "rdmsr") or uses(e, "wrmsr"):
        return True
    return isinstance(target, Field) and target.name in ("g", "h")


def _leaves(function: Function, line: int) -> bool:
    """Whether a line returns from its function."""
    return "return" in function.source[line - 1] or any(
        i.line == line and i.kind == "return" for i in function.instructions
    )


def _place_words(name: str) -> str:
    return {"g": "only the saved copy", "h": "the saved host value", "register": "the register"}[name]


def _last(place: str) -> str:
    return place.rpartition(".")[2]


def _worth(value: object) -> str:
    return describe(value) if isinstance(value, Value) else str(value)


def suspects(side: Side) -> list[Blame]:
    """The steps that may be to blame, the best explanation first."""
    return list(_Suspects(side).all())


class _Suspects:
    def __init__(self, side: Side) -> None:
        self.side, self.trace = side, side.trace
        self.steps, self.records = side.trace.steps, side.trace.simulator.records

    def all(self) -> Iterator[Blame]:
        """Whatever may be to blame, by what happens to the place that is used."""
        side = self.side
        turned = side.turned_wrong()
        if turned == side.end:
            yield from self._wrong_read()
        elif side.born and not side.is_right(side.found(side.born)):
            yield from self._lost_write()
        if side.born <= turned < side.end:
            yield from self._went_wrong(turned)
        yield from self._anything()

    def _went_wrong(self, index: int) -> Iterator[Blame]:
        step = self.steps[index]
        lma = lma_change(step)
        counts = self.side.counts(index + 1)
        if lma:
            yield self._mode_change(index, lma > 0)
        elif switches_task(step):
            yield from self._switched_out(index)
        elif step.mode == "guest":
            yield from self._not_entered(index)
        elif _writes(step, self.side.place(index + 1, counts)):
            yield from self._overwritten(index, counts)
        else:
            yield from self._not_followed(index, counts)

    def _mode_change(self, index: int, on: bool) -> Blame:
        held = self.side.held(index, "register")
        remedies = [Remedy("undo", index), self.side.put(index, self.side.counts(index + 1))]
        if not on:
            mechanism, why = self.side.mode_left(held)
            return Blame(index, "missing step", mechanism, why, _WHEN[-1], remedies)
        nothing = "EFER.LMA is set while guest state is loaded, and nothing is loaded with it: from here on"
        when = _WHEN[1]
        if self._written_outside_long_mode():
            return Blame(
                index,
                "missing step",
                "a value written outside long mode is lost",
                f"{nothing} the register is used. It still holds {describe(held)}; the value written outside"
                " long mode went only to the saved copy.",
                when,
                remedies,
            )
        if self._left_in_smm(index):
            return Blame(
                index,
                "missing step",
                "RSM sets LMA after state was left in SMM",
                f"{nothing} the register is used. SMI cleared LMA, so guest state was unloaded and loaded"
                f" again without the register before RSM set LMA: it holds {describe(held)}.",
                "after RSM sets EFER.LMA while state is loaded",
                remedies,
            )
        return Blame(
            index,
            "missing step",
            "nothing is loaded when LMA is set",
            f"{nothing} the register is used, and it holds {describe(held)}.",
            when,
            remedies,
        )

    def _written_outside_long_mode(self) -> bool:
        """Whether the true value was written while EFER.LMA was clear."""
        born = self.side.born
        return bool(born) and not self.trace.machine(born).vcpus[self.side.n].long_mode

    def _left_in_smm(self, index: int) -> bool:
        """Whether this step belongs to an RSM, and guest state was unloaded since the SMI."""
        verbs = [action.verb for action in self.trace.scenario.actions[: self.steps[index].action + 1]]
        if verbs[-1] != "guest rsm":
            return False
        smi = max(n for n, verb in enumerate(verbs) if verb == "guest smi")
        return any(not self.side.loaded(n) for n in range(index) if self.steps[n].action >= smi)

    def _not_entered(self, index: int) -> Iterator[Blame]:
        """The guest itself overwrites the host's value: it should have been saved before VM entry."""
        entry = next((n for n in range(index - 1, -1, -1) if "vm_entry" in self.steps[n].calls), index)
        held = self.side.held(index + 1, "register")
        yield from self._turned(self._action_of(entry), "host not saved", held)
        loaded = self.side.loaded(entry)
        yield Blame(
            entry,
            "missing step",
            MISSING["host not saved"][0] if loaded else "the guest runs though its state is not loaded",
            f"{self.side.named('loaded')} is {int(loaded)} here, and later the guest overwrites the host's"
            f" value in the register with {describe(held)}.",
            f"because {'the host is not saved' if loaded else 'guest state is not loaded'} before VM entry",
            [Remedy("enter", entry)],
        )

    def _switched_out(self, index: int) -> Iterator[Blame]:
        """Another task gets the CPU, and with it the register, before guest state was unloaded."""
        step = self.steps[index]
        when = "after its thread was scheduled out with state loaded"
        held = self.side.held(index + 1, "register")
        yield from self._turned(self._scheduling(index), "not unloaded", held)
        loaded = self.side.loaded(index)
        yield Blame(
            index,
            "missing step",
            "guest state is not unloaded when the thread is scheduled out",
            f"{owner_words(step.thread)} is scheduled out, and {self.side.named('loaded')} is"
            f" {'still 1' if loaded else '0'}, but the register holds {describe(held)} now.",
            when,
            [Remedy("leave", index)],
        )

    def _scheduling(self, index: int) -> range:
        """The steps of the scheduler before this one."""
        first = index
        while first and _by_scheduler(self.steps[first - 1]):
            first -= 1
        return range(first, index)

    def _overwritten(self, index: int, name: str) -> Iterator[Blame]:
        """A step writes a wrong value to the place that is used."""
        step = self.steps[index]
        after = self.side.held(index + 1, name)
        whose, place = owner_words(after.owner), self.side.named(name)
        spoiled = self._spoiled(index)
        undo = [Remedy("undo", index), self.side.put(index, name)]
        if self._overtaken(index):
            theirs = is_host(after) or name == "h"
            yield self._blame_preempted(index, "taken for another's" if theirs else "lost value", undo)
        elif spoiled is not None and self.steps[spoiled].function == step.function:
            yield self._blame_spoiler(spoiled, index)
        elif spoiled is not None:
            yield from self._overwritten(spoiled, "register")
        elif name == "register":
            yield from self._flag((self._written(index, name) or [index])[-1])
            yield from self._wrong_source(index)
            yield from self._not_saved(index)
            yield self._wrong_load(index, after, undo)
        elif name == "h":
            yield Blame(
                index,
                "taken for another's" if not is_host(after) else "wrong restore",
                f"{whose}'s value is saved as the host's",
                f"{place} is overwritten with {describe(after)}.",
                f"after {step.function}() saved a wrong value for it",
                undo,
            )
        else:
            first = next((self.steps[n] for n in self._action_of(index) if lma_change(self.steps[n])), None)
            if first is not None and self.side.loaded(first.index) and step.accesses:
                yield Blame(
                    index,
                    "taken for another's",
                    "LMA is changed before state is left",
                    f"EFER.LMA changed earlier (step {first.index + 1}, {first.function}, {first.at.name}),"
                    f" while guest state was loaded; here {describe(after)} is saved from the register as the"
                    " guest's.",
                    _WHEN[lma_change(first)],
                    undo,
                )
                return
            theirs = after.owner != f"vcpu{self.side.n}"
            from_register = f", which the register of CPU {step.cpu} held" if step.accesses else ""
            yield Blame(
                index,
                "taken for another's" if theirs else "lost value",
                f"{whose}'s value is saved as the guest's" if theirs else "a stale value is saved",
                f"the saved copy is overwritten with {describe(after)}{from_register}.",
                f"after {step.function}() saved {self.side.whose(after)} as the guest's",
                undo,
            )

    def _blame_preempted(self, index: int, kind: str, remedies: list[Remedy]) -> Blame:
        """A step of a call that was preempted, which changes one of the places."""
        step = self.steps[index]
        names = {"kernel_gs_base": "register", "g": "g", "h": "h"}
        change = next(c for c in step.changes if _last(c.place) in names)
        place = self.side.named(names[_last(change.place)])
        return Blame(
            index,
            kind,
            "preempted between the test and the access",
            f"{owner_words(step.thread)} was preempted during this action, which unloaded guest state;"
            f" this line continues as if it were still loaded, and {place} becomes"
            f" {describe(change.after)}.",
            f"if preempted in {step.function}() between test and access",
            remedies,
        )

    def _not_saved(self, index: int) -> Iterator[Blame]:
        """The register is switched, and what it held is saved nowhere."""
        step = self.steps[index]
        saved, now = self.side.saved, self.side.held(index, "register")
        mechanism, _, does_not, _ = MISSING[self.side.missing(saved)]
        yield Blame(
            index,
            "missing step",
            mechanism,
            f"the register is overwritten, and {describe(now)} was not saved in {self.side.named(saved)}"
            " before.",
            f"because {step.function}() {does_not}",
            [self.side.put(index - 1, saved)] if self.side.is_right(now) else [],
        )

    def _wrong_source(self, index: int) -> Iterator[Blame]:
        """The register is loaded from a saved copy: the step that stored a wrong value there."""
        saved = self.side.saved
        place = self.side.place(index, saved)
        if any(move.source == place for move in self.steps[index].moves):
            stores = [n for n in range(self.side.born, index) if _writes(self.steps[n], place)]
            if stores:
                yield from self._overwritten(stores[-1], saved)

    def _flag(self, index: int) -> Iterator[Blame]:
        """The register was switched, but the flag that says whose it is was not."""
        step, flag = self.steps[index], self.side.named("loaded")
        loaded = self.side.loaded(index + 1)
        if loaded == self.side.held(index + 1, "register").owner.startswith("vcpu"):
            return
        done, what, whose = (
            ("cleared", "restored", "the host's") if loaded else ("set", "loaded", "the guest's")
        )
        yield Blame(
            index,
            "missing step",
            f"the flag is not {done}",
            f"{whose} value is {what}, and {flag} stays {int(loaded)}: from here on code that tests it looks"
            " in the wrong place.",
            f"because {step.function}() leaves {flag} {int(loaded)}",
            [Remedy("put", index, f"vcpu{self.side.n}.loaded", not loaded)],
        )

    def _wrong_load(self, index: int, after: Value, remedies: list[Remedy]) -> Blame:
        """A step writes a wrong value to the register."""
        step = self.steps[index]
        return Blame(
            index,
            "wrong restore",
            f"{owner_words(after.owner)}'s value is written to the register",
            f"the register of CPU {step.cpu} is overwritten with {describe(after)}.",
            f"after {step.function}() wrote {self.side.whose(after)} to the register",
            remedies,
        )

    def _spoiled(self, index: int) -> int | None:
        """If a step saves the register: the step that overwrote the right value in it, either in the same
        call just before, or while the register counted."""
        step = self.steps[index]
        if not any(move.kind == "rdmsr" and move.target for move in step.moves):
            return None
        for before in range(index - 1, self.side.born - 1, -1):
            if self.side.is_right(self.side.held(before, "register")):
                earlier = self.steps[before]
                same = (earlier.action, earlier.function) == (step.action, step.function)
                counted = self.side.counts(before) == "register"
                return before if earlier.line and earlier.accesses and (same or counted) else None
        return None

    def _blame_spoiler(self, spoiled: int, saved: int) -> Blame:
        step = self.steps[spoiled]
        loads = _loads_gs(step)
        held = self.side.held(spoiled + 1, "register")
        return Blame(
            spoiled,
            "lost value",
            "load_gs_index() overwrites the register" if loads else "the register is overwritten too early",
            "it leaves the descriptor's base in the register before its value is saved."
            if loads
            else f"it leaves {describe(held)} in the register before the value there is saved.",
            f"because {'load_gs_index' if loads else step.function}() overwrites the register before it is"
            " saved",
            [self.side.put(saved - 1, "register")],
        )

    def _not_followed(self, index: int, counts: str) -> Iterator[Blame]:
        """From this step on another place is used, and the value does not get there."""
        step = self.steps[index]
        call, written = self._call(index), self._written(index, counts)
        for n in reversed(written):
            if not _loads_gs(self.steps[n]):
                yield from self._overwritten(n, counts)
        what = self.side.missing(counts)
        held = self.side.held(index + 1, counts)
        entry = "vm_entry" in step.calls
        switched = entry or self.side.mode(index + 1) == "user"
        before = self._action_of(index) if switched else range(0)
        yield from self._turned([*call, *before], what, held)
        mechanism, missing, does_not, does = MISSING[what]
        when = f"{step.function}() {does_not}"
        if switched:
            when = f"nothing before {'VM entry' if entry else 'the return to user space'} {does}"
        yield Blame(
            index,
            "missing step",
            mechanism,
            f"from here on {self.side.named(counts)} is used, and {missing}: it holds {describe(held)}.",
            f"because {when}",
            [
                *(self.side.put(n, counts) for n in (index, index - 1, *written)),
                Remedy("enter" if entry else "leave", index),
            ],
        )

    def _call(self, index: int) -> list[int]:
        """The steps after this one, up to the violation, in the same call of its function."""
        return self._in_call(index, self.steps[index + 1 : self.side.end])

    def _in_call(self, index: int, steps: Iterable[Step]) -> list[int]:
        """Those of the thread's ``steps``, on one side of this one, that are in the same call."""
        call = self.steps[index]
        own = (step for step in steps if step.thread == call.thread)
        return [step.index for step in takewhile(lambda step: _inside(step, call), own)]

    def _written(self, index: int, name: str) -> list[int]:
        """The steps after this one, in the same call, that write a place."""
        place = self.side.place(index + 1, name)
        return [n for n in self._call(index) if _writes(self.steps[n], place)]

    def _turned(self, steps: Iterable[int], what: str, held: Value) -> Iterator[Blame]:
        """A condition that went the wrong way. ``held`` is what is found because of it."""
        for n in steps:
            skipped = self._skipped(n) if turnable(self.records[n]) else ""
            if not skipped or (what == "not read" and "rdmsr" not in skipped):
                continue
            kind, mechanism, consequence, when = SKIPS[what]
            names = {"g": self.side.named("g"), "h": self.side.named("h"), "held": describe(held)}
            function = f"{self.steps[n].function}()"
            yield Blame(
                n,
                kind,
                mechanism,
                f"this test skips {skipped}: {consequence.format(**names)}.",
                when.format(f"a test in {function}"),
                [Remedy("turn", n)],
            )

    def _skipped(self, index: int) -> str:
        """The access or store on the branch that a condition did not take: ``line 5 (wrmsr(...))``."""
        record = self.records[index]
        function, at = record.stack[0], record.stack[1]
        i = function.instructions[at]
        following = self.steps[index].next
        lines = [
            (one.line, function.text(one.line))
            for number, one in enumerate(function.instructions)
            if number > at and (one.kind == "call" or _moves_value(one.expr, one.target))
        ]
        if following is not None and following.function == function.name:
            lines = [
                (line, source)
                for line, source in lines
                if line > i.line and (line < following.line or _leaves(function, following.line))
            ]
        return f"{function.at(lines[0][0]).name} ({lines[0][1]})" if lines else ""

    def _lost_write(self) -> Iterator[Blame]:
        """What was written has never been in the place that is used."""
        born = self.side.born - 1  # the step that made it the true value
        steps, before = self.steps, self._action_of(born)
        counts, loaded = self.side.counts(self.side.born), self.side.loaded(self.side.born)
        held = self.side.held(self.side.born, counts)
        writing = [n for n in before if not _by_scheduler(steps[n])]
        yield from self._turned(writing, "not written", held)
        stores = [n for n in writing if self._stores(n)]
        setter = self.trace.design.kvm_x86_ops["set_msr"]
        own = [n for n in writing if any(frame.function == setter for frame in steps[n].stack)]
        at = (stores or own or [born])[-1]
        if stores and self._overtaken(at):
            yield self._blame_preempted(
                at, "lost write", [self.side.put(at, counts), self.side.put(born, counts)]
            )
        for blame in self._written_over(before.start):
            yield self._cut_in_two(blame, stores) if stores else blame
        other, place = self.side.named("g" if counts == "register" else "register"), self.side.named(counts)
        mechanism = f"a write does not reach {'the register' if counts == 'register' else 'the saved copy'}"
        wrote = f"only {other} is written" if stores else f"the value goes neither to {other} nor to {place}"
        when = f"because {steps[at].function}() does not write {place}{' while state is loaded' * loaded}"
        if any(self.side.held(n + 1, counts).number == self.side.true.number for n in stores):
            mechanism, wrote = "a write is overwritten", f"{place} is written and then overwritten"
            when = f"after {steps[at].function}() wrote {place}"
        state = "guest state is loaded" if loaded else "guest state is not loaded"
        yield Blame(
            at,
            "lost write",
            mechanism,
            f"{wrote}, but {state}, so {place} is used: it holds {describe(held)}.",
            when,
            [self.side.put(at, counts), self.side.put(born, counts)],
        )

    def _cut_in_two(self, blame: Blame, stores: list[int]) -> Blame:
        """If the scheduler's code overwrote the value: the write was preempted before it was done."""
        if not _by_scheduler(self.steps[blame.step]):
            return blame
        function = f"{self.steps[stores[-1]].function}()"
        return evolve(
            blame,
            kind="lost write",
            mechanism="preempted in the middle of a write",
            why=f"{function} stored {describe(self.side.true)} at step {stores[-1] + 1} and was preempted"
            f" before its next line; {blame.why}",
            when=f"if preempted in {function} in the middle of a write",
        )

    def _action_of(self, index: int) -> range:
        """The steps of the same action before this one."""
        first = index
        while first and self.steps[first - 1].action == self.steps[index].action:
            first -= 1
        return range(first, index)

    def _stores(self, index: int) -> bool:
        """Whether a step stores the value in a place that can hold it."""
        step = self.steps[index]
        return bool(step.line) and any(
            _writes(step, self.side.place(index + 1, name))
            and self.side.held(index + 1, name).number == self.side.true.number
            for name in ("register", "g")
        )

    def _written_over(self, first: int) -> Iterator[Blame]:
        """The value got to a place, and a later step overwrote it there."""
        for index in range(self.side.end - 1, first, -1):
            if not self.steps[index].line:
                continue
            for name in ("g", "register", "h"):
                now, then = (self.side.held(at, name) for at in (index, index + 1))
                if name == "register" and self.side.counts(index) != name:
                    continue
                if self.side.is_right(now) and not self.side.is_right(then) and undoable(self.records[index]):
                    yield from self._overwritten(index, name)

    def _wrong_read(self) -> Iterator[Blame]:
        """The value is in its place, but something else is read."""
        violating = self.steps[self.side.violation.step]
        change = next((c for c in violating.changes if c.place.endswith(".returned")), None)
        if change is None or not isinstance(change.after, Value):
            return
        got: Value = change.after
        for index in reversed(self._action_of(violating.index)):
            step, record = self.steps[index], self.records[index]
            if step.thread != violating.thread or record.instruction is None:
                continue
            name = _read(record.instruction.expr)
            if not name or self.side.held(index, name).number != got.number:
                continue
            own = got.owner == f"vcpu{self.side.n}" and name == "g"
            counts = self.side.counts(index)
            yield from self._turned(self._same_call(index), "not read", got)
            loaded = "guest state is loaded" if self.side.loaded(index) else "guest state is not loaded"
            yield Blame(
                index,
                "stale read" if own or name != "h" else "taken for another's",
                "a stale copy is read"
                if own
                else f"{owner_words(got.owner)}'s value is returned as the guest's",
                f"it reads {self.side.named(name)}, which holds {describe(got)}; {loaded}, so the guest's"
                f" value is in {self.side.named(counts)}.",
                f"because {step.function}() reads {_place_words(name)}"
                + (" while state is loaded" if counts == "register" else ""),
                [Remedy("read", index, self.side.place(index, name), self.side.true)],
            )
            return

    def _same_call(self, index: int) -> list[int]:
        """The steps before this one in the same call of its function."""
        return self._in_call(index, reversed(self.steps[:index]))

    def _anything(self) -> Iterator[Blame]:
        """Any step of the design's code, the last one first."""
        start = self._action_of(max(self.side.born - 1, 0)).start if self.side.born else 0
        for index in range(self.side.end - 1, start - 1, -1):
            step, record = self.steps[index], self.records[index]
            if not step.line or record.stack[0].owner == "Kvm":
                continue
            if undoable(record):
                told = "; ".join(f"{_last(c.place)} becomes {_worth(c.after)}" for c in step.changes)
                mechanism, when = "a step too many", f"after {step.function}()"
                if lma := lma_change(step):
                    mechanism, when = "LMA is changed before state is left", _WHEN[lma]
                    told = f"EFER.LMA is {'set' if lma > 0 else 'cleared'} here"
                why = f"{told}; without that, the schedule is right."
                yield Blame(index, "lost value", mechanism, why, when, [Remedy("undo", index)])
            elif turnable(record):
                yield Blame(
                    index, "lost value", "a test goes the wrong way",
                    "had it gone the other way, the schedule would be right.",
                    f"because of a test in {step.function}()", [Remedy("turn", index)],
                )  # fmt: skip

    def _overtaken(self, index: int) -> bool:
        """Whether the call that runs this step was preempted earlier in this action, which unloaded guest
        state, and state is not loaded yet."""
        step = self.steps[index]
        if _by_scheduler(step) or self.side.loaded(index):
            return False
        switches = [n for n in self._same_call(index) if switches_task(self.steps[n])]
        return any(
            self.side.loaded(self._scheduling(n).start) and not self.side.loaded(n + 1)
            for n in switches
            if self.steps[n].action == step.action
        )
