"""What a question is: asked at one scene of a trace, answered by a later one."""

from __future__ import annotations

from hashlib import blake2s
from typing import Any

from attrs import frozen


@frozen
class Option:
    """A possible answer. ``reason`` says why it is right, or what is the case instead."""

    text: str
    right: bool
    reason: str


@frozen
class Question:
    """A question asked at scene ``before``; scene ``after`` (as numbered by the trace) shows the answer.

    ``telling`` is the scene at which one sees it best: what a reader is shown after a mistake.
    ``changes``: something in between brings about what is asked for; otherwise it was so before.
    ``hides`` names what would give the answer away until it is given: facts (``vcpu0.guest access``),
    or ``next``, the mark at the line that runs next.
    """

    kind: str
    before: int
    after: int
    prompt: str
    options: tuple[Option, ...]
    telling: int
    hides: frozenset[str] = frozenset()
    changes: bool = True

    @property
    def right(self) -> int:
        """The index of the right option."""
        return next(i for i, option in enumerate(self.options) if option.right)

    def as_data(self, of: str = "") -> dict[str, Any]:
        """What a player needs, as JSON-able data; ``of`` names the run, for the question's id."""
        told = repr((of, self.kind, self.before, self.after, self.prompt, [o.text for o in self.options]))
        return {
            "id": blake2s(told.encode(), digest_size=8).hexdigest(),
            "kind": self.kind,
            "before": self.before,
            "after": self.after,
            "telling": self.telling,
            "changes": self.changes,
            "prompt": self.prompt,
            "options": [{"text": o.text, "right": o.right, "reason": o.reason} for o in self.options],
            "hides": sorted(self.hides),
        }
