"""Panes: a driver's log, its bug checks and the compiler's messages, live and saved.

``text``, ``bugcheck`` and ``static_view`` are plain Python; ``log`` makes a widget when it is
first shown (:func:`warm` imports what that needs).
"""

from __future__ import annotations

__all__ = ["warm"]


def warm() -> None:
    """Import all that the first pane needs; for a background thread."""
    from . import _widget, log, show  # noqa: F401
