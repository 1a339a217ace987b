"""Recorded ftrace text: read it, follow the register through it, judge it, show it."""
