"""The kernel's own C: a reader's tree as a design like any other, and patches on it."""
