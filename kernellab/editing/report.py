"""The compiler's messages as a cell's output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..pane.reports import render_diagnostics
from ..pane.standalone import standalone


@dataclass(frozen=True, slots=True)
class Messages:
    """Diagnostics that show themselves, as the pane shows those of a build."""

    diagnostics: Sequence[Any]

    def __str__(self) -> str:
        return "\n".join(each.text.rstrip("\n") + "\n" for each in self.diagnostics)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        html = standalone(render_diagnostics(self.diagnostics))
        return {"text/plain": str(self), "text/html": html}
