"""A design as a model for Spin, an independent second opinion on the checker.

It is written from the instructions of the design's functions and shares with the checker only
the numbers of values, the list of fields that matter, and the names of actions.
"""

from vmxsim.promela.choices import Environment, restricted
from vmxsim.promela.model import promela

__all__ = ["Environment", "promela", "restricted"]
