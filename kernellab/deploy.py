"""A driver's image on its way to a target: read, and signed where the target wants that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .errors import LoadError

if TYPE_CHECKING:
    from .target.base import TargetKind


def image_for(kind: TargetKind, path: Path) -> bytes:
    """The bytes to put there. Raises LoadError for no file, SigningError and UsageError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LoadError(f"cannot read {path.name}: {error.strerror}") from error
    if not kind.wants_signature:
        return data
    from .build import signing

    return signing.sign(data, signing.identity())
