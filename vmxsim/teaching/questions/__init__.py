"""Questions about a run, computed from its Trace: the options, the right one, and why each other is wrong."""
