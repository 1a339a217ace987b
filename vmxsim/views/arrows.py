"""Arrows along Bézier curves: a line that ends under its heads, and the middle for a label."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

from attrs import frozen

Point = tuple[float, float]

_HEAD_LENGTH, _HEAD_WIDTH, _TRIM = 16.0, 15.0, 10.0


@frozen
class Arrow:
    """``line`` and ``heads`` are SVG path data; ``middle`` is where a label goes."""

    line: str
    heads: str
    middle: Point

    @staticmethod
    def path(points: Sequence[Point]) -> str:
        """SVG path data of a start and its Bézier pieces."""
        start, *rest = (f"{x:.1f} {y:.1f}" for x, y in points)
        return f"M{start}C{' '.join(rest)}"


def arrow(points: Sequence[Point], both: bool = False, middle: Point | None = None) -> Arrow:
    """An arrow along ``points`` (a start, then three for each piece); ``both``: a head at either end."""
    drawn = list(points)
    heads = _head(points[-1], _before(points))
    drawn[-1] = _towards(points[-1], _before(points), _TRIM)
    if both:
        back = points[::-1]
        heads += _head(back[-1], _before(back))
        drawn[0] = _towards(back[-1], _before(back), _TRIM)
    return Arrow(Arrow.path(drawn), heads, middle or _middle(points))


def _before(points: Sequence[Point]) -> Point:
    """The last point that differs from the end: where the curve comes from."""
    return next((p for p in reversed(points) if p != points[-1]), points[-1])


def _towards(start: Point, aim: Point, distance: float) -> Point:
    length = hypot(aim[0] - start[0], aim[1] - start[1]) or 1.0
    return (
        start[0] + (aim[0] - start[0]) * distance / length,
        start[1] + (aim[1] - start[1]) * distance / length,
    )


def _head(tip: Point, origin: Point) -> str:
    base = _towards(tip, origin, _HEAD_LENGTH)
    across = ((base[1] - tip[1]) / _HEAD_LENGTH, (tip[0] - base[0]) / _HEAD_LENGTH)
    half = _HEAD_WIDTH / 2
    one = (base[0] + across[0] * half, base[1] + across[1] * half)
    two = (base[0] - across[0] * half, base[1] - across[1] * half)
    return f"M{tip[0]:.1f} {tip[1]:.1f}L{one[0]:.1f} {one[1]:.1f}L{two[0]:.1f} {two[1]:.1f}Z"


def _middle(points: Sequence[Point]) -> Point:
    """The middle of the curve's longest piece: away from the corners that it turns around."""
    pieces = [points[i : i + 4] for i in range(0, len(points) - 1, 3)]
    longest = max(pieces, key=lambda piece: hypot(piece[3][0] - piece[0][0], piece[3][1] - piece[0][1]))
    x, y = (sum(w * p[i] for w, p in zip((1, 3, 3, 1), longest, strict=True)) / 8 for i in (0, 1))
    return x, y
