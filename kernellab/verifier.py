"""Which verifier rules are on: how callers say it, and how the protocol does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .errors import UsageError

#: ``"on"``, ``"off"``, or rules by name and whether they are on; what is not named is on.
VerifierSetting = str | Mapping[str, bool]

#: Stands for every rule in ``--no-verify``.
EVERY_RULE: Final = "all"


def checked(value: object) -> str | dict[str, bool]:
    """The setting as the protocol has it; UsageError where it is none."""
    if value in ("on", "off"):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): bool(on) for name, on in value.items()}
    raise UsageError(
        'verifier is "on", "off", or says which rules are on: verifier={"leak-pool": False}'
    )


def without(rules: Sequence[str]) -> VerifierSetting:
    """The setting with these rules off, as ``--no-verify`` names them."""
    return "off" if EVERY_RULE in rules else dict.fromkeys(rules, False)
