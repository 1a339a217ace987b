"""The process of a thread: which choice, then the section that it starts, line by line."""

from __future__ import annotations

from vmxsim.checker.promela.asking import asks
from vmxsim.checker.promela.choices import Possible
from vmxsim.checker.promela.lines import Lines
from vmxsim.checker.promela.routines import Routine

#: Lines after which a section is taken to loop for ever.
MAX_LINES = 5000
_PENDING = "if\n:: pending -> T.need_resched = 1; pending = 0\n:: else -> skip\nfi"

#: A section: how the choice starts it, then lines and ends of functions until it is over.
_PROCESS = """\
active [{vcpus}] proctype vcpu_thread() {{
end: do
  :: atomic {{
    if
{options}
    fi;
    d_step {{
      {counts}running = 1;
      if
{starts}
      :: else -> skip
      fi;
      do
      :: !running -> break
      :: else ->
         lines++;
         fails_if(lines > {most});
         if
         :: T.scheduler_pc ->
{scheduler_lines}
         :: else ->
{lines}
         fi;
         do /* returning is no line of its own */
         :: T.pc >= ENDS ->
{ends}
         :: T.scheduler_pc >= ENDS ->
{scheduler_ends}
         :: !at_end() -> break
         od;
         after_line()
      od;
      end_of_section()
    }}
  }}
  od
}}
"""


def process(
    lines: Lines, routines: list[Routine], ends: int, choices: list[Possible], vcpus: int, counts: bool
) -> str:
    """The process. Positions from ``ends`` on are ends of functions; ``counts``: what breaks
    does not always count."""
    options, starts = [], {}
    for choice in choices:
        setup = "; ".join([*choice.setup, f"choice = {choice.name}"])
        options.append(f"    /* {choice.words} */\n    :: d_step {{ {choice.guard} -> {setup} }}")
        starts[choice.name] = choice.start
    begin = [f"      :: choice == {name} -> " + joined(start, 9) for name, start in starts.items() if start]
    base = [r for r in routines if not r.scheduler]
    scheduler = [r for r in routines if r.scheduler]
    return _PROCESS.format(
        vcpus=vcpus,
        options="\n".join(options),
        counts="counts = T.guest_wrote;\n      " if counts else "",
        starts="\n".join(begin),
        most=MAX_LINES,
        lines=_dispatch(lines, base, ends, False),
        scheduler_lines=_dispatch(lines, scheduler, ends, False),
        ends=_dispatch(lines, base, ends, True),
        scheduler_ends=_dispatch(lines, scheduler, ends, True),
    )


def _dispatch(lines: Lines, routines: list[Routine], ends: int, of_ends: bool) -> str:
    """What happens at each line, or at each end of a function, grouped by function."""
    out = ["            if"]
    for routine in routines:
        f, pc = routine.function, routine.pc
        own = [(p, n) for n, p in enumerate(routine.positions) if (p >= ends) is of_ends]
        positions = [p for p, _ in own] + [routine.leave] * of_ends
        if not positions:
            continue
        first, last = min(positions), max(positions)
        guard = f"{pc} >= {first} && {pc} <= {last}" if first < last else f"{pc} == {first}"
        out += [f"            /* {f.owner}.{f.name}() */", f"            :: {guard} ->", "               if"]
        for position, index in own:
            i = f.instructions[index]
            text = f"line {i.line}: {routine.source(i)}" if i.kind != "end" or i.expr else "its end"
            statements = [_PENDING] * asks(i.expr) + lines.line(routine, index)
            out.append(f"               /* {f.name}, {text} */")
            out.append(f"               :: {pc} == {position} -> " + joined(statements, 18))
        if of_ends:
            out.append(f"               /* {f.name}, back to its caller */")
            out.append(f"               :: {pc} == {last} -> " + joined(lines.leave(routine), 18))
        out.append("               fi")
    return "\n".join([*out, "            fi"])


def joined(statements: list[str], indent: int) -> str:
    """Statements one after the other, those of several lines on lines of their own."""
    margin = "\n" + " " * indent
    return (";" + margin).join(s.replace("\n", margin) for s in statements)
