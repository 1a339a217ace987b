"""The messages of a patch file: a mail, a mailbox, what ``git show`` prints, or a diff and nothing else."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

from attrs import frozen

from vmxsim.csource.diff import diff_in
from vmxsim.errors import InputError

#: The line before each mail of a mailbox, as git format-patch writes it too.
_FROM = re.compile(rb"^From \S+ +(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) \w{3} [ \d]\d [^\n]*\n", re.M)
_HEADERS = re.compile(rb"(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)+")
#: How ``git show`` and ``git log`` begin a commit; a message may well have a line "commit 0123456789ab".
_COMMIT = re.compile(r"^commit [0-9a-f]{7,64}\b[^\n]*\n(?:Merge: [^\n]*\n)?Author: ", re.M)
_QUOTED = re.compile(r"^> ?(?:diff --git |\+\+\+ |@@ -\d)", re.M)


@frozen
class Message:
    """``subject``, ``author``, ``date`` and ``message_id`` are '' where it does not say; ``diff`` is '' if it
    holds none; ``quoted`` says that one stands in it as a quotation."""

    subject: str
    author: str
    date: str
    message_id: str
    diff: str
    quoted: bool


def read_messages(data: bytes, name: str) -> list[Message]:
    """The messages of a file, in its order.

    Raises InputError for what ``git log`` printed of several commits: it does not say which comes first.
    """
    data = data.replace(b"\r\n", b"\n")
    starts = [match.start() for match in _FROM.finditer(data)]
    if not starts or data[: starts[0]].strip():
        return [_message(data, name)]
    ends = [*starts[1:], len(data)]
    return [_mail(data[start:end].split(b"\n", 1)[1]) for start, end in zip(starts, ends, strict=True)]


def _message(data: bytes, name: str) -> Message:
    headers = _HEADERS.match(data)
    if headers and re.search(rb"^(?:From|Subject):", headers[0], re.M | re.I):
        return _mail(data)
    text = data.decode("utf-8", "replace")
    commits = len(_COMMIT.findall(text))
    if commits > 1:
        raise InputError(
            f"holds {commits} commits as git log prints them, in an order that is not known; expected one, or"
            " what git format-patch --stdout writes",
            name,
        )
    diff = diff_in(text)
    before = text[: len(text) - len(diff)]
    if commits:
        about, _, body = before[before.index("\n") + 1 :].partition("\n\n")
        told = dict(re.findall(r"^(\w+): +(.*)$", about, re.M))
        return _made(_first_line(body), told.get("Author", ""), told.get("Date", ""), "", text)
    return _made(_first_line(before), "", "", "", text)


def _mail(data: bytes) -> Message:
    mail = message_from_bytes(data, policy=policy.default)
    text = "\n".join(_text(part) for part in mail.walk() if _is_text(part))
    subject, author, date, message_id = (
        _header(mail, name) for name in ("Subject", "From", "Date", "Message-ID")
    )
    said = subject or _first_line(text[: len(text) - len(diff_in(text))])
    return _made(said, author, date, message_id, text)


def _made(subject: str, author: str, date: str, message_id: str, text: str) -> Message:
    return Message(subject, author, date, message_id, diff_in(text), _QUOTED.search(text) is not None)


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(mail[name] or "").split())
    except (ValueError, IndexError, AttributeError, TypeError):  # what the parser makes of a damaged header
        return ""


def _is_text(part: EmailMessage) -> bool:
    name = (part.get_filename() or "").lower()
    return (part.get_content_maintype() == "text" and part.get_content_subtype() != "html") or (
        not part.is_multipart() and name.endswith((".patch", ".diff", ".txt"))
    )


def _text(part: EmailMessage) -> str:
    data = cast(bytes, part.get_payload(decode=True) or b"")
    try:
        text = data.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:  # no such charset
        text = data.decode("utf-8", "replace")
    text = text.replace("\r\n", "\n")
    if str(part.get_param("format", "")).lower() != "flowed":
        return text
    return _unflowed(text, str(part.get_param("delsp", "")).lower() == "yes")


def _unflowed(text: str, delete: bool) -> str:
    """The lines of a mail in ``format=flowed`` (RFC 3676) as they were written: a line that ends in a space
    goes on in the next, and a space was put before one that began with a space. ``delete``: the space at the
    end was not there."""
    made: list[str] = []
    goes_on = False
    for line in text.split("\n"):
        quoted = line.startswith(">")
        bare = line[1:] if line.startswith(" ") else line
        goes_on = goes_on and not quoted
        made[-1:] = [made[-1] + bare] if goes_on else [*made[-1:], bare]
        goes_on = bare.endswith(" ") and bare != "-- " and not quoted
        if goes_on and delete:
            made[-1] = made[-1][:-1]
    return "\n".join(made)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.split("\n") if line.strip()), "")
