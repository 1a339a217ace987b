"""``vmxsim.inbox``: patches to review. An attack on one is its outcome in a line, and the run to step
through."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as w
from attrs import define

from vmxsim.simulation.run import RunTrace
from vmxsim.simulation.trace import action_name
from vmxsim.teaching.reviews.incoming import seed_mail, unseen_mails
from vmxsim.teaching.reviews.reviewing import Attack, Inbox, Review
from vmxsim.views.film import film
from vmxsim.widgets.message import Again
from vmxsim.widgets.player import Player


@define(eq=False, repr=False)
class PlayedReview(Review):
    """A review whose attacks can be watched."""

    def _attacked(self, trace: RunTrace) -> Any:
        return AttackPlayer(super()._attacked(trace))


class AttackPlayer(Again, w.VBox):
    """What came of an attack, above its run, which stands where an invariant first breaks or at its end."""

    def __init__(self, attack: Attack) -> None:
        self.attack = attack
        self.player = Player()
        self.player.show(film(attack.run), attack.position)
        super().__init__([w.HTML(_told(attack)), self.player])

    def __repr__(self) -> str:
        return f"{self.attack!r}\n{self.player!r}"


def _told(attack: Attack) -> str:
    """The outcome as HTML, in a line."""
    if attack.broken:
        first = attack.run.violations[0]
        where = action_name(attack.run, first.action)
        words = f"<strong>✖ broken</strong> (<code>{escape(first.invariant)}</code>) at {escape(where)}"
    else:
        words = "<strong>✔ nothing is wrong.</strong> That is one schedule."
    return f'<div class="vmxsim-verdict" style="line-height:1.45;overflow-wrap:anywhere">{words}</div>'


inbox = Inbox((seed_mail(PlayedReview), *unseen_mails(PlayedReview)))
inbox.remember()
