"""``vmxsim.review``: a patch of the kernel's own C, before and after."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import frozen

from vmxsim.csource.applying import tree_for
from vmxsim.csource.clone import Clone
from vmxsim.csource.findings import Findings, reviewed
from vmxsim.csource.patches import patches_of_commit, read_patches
from vmxsim.csource.tree import Tree, read_tree, tree_of_commit
from vmxsim.errors import InputError, Name, checked, file_name, is_there, printable, unknown, write_file
from vmxsim.exports.review_mail import review_mail
from vmxsim.exports.review_page import review_fragment, review_page
from vmxsim.exports.review_text import review_lines
from vmxsim.progress import telling

#: The forms of a review and what each is.
FORMS = {
    "text": "what the terminal shows",
    "mail": "a reply to the patch for a mailing list, at most 60 lines",
    "html": "one page, without server or network",
}


@frozen(slots=False)
class Review:
    """What a review found. In a notebook it shows both sides beside each other; printed, it is text.

    ``findings`` has the details: the sides with their designs and verdicts, what changed, the runs. ``note``
    says which tree was taken where that was not named.
    """

    findings: Findings
    note: str = ""

    @property
    def verdict(self) -> str:
        """``safe`` or ``violated``, as the code after the patch is; ``incomplete`` or ``not understood``
        where nothing can be concluded."""
        return self.findings.verdict

    @property
    def before(self) -> Any:
        """What ``vmxsim.check`` says about the code before the patch; None if it is not understood."""
        return self.findings.before.result if self.findings.before else None

    @property
    def after(self) -> Any:
        """The same for the code after the patch."""
        return self.findings.after.result if self.findings.after else None

    @cached_property
    def lines(self) -> list[tuple[str, str]]:
        """The text, line by line, each with what it is: ``safe``, ``violated``, ``heading`` and so on."""
        return review_lines(self.findings, self.note)

    def to(self, form: str, path: Name | None = None, *, overwrite: bool = False) -> Any:
        """The review as ``text``, ``mail`` or ``html``. With ``path`` it is written there, and the path
        returned; a file that is there already is not written to, unless ``overwrite``. Raises InputError."""
        if form not in FORMS:
            raise unknown("form", form, FORMS, "to")
        made = {"text": self.__repr__, "mail": self.mail, "html": self.html}[form]()
        return made if path is None else write_file(path, made, overwrite=overwrite)

    def mail(self) -> str:
        """A reply to the patch, to send to the list."""
        return review_mail(self.findings)

    def html(self) -> str:
        """A page of its own."""
        return review_page(self.findings, self.note)

    def __repr__(self) -> str:
        return "".join(f"{line}\n" for _, line in self.lines)

    def _repr_html_(self) -> str:
        return review_fragment(self.findings, self.note)


@checked
def review(
    patch: Name, tree: Name | Tree | None = None, git: Name | None = None, *, data: bytes | None = None
) -> Review:
    """Review a patch of KVM's VMX code: check the kernel's own C before and after it.

    ``patch`` is a file (a diff, a mail of git format-patch, a mailbox with a series), or the text of one, on
    a ``tree``: a kernel tree, one C file of it, or an archive such as Debian's ``linux-source-6.1.tar.xz``.
    Or it is a commit of a clone, ``git``, or a range ``A..B`` of its commits. ``data`` is the content of the
    patch, if it is not to be read from the file. Without a tree or a clone, there is no verdict: what the
    patch alone shows is told.

    Raises InputError if something cannot be read or the patch does not apply. C that is not understood makes
    the verdict ``not understood``.
    """
    file_name(patch, "patch", "a file, a patch's text or a commit")
    if tree is not None and git is not None:
        raise InputError("name a tree or a clone, not both", "git")
    if data is None and "\n" in str(patch):
        patch, data = "The patch", str(patch).encode()
    note = ""
    if git is not None and data is None and not _is_file(patch):
        clone = Clone(str(git))
        patches = patches_of_commit(clone.path, str(patch))
        base: Tree | None = tree_of_commit(str(git), clone.parent(clone.commits(str(patch))[0]))
    else:
        if data is None and git is None and not _is_file(patch) and not is_there(patch):
            raise InputError(
                "no such file; to review a commit, name its clone with --git", printable(patch, 200)
            )
        patches = read_patches(str(patch), data)
        if git is not None:
            base, note = tree_for(patches, str(git))
        else:
            base = read_tree(str(tree)) if tree is not None and not isinstance(tree, Tree) else tree
    with telling() as tell:
        return Review(reviewed(patches, base, tell), note)


def _is_file(patch: Name) -> bool:
    try:
        return Path(patch).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False
