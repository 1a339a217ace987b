"""Patches to review: what the notebooks about reviewing ask of a reader, and how it is scored."""

from vmxsim.teaching.reviews.inbox import SEED, Inbox, Review, inbox

__all__ = ["SEED", "Inbox", "Review", "inbox"]
