"""Patches to review: what the notebooks about reviewing ask of a reader, and how it is scored."""

from vmxsim.teaching.reviews.incoming import SEED
from vmxsim.teaching.reviews.reviewing import Attack, Inbox, Review

__all__ = ["SEED", "Attack", "Inbox", "Review"]
