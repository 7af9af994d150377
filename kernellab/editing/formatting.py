"""``%rustfmt``: a cell's Rust as rustfmt writes it, and the change as something to show.

The magic's own line, and front matter with dependencies, are not Rust and stay as they are.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final

from ..build import ansi
from ..build.diagnostics import Diagnostic
from ..crate import split_dependencies, template_root
from ..errors import BuildError, UsageError
from ..pane.standalone import not_empty
from . import tool

#: What a front end that can edit cells takes: see :meth:`Formatted._repr_mimebundle_`.
EDIT: Final = "application/vnd.kernellab.edit+json"

_PLACE: Final = re.compile(r"--> (?:\x1b\[0?m)*(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)")
_HEAD: Final = re.compile(r"^(error|warning)(?:\[(\w+)\])?: (.*)$")


def format_rust(text: str, *, file_name: str = "cell") -> str:
    """``text`` as rustfmt writes it, with the project's settings; it ends with one line feed.

    ``text`` is a source whose line 1 may be empty (a cell's is). Raises BuildError with
    ``diagnostics`` in the lines of ``text`` where it is not Rust, UsageError where it is empty or
    its front matter is damaged, ToolchainError where there is no rustfmt.
    """
    source, _dependencies = split_dependencies(text)
    if not source.strip():
        raise UsageError(f"there is no Rust in {file_name} to format")
    with tempfile.TemporaryDirectory(prefix="kernellab-fmt-") as folder:
        path = Path(folder) / "cell.rs"
        path.write_text(source, encoding="utf-8", newline="")
        # As standard input: of a file, rustfmt formats the modules too (`mod proto;`).
        ended = tool.run(
            tool.rustfmt(),
            *("--edition", "2024", "--color", "always"),
            *("--config-path", template_root() / "rustfmt.toml"),
            stdin=path,
        )
    if ended.returncode:
        error = _failure(ended.stderr, file_name)
        # Of its own limits (a line in a macro that it cannot break) rustfmt says so too.
        if not ended.stdout.strip() or any(each.code != "internal" for each in error.diagnostics):
            raise error
    return _front_matter(text, source) + ended.stdout.strip("\n") + "\n"


def _front_matter(text: str, source: str) -> str:
    """The lines before the Rust that ``split_dependencies`` took off, as they were."""
    before, after = text.split("\n"), source.split("\n")
    changed = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    if not changed:
        return ""
    lines = before[: changed[-1] + 1]
    while lines and not lines[0].strip():
        lines.pop(0)
    return "\n".join(lines) + "\n\n"


def _failure(words: str, file_name: str) -> BuildError:
    """rustfmt's complaints, which are the compiler's parser's, in the cell's own words."""
    words = words.replace("<stdin>", file_name)
    found: list[Diagnostic] = []
    for block in re.split(r"\n(?:\x1b\[0?m)*\n+", words.strip()):
        plain = ansi.strip(block).strip()
        head = _HEAD.match(plain.split("\n", 1)[0])
        if head is None:
            continue
        place = _PLACE.search(ansi.strip(block))
        found.append(
            Diagnostic(
                level=head[1],
                message=head[3],
                ansi=block.strip("\n") + "\n",
                code=head[2] or "",
                file=place["file"] if place else "",
                line=int(place["line"]) if place else 0,
                column=int(place["column"]) if place else 0,
            )
        )
    first = found[0].message if found else ansi.strip(words).strip() or "rustfmt says nothing"
    line = f" ({file_name}:{found[0].line})" if found and found[0].line else ""
    return BuildError(f"cannot be formatted, it is not Rust yet: {first}{line}", found)


@dataclass(frozen=True, slots=True)
class Formatted:
    """A cell before and after, whole texts with the magic's line; it shows itself as a change.

    ``magic`` is the cell's (``rustdriver``, ``rustfile``), ``name`` the driver's, ``path`` the
    file's for a ``%%rustfile`` cell; ``body`` what stands below the magic's line afterwards.
    """

    magic: str
    name: str
    path: str | None
    before: str = field(repr=False)
    after: str = field(repr=False)
    body: str = field(repr=False)
    #: What to do where the front end does not replace the cell; found out unless given.
    note: str = ""

    @property
    def changed(self) -> bool:
        """Whether there is anything to change."""
        return self.before.rstrip() != self.after.rstrip()

    @property
    def title(self) -> str:
        """What is formatted, for people: ``hello``, ``echo's proto.rs``."""
        return f"{self.name}'s {self.path}" if self.path else self.name

    @property
    def diff(self) -> str:
        """The change as a unified diff, without file names; empty where there is none."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if not self.changed:
            return
        before, after = self.before.rstrip().split("\n"), self.after.rstrip().split("\n")
        for number, line in enumerate(difflib.unified_diff(before, after, lineterm="", n=2)):
            if number >= 2:
                yield line

    @property
    def _hint(self) -> str:
        if self.note:
            return self.note
        if self.magic == "rustfile":
            return "Where the cell is not replaced, copy this."
        return f"Where the cell is not replaced: `%%rustdriver {self.name} --fmt` formats it."

    def __str__(self) -> str:
        if not self.changed:
            return f"{self.title} is already formatted."
        return f"{self.title}, formatted:\n{self.diff}\n{self._hint}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The change for a front end that can apply it, and as HTML and text for all others.

        The edit says which cell is meant (``find``), which text it must still have (``expected``)
        and which it gets (``text``).
        """
        bundle: dict[str, Any] = {"text/plain": str(self), "text/html": not_empty(self._html())}
        if self.changed:
            bundle[EDIT] = {
                "version": 1,
                "find": {"magic": self.magic, "name": self.name, "path": self.path},
                "expected": self.before,
                "text": self.after,
            }
        return bundle

    def _html(self) -> str:
        title = escape(self.title)
        if not self.changed:
            return f"<div><strong>✔ {title}</strong> is already formatted.</div>"
        rows = "\n".join(_row(line) for line in self._lines())
        hint = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(self._hint))
        return (
            f'<div role="group" aria-label="{title}, formatted"><div><strong>{title}</strong>,'
            f' formatted: <span style="opacity:.8">{hint}</span></div>'
            '<pre style="font-family:var(--jp-code-font-family,monospace);font-size:12px;'
            'line-height:1.45;overflow:auto;max-height:420px;margin:4px 0;padding:4px 8px">'
            f"{rows}</pre></div>"
        )


#: Grounds that a light and a dark page can both have under their own text.
_COLOURS: Final[Mapping[str, str]] = {"+": "rgba(46,160,67,.22)", "-": "rgba(248,81,73,.22)"}


def _row(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    text = escape(line)
    if line.startswith("@@"):
        return f'<span style="opacity:.7">{text}</span>'
    return f'<span style="background:{colour}">{text}</span>' if colour else text


def reformatted(magic: str, name: str, path: str | None, cell: str, body: str) -> Formatted:
    """The cell whose whole text is ``cell`` with ``body`` below the magic's line.

    What stands before that line stays, and so does whether the cell ends with a line feed.
    """
    head = re.search(rf"^%%{magic}\b.*$", cell, re.MULTILINE)
    start = head.end() if head else 0
    end = "\n" if cell.endswith("\n") else ""
    after = f"{cell[:start]}\n{body.rstrip(chr(10))}{end}"
    return Formatted(magic, name, path, cell, after, body)
