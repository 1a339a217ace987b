"""``vmxsim.who_holds``: the states of two vCPUs as a picture, by who holds which CPU."""

from __future__ import annotations

from html import escape
from itertools import count
from typing import Any

from attrs import frozen

from vmxsim.checker.result import CheckResult
from vmxsim.checker.together import Together
from vmxsim.errors import InputError, write_file
from vmxsim.views.drawing import opening
from vmxsim.views.standalone import standalone
from vmxsim.views.style import theme_css

#: Keeps the ids of several pictures on one page distinct.
_numbers = count(1)

#: Where each thread is: the rows and the columns of the picture.
ROWS, COLUMNS = ("on CPU 0", "on CPU 1", "waits"), ("on CPU 1", "on CPU 0", "waits")
#: Which of :attr:`~vmxsim.checker.together.Together.held` a row and a column add to.
_OWN, _OTHER, _NONE = (1, 0, 0), (0, 1, 0), (0, 0, 0)

_SIDE, _LEFT, _TOP, _LEAST = 420, 178, 66, 52
_CURVE = 110
_SCOPE = ".vmxsim-whoholds"
_CSS = """
P{background:var(--vx-canvas)}
P text{fill:var(--vx-ink);font-family:system-ui,sans-serif;font-size:13px}
P .canvas{fill:var(--vx-canvas)}
P .both{fill:var(--vx-vcpu0-tint);stroke:var(--vx-vcpu0-line);stroke-width:1.5}
P .nobody{fill:var(--vx-panel);stroke:var(--vx-muted);stroke-width:1}
P .cross{stroke:var(--vx-muted);stroke-width:1}
P .much{font-weight:700}
P .small{font-size:12px;fill:var(--vx-muted)}
P .tight{font-size:11px}
P .curve{fill:var(--vx-vcpu0-tint);stroke:var(--vx-vcpu0-line);stroke-width:2}
"""


@frozen
class WhoHolds:
    """The states of two threads by who holds which CPU, and how many there are at each distance from the
    start. A notebook shows the picture, a terminal the text."""

    design: str
    host: str
    together: Together

    @property
    def blocks(self) -> dict[tuple[str, str], int]:
        """How many states there are for each place of the one thread and of the other."""
        (held,) = self.together.held
        found = {}
        for row, mine in zip(ROWS, (_OWN, _OTHER, _NONE), strict=True):
            for column, others in zip(COLUMNS, (_OWN, _OTHER, _NONE), strict=True):
                own, other, _ = (a + b for a, b in zip(mine, others, strict=True))
                clash = row == column != "waits"
                # the two threads are alike: where their places differ in kind, half of the states are meant
                found[row, column] = 0 if clash else held.get((own, other, 0), 0) // (1 + (mine != others))
        return found

    @property
    def words(self) -> str:
        """The picture in words."""
        own, other, waits = self.together.alone
        layers = self.together.layers
        told = [
            f"Each thread alone: {own:,} states on the CPU on which it starts, {other:,} on the other one and"
            f" {waits:,} in which it waits."
        ]
        for (row, column), states in self.blocks.items():
            what = f"{states:,} states" if states else "none, they cannot share it"
            told.append(f"vCPU 0's thread {row}, vCPU 1's {column}: {what}.")
        most = layers.index(max(layers))
        told.append(
            f"Together {self.together.states:,} states, the farthest {len(layers) - 1} transitions away; most"
            f" of them, {layers[most]:,}, are {most} transitions away."
        )
        return " ".join(told)

    @property
    def svg(self) -> str:
        """The picture as a stand-alone SVG."""
        uid = f"whoholds-{next(_numbers)}"
        width, height = _LEFT + _SIDE + 40, _TOP + _SIDE + _CURVE + 90
        title = f"{self.design}, {self.host} host: the states of two vCPUs by who holds which CPU"
        css = theme_css(_SCOPE, ("vcpu0",)) + _CSS.replace("P", _SCOPE)
        parts = [
            *opening("vmxsim-whoholds", uid, (width, height), title, self.words, css),
            *self._map(),
            *self._curve(_TOP + _SIDE + 50),
            "</svg>",
        ]
        return standalone("\n".join(parts))

    def _map(self) -> list[str]:
        sizes = _shares(self.together.alone)
        starts = [0.0, sizes[0], sizes[0] + sizes[1]]
        parts = [
            f'<text class="much" x="{_LEFT}" y="18">the thread of vCPU 1</text>',
            f'<text class="much" x="8" y="{_TOP - 12}">the thread of vCPU 0</text>',
        ]
        for n, (row, column) in enumerate(zip(ROWS, COLUMNS, strict=True)):
            middle, alone = starts[n] + sizes[n] / 2, f"{self.together.alone[n]:,}"
            x, y = _LEFT + middle, _TOP + middle
            parts.append(f'<text x="{x:g}" y="{_TOP - 26}" text-anchor="middle">{column}</text>')
            parts.append(f'<text class="small" x="{x:g}" y="{_TOP - 10}" text-anchor="middle">{alone}</text>')
            parts.append(f'<text x="8" y="{y:g}">{row}</text>')
            parts.append(f'<text class="small" x="8" y="{y + 16:g}">{alone}</text>')
        for number, states in enumerate(self.blocks.values()):
            down, right = divmod(number, 3)
            parts += _block(states, starts[right], starts[down], sizes[right], sizes[down])
        return parts

    def _curve(self, top: int) -> list[str]:
        """How many states there are at each distance."""
        layers = self.together.layers
        most, last = max(layers), max(1, len(layers) - 1)
        points = " ".join(
            f"{_LEFT + _SIDE * n / last:.1f},{top + _CURVE * (1 - states / most):.1f}"
            for n, states in enumerate(layers)
        )
        bottom = top + _CURVE
        return [
            f'<path class="curve" d="M{_LEFT},{bottom} L{points} L{_LEFT + _SIDE},{bottom} Z"/>',
            f'<text x="8" y="{top + 20}">states at each</text><text x="8" y="{top + 38}">distance</text>',
            f'<text class="small" x="{_LEFT}" y="{bottom + 18}">0</text>',
            f'<text class="small" x="{_LEFT + _SIDE}" y="{bottom + 18}" text-anchor="end">{last}'
            " transitions from the start</text>",
        ]

    def save(self, path: Any, overwrite: bool = False) -> None:
        """Write :attr:`svg` to a file. Raises InputError if there is one already, unless ``overwrite``."""
        write_file(path, self.svg, overwrite=overwrite)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        more = f"<details><summary>As text</summary><p>{escape(self.words)}</p></details>"
        style = "<style>.vmxsim-holds svg{display:block;max-width:100%;height:auto}</style>"
        return {
            "text/html": f'{style}<div class="vmxsim-holds">{self.svg}{more}</div>',
            "text/plain": str(self),
        }

    def __str__(self) -> str:
        return f"{self.design}, {self.host} host. {self.words}"

    __repr__ = __str__


