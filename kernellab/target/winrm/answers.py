"""Windows Setup's answer file for a lab machine, and the floppy disk that it comes on.

Setup looks for ``autounattend.xml`` in the root of removable media. What it leaves is a machine
that :mod:`.prepare` can do the rest on: a user of the group Administrators, and WinRM over HTTPS,
which the same script switches on that ``kernellab target prepare --script`` prints.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Final

from ...errors import UsageError
from ..power import floppy
from . import scripts

#: The answers' name; Setup looks for it.
NAME: Final = "autounattend.xml"

_TEMPLATE: Final = Path(__file__).with_name(NAME)
#: What Windows takes as a local user's name (NetUserAdd).
_USER: Final = re.compile(r'[^"/\\\[\]:;|=,+*?<>@\x00-\x1f]{1,20}')
_LONGEST_PASSWORD: Final = 127


def answer_file(user: str, password: str, *, index: int = 1, computer: str = "LAB") -> bytes:
    """The answer file, with the ``password`` in it in plain text.

    ``index`` is the image's in the installation medium. Raises UsageError for a user, password or
    computer that Windows does not take.
    """
    if not _USER.fullmatch(user) or user.strip(" .") != user:
        raise UsageError(f"{user!r} cannot be a local user's name in Windows")
    if not 0 < len(password) <= _LONGEST_PASSWORD or not password.isprintable():
        raise UsageError("the password cannot be one of Windows: 1 to 127 characters of one line")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,15}", computer) or computer.isdigit():
        raise UsageError(f"{computer!r} cannot be a computer's name: 1 to 15 letters, digits and -")
    if index < 1:
        raise UsageError("the image's index counts from 1")
    fill = {"index": str(index), "computer": computer, "user": user, "password": password}
    text = _TEMPLATE.read_text(encoding="utf-8")
    filled = re.sub(r"\{(\w+)\}", lambda m: html.escape(fill[m[1]], quote=False), text)
    return filled.encode()


def disk(answers: bytes) -> bytes:
    """A floppy disk with the answers, and the script that the first logon runs from it."""
    script = scripts.text("first").replace("\n", "\r\n").encode("ascii")
    return floppy.image({NAME: answers, "first.ps1": script})
