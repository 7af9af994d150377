"""Passwords of target machines: from the environment, the system's keyring, or a prompt.

Never from a file of the project or a notebook, and never into one: a password here is a
:class:`Secret`, which does not show itself, and nothing stores it but the keyring, when asked to.
The keyring's entry names host, port and user, so that a project's file cannot have the password of
one machine sent to another.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
from typing import Any, Final, NoReturn

from ..errors import CredentialsError
from .config import Machine

#: ``KERNELLAB_PASSWORD_MY_VM`` for the target ``my-vm``.
PREFIX: Final = "KERNELLAB_PASSWORD_"


class Secret(str):
    """Text that is not shown by ``repr``, so by no traceback with variables, and not pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a password is not written anywhere")


def variable(machine: Machine) -> str:
    """The environment variable that has a machine's password."""
    return PREFIX + re.sub(r"\W", "_", machine.name).upper()


def service(machine: Machine) -> str:
    """What the keyring's entry is called."""
    return f"kernellab {machine.host}:{machine.port}"


def password(machine: Machine) -> Secret:
    """The password, from the first place that has one. Raises CredentialsError with all places."""
    given = os.environ.get(variable(machine))
    if given:
        return Secret(given)
    kept = _keyring_get(machine)
    if kept is not None:
        return kept
    typed = _typed.get(_who(machine)) or _ask(machine)
    if typed:
        _typed[_who(machine)] = typed
        return typed
    raise CredentialsError(
        f"there is no password for {machine.user} on {machine.host}: "
        f"`kernellab target password {machine.name}` keeps one in the system's keyring, "
        f"or set {variable(machine)}"
    )


def forget_typed(machine: Machine) -> None:
    """What was typed for it was wrong: ask again next time."""
    _typed.pop(_who(machine), None)


#: What was typed in this process, so that it is asked for once.
_typed: dict[tuple[str, int, str], Secret] = {}


def _who(machine: Machine) -> tuple[str, int, str]:
    return machine.host, machine.port, machine.user


def _ask(machine: Machine) -> Secret:
    """Ask at the terminal, or as ipykernel does, which puts its own function there."""
    in_kernel = getattr(getpass.getpass, "__module__", "getpass") != "getpass"
    if not in_kernel and not (sys.stdin is not None and sys.stdin.isatty()):
        return Secret()
    try:
        return Secret(getpass.getpass(f"Password of {machine.user} on {machine.host}: "))
    except (EOFError, OSError, RuntimeError):  # a front end that cannot ask
        return Secret()


def remember(machine: Machine, secret: Secret) -> str:
    """Keep a password in the system's keyring; returns the name of the keyring."""
    keyring = _keyring()
    if keyring is None:
        raise CredentialsError(
            "no keyring here: `pip install 'kernellab[vm]'` brings the package; without one, set "
            + variable(machine)
        )
    failed = ""
    try:
        keyring.set_password(service(machine), machine.user, str(secret))
    except Exception as error:  # a back end of another package can fail in any way
        failed = type(error).__name__
    if failed:  # raised here, so that no frame which knows the password hangs on it
        raise CredentialsError(
            f"the system's keyring does not take the password ({failed}); set {variable(machine)}"
        )
    return str(keyring.get_keyring().name)


def forget(machine: Machine) -> bool:
    """Remove a machine's password from the keyring; whether there was one."""
    keyring = _keyring()
    if keyring is None or _keyring_get(machine) is None:
        return False
    keyring.delete_password(service(machine), machine.user)
    return True


def _keyring() -> Any:
    try:
        import keyring
    except ImportError:
        return None
    return keyring


def _keyring_get(machine: Machine) -> Secret | None:
    keyring = _keyring()
    if keyring is None:
        return None
    try:
        kept = keyring.get_password(service(machine), machine.user)
    except Exception:  # a locked or missing store is no store: the other places are named
        return None
    return Secret(kept) if kept else None
