"""What is known of a place in a cell, as Markdown and as plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .analyzer import Signature

#: Longest text that is shown, in characters: documentation can be a chapter.
_MOST: Final = 20_000

_FENCE: Final = re.compile(r"^```\w*\n?", re.MULTILINE)
_LINK: Final = re.compile(r"\[([^\]\n]*)\]\((https?://[^)\s]*)\)")
_EMPHASIS: Final = re.compile(r"\*\*(.+?)\*\*")
_ESCAPE: Final = re.compile(r"\\([\\`*_{}\[\]()#+\-.!<>|])")


@dataclass(frozen=True, slots=True)
class Help:
    """What is known of a place: what is called there, what the word is, and pages about it.

    ``hover`` is Markdown, ``links`` are title and address.
    """

    signature: Signature | None = None
    hover: str = ""
    links: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return self.signature is not None or bool(self.hover)

    @property
    def markdown(self) -> str:
        """All of it; empty where nothing is known."""
        parts = [] if self.signature is None else [_signature(self.signature)]
        if self.hover:
            parts.append(self.hover.strip()[:_MOST])
        if self.links:
            parts.append("  \n".join(f"[{title}]({address})" for title, address in self.links))
        return "\n\n---\n\n".join(parts)

    @property
    def plain(self) -> str:
        """The same without Markdown's marks."""
        text = _FENCE.sub("", self.markdown)
        text = _LINK.sub(lambda m: m[1] if m[1].strip("`") in m[2] else f"{m[1]}: {m[2]}", text)
        text = _ESCAPE.sub(r"\1", _EMPHASIS.sub(r"\1", text))
        return re.sub(r"\n{3,}", "\n\n", text).strip()


def _signature(signature: Signature) -> str:
    text = f"```rust\n{signature.label}\n```"
    if signature.active is not None:
        count = len(signature.parameters)
        active = signature.parameters[signature.active].replace("`", "")
        text += f"\nArgument {signature.active + 1} of {count}: **`{active}`**"
    return text
