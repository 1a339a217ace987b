"""A kernel tree, or the files of one."""

from attrs import frozen


@frozen
class Tree:
    """``name`` is what the reader called it; ``files`` are the texts by path from the kernel's root."""

    name: str
    files: dict[str, str]