def _shares(alone: tuple[int, int, int]) -> list[float]:
    """The sizes of rows and columns: as the numbers of states, but none too small for its words."""
    room = _SIDE - _LEAST * len(alone)
    return [_LEAST + room * states / sum(alone) for states in alone]


def _block(states: int, left: float, top: float, width: float, height: float) -> list[str]:
    x, y = _LEFT + left, _TOP + top
    frame = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    if states:
        middle = f'x="{x + width / 2:.1f}" y="{y + height / 2 + 5:.1f}" text-anchor="middle"'
        return [f'<rect class="both" {frame}/>', f"<text {middle}{_number(states, width)}</text>"]
    cross = f"M{x:.1f},{y:.1f} l{width:.1f},{height:.1f} m0,{-height:.1f} l{-width:.1f},{height:.1f}"
    return [f'<rect class="nobody" {frame}/>', f'<path class="cross" d="{cross}"/>']


def _number(states: int, width: float) -> str:
    """What follows ``<text``: the number in full, in smaller type if need be, else as a power of ten."""
    full, power = f"{states:,}", len(str(states)) - 1
    if len(full) * 8 < width:
        return f">{full}"
    return f' class="tight">{full}' if len(full) * 6.5 < width else f">{states / 10**power:.1f}e{power}"


def who_holds(result: CheckResult, host: str | None = None) -> WhoHolds:
    """Draw the states of two vCPUs on two CPUs: ``vmxsim.who_holds(vmxsim.check(design, vcpus=2))``.

    ``host`` is one of the result's widths (None: the first). Raises InputError for a result of other numbers
    of vCPUs or CPUs, of threads that never move, or of a search that did not end.
    """
    if not isinstance(result, CheckResult):
        raise InputError(f"expected the result of vmxsim.check, not {type(result).__name__}", "result")
    found = next((one for one in result.hosts if host in (None, one.host)), None)
    if found is None:
        widths = " or ".join(one.host for one in result.hosts)
        raise InputError(f"the result has no {host} host; expected {widths}", "host")
    if (result.vcpus, result.cpus) != (2, 2):
        raise InputError(
            f"draws two vCPUs on two CPUs, not {result.vcpus} on {result.cpus}: check with vcpus=2", "result"
        )
    if found.together is None:
        raise InputError(f"the states were not counted: {found.cut or found.told}", "result")
    if len(found.together.held) > 1:
        raise InputError(
            "the threads never share a CPU under no-migration: there is nothing to draw", "result"
        )
    return WhoHolds(result.name, found.host, found.together)
