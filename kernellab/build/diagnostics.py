"""The compiler's and the linker's messages, in the cell's own lines.

rustc's messages come as JSON (The rustc book, "JSON Output"), already rendered as it writes
them on a terminal; only what names this machine or our own additions is changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from . import ansi as _ansi
from .demangle import demangle


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A change that rustc proposes: replace a span of ``file`` by ``replacement``.

    Lines and columns count from 1, columns in characters; the end is exclusive.
    ``applicability`` is rustc's, such as ``MachineApplicable``. Suggestions of one message that
    have the same ``group`` are one change, all or nothing.
    """

    message: str
    replacement: str
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    applicability: str = ""
    group: int = 0


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message of the compiler or the linker.

    ``level`` is ``error``, ``warning``, ``note`` or ``help``; ``code`` such as ``E0425`` or a
    lint's name; ``file``, ``line`` and ``column`` (from 1; 0 where there is none) of the main
    span, its exclusive end, and ``label``, what stands below it; ``ansi`` the whole message as
    rustc writes it, coloured for a terminal.
    """

    level: str
    message: str
    ansi: str = field(repr=False)
    code: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    suggestions: tuple[Suggestion, ...] = ()
    end_line: int = 0
    end_column: int = 0
    label: str = ""

    @property
    def text(self) -> str:
        """The message as rustc writes it, without colours."""
        return _ansi.strip(self.ansi)

    @property
    def html(self) -> str:
        """The message as HTML for any theme; nothing of its text is markup."""
        return _ansi.to_html(self.ansi)

    def __str__(self) -> str:
        return self.text


def fields(diagnostic: Diagnostic) -> dict[str, Any]:
    """A diagnostic as JSON; :func:`restore` is the way back."""
    plain = {name: getattr(diagnostic, name) for name in Diagnostic.__dataclass_fields__}
    plain["suggestions"] = [
        {name: getattr(each, name) for name in Suggestion.__dataclass_fields__}
        for each in diagnostic.suggestions
    ]
    return plain


def restore(plain: Mapping[str, Any]) -> Diagnostic:
    """A diagnostic from what :func:`fields` gave."""
    suggestions = tuple(Suggestion(**each) for each in plain["suggestions"])
    return Diagnostic(**{**plain, "suggestions": suggestions})


#: What rustc's words lack in a driver: the pattern of its message, and what to do.
_HELP: Final = (
    (
        re.compile(r"(?:module or crate|unlinked crate|import|crate for) `std`"),
        "a driver has no `std`: `core` and `alloc` have what needs no operating system, and"
        " `windows_kernel_rs` has the kernel's side of the rest",
    ),
    (
        re.compile(r"cannot find macro `(?:e?print(?:ln)?|dbg|format|vec|try_format)`"),
        "`use windows_kernel_rs::prelude::*;` brings it into a driver",
    ),
)


def _with_help(rendered: str, message: str) -> str:
    """``rendered`` with what a driver's author has to know, where rustc's own help misleads."""
    for pattern, words in _HELP:
        if pattern.search(message):
            lines = [line for line in rendered.splitlines() if "`cargo add std`" not in line]
            while lines and not lines[-1].strip():
                lines.pop()
            return "\n".join([*lines, f"   = help: {words}", ""])
    return rendered


def from_compiler(
    message: Mapping[str, Any],
    *,
    file_name: str,
    supplied: int = 0,
    modules: Collection[str] = (),
    hide: Sequence[str] = (),
) -> list[Diagnostic]:
    """The diagnostics in one ``message`` of rustc's.

    ``file_name`` is the source's own; ``supplied`` how many characters were put before its
    line 1; ``modules`` are its further files, ``hide`` folders of this machine, taken off any
    path. A failed link becomes one diagnostic for each thing that is wrong.
    """
    level = str(message.get("level", "error"))
    if level.startswith("error"):  # also: "error: internal compiler error"
        level = "error"
    children = [child for child in message.get("children", []) if isinstance(child, dict)]
    text = str(message.get("message", ""))
    if level == "error" and _LINKING.match(text):
        words = "\n".join(str(child.get("message", "")) for child in children)
        linked = list(from_linker(words))
        if linked:
            return linked
    if _LINKED_WITH_STD.search(text) and any("`std`" in str(c.get("message")) for c in children):
        return [plain("error", " ".join(_NO_STD.split()), code="no-std")]
    rendered = str(message.get("rendered") or f"{level}: {text}\n")
    rendered = _with_help(rendered, text)
    files = {file_name, *modules}
    span = _main_span(message.get("spans", []), files)
    own = supplied if span.get("file_name") == file_name else 0
    shift = own if span.get("line_start") == 1 else 0
    end_shift = own if span.get("line_end") == 1 else 0
    if supplied:
        rendered = _unshift(rendered, file_name, supplied)
    code = message.get("code")
    suggestions: list[Suggestion] = []
    for part in (message, *children):
        found = _suggestions(part, files, file_name, supplied)
        suggestions += _grouped(found, suggestions[-1].group + 1 if suggestions else 0)
    return [
        Diagnostic(
            level=level,
            message=text,
            ansi=_without(rendered, hide),
            code=str(code.get("code", "")) if isinstance(code, dict) else "",
            file=_without(str(span.get("file_name", "")), hide),
            line=int(span.get("line_start", 0)),
            column=max(int(span.get("column_start", 0)) - shift, 0),
            suggestions=tuple(suggestions),
            end_line=int(span.get("line_end", 0)),
            end_column=max(int(span.get("column_end", 0)) - end_shift, 0),
            label=_without(_safe(str(span.get("label") or "")), hide),
        )
    ]


def plain(level: str, message: str, *, code: str = "", more: str = "") -> Diagnostic:
    """A diagnostic of our own, in the shape of rustc's."""
    colour = {"error": "\x1b[1m\x1b[91m", "warning": "\x1b[1m\x1b[33m"}.get(level, "\x1b[1m")
    ansi = f"{colour}{level}\x1b[0m\x1b[1m: {_safe(message)}\x1b[0m\n{_safe(more)}"
    return Diagnostic(level, message, ansi, code=code)


# -- rustc ----------------------------------------------------------------------------------------


def _main_span(spans: Sequence[Mapping[str, Any]], files: Collection[str]) -> Mapping[str, Any]:
    """The primary span; where a macro of another crate made it, where the user called that."""
    primary = [span for span in spans if span.get("is_primary")] or list(spans)
    for span in primary:
        at: Mapping[str, Any] | None = span
        while at is not None:
            if at.get("file_name") in files:
                return at
            at = (at.get("expansion") or {}).get("span")
    return primary[0] if primary else {}


def _suggestions(
    part: Mapping[str, Any], files: Collection[str], file_name: str, supplied: int
) -> Iterator[Suggestion]:
    for span in part.get("spans", []):
        replacement = span.get("suggested_replacement")
        file = span.get("file_name")
        if replacement is None or file not in files:
            continue
        extra = supplied if file == file_name else 0
        start, end = int(span["column_start"]), int(span["column_end"])
        yield Suggestion(
            message=str(part.get("message", "")),
            replacement=str(replacement),
            file=str(file),
            line=int(span["line_start"]),
            column=max(start - (extra if span["line_start"] == 1 else 0), 1),
            end_line=int(span["line_end"]),
            end_column=max(end - (extra if span["line_end"] == 1 else 0), 1),
            applicability=str(span.get("suggestion_applicability") or ""),
        )


def _grouped(suggestions: Iterable[Suggestion], first: int) -> Iterator[Suggestion]:
    """The spans of one help in groups: it has several where it proposes alternatives.

    rustc gives the parts of one change in their order in the file, and change after change.
    """
    group, before = first, (0, 0)
    end = before
    for each in suggestions:
        begin = (each.line, each.column)
        if begin < end or begin == before:
            group += 1
        before, end = begin, (each.end_line, each.end_column)
        yield replace(each, group=group)


#: With the Windows target installed there is a ``std``: its panic handler meets the framework's.
_LINKED_WITH_STD: Final = re.compile(r"duplicate lang item .*`panic_impl`")
_NO_STD: Final = """\
a driver has no `std`, and this one is linked with it: use `core` and `alloc` instead, and crates
that are `no_std` (many have a feature `std` to be left out)"""

_FIRST_LINE: Final = re.compile(r"^\s*1 [|│+~-]? ?")
_NO_NUMBER: Final = re.compile(r"^(\s+)([|│=:.]?)(\s*)")
_SUPPLIED: Final = "#![no_std]"


def _unshift(rendered: str, file_name: str, supplied: int) -> str:
    """Take our own attribute off line 1 of a rendered message, and its width off the marks.

    Only a ``.rs`` file with code in its first line is concerned: a cell's line 1 is empty.
    """
    place = re.compile(rf"({re.escape(file_name)}:1:)(\d+)")
    rendered = place.sub(lambda m: f"{m[1]}{max(int(m[2]) - supplied, 1)}", rendered)
    lines = rendered.split("\n")
    below = False
    for index, line in enumerate(lines):
        bare = _ansi.strip(line)
        if _FIRST_LINE.match(bare) and _SUPPLIED in bare:
            lines[index] = line.replace(_SUPPLIED, "", 1)
            below = True
        elif below and _NO_NUMBER.match(bare):
            # The marks under that line stand that much too far to the right.
            lines[index] = line.replace(" " * (supplied + 1), " ", 1)
        else:
            below = False
    return "\n".join(lines)


#: Where cargo keeps the sources of crates, named after the registry; paths are remapped to begin
#: with it.
_CRATES: Final = re.compile(r"registry[/\\](?:src[/\\])?[\w.-]+-[0-9a-f]{6,}[/\\]")


def _without(text: str, hide: Sequence[str]) -> str:
    for folder in hide:
        if folder:
            text = text.replace(folder.rstrip("/\\") + "/", "").replace(
                folder.rstrip("/\\") + "\\", ""
            )
    return _CRATES.sub("", text)


def _safe(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


# -- the linker -----------------------------------------------------------------------------------

_LINKING: Final = re.compile(r"linking with .* failed")
_COMPLAINT: Final = re.compile(
    r"^(?:\s*=?\s*note:\s*)?(?:\S*lld\S*|lld-link|link): error: (.+)$", re.MULTILINE
)
_UNDEFINED: Final = re.compile(r"(?:<root>: )?undefined symbol: (.+)")
_DUPLICATE: Final = re.compile(r"duplicate symbol: (.+)")
_REFERENCED: Final = re.compile(r">>> referenced by .*?\(?([\w.<>:, ]+)\)?$")

_NO_ENTRY: Final = """\
this driver has no entry point: add `kernel_module!(Module);` with your type, or define
`DriverEntry` yourself (`#[unsafe(no_mangle)] pub extern "system" fn DriverEntry(…)`)"""


def from_linker(words: str) -> Iterator[Diagnostic]:
    """What lld-link complains of, one diagnostic each, without its command line and paths."""
    for match in _COMPLAINT.finditer(words):
        complaint = match[1].strip()
        undefined = _UNDEFINED.match(complaint)
        duplicate = _DUPLICATE.match(complaint)
        if undefined and undefined[1].strip() in ("DriverEntry", "_DriverEntry"):
            yield plain("error", " ".join(_NO_ENTRY.split()), code="no-driver-entry")
        elif undefined:
            symbol = _demangled(undefined[1].strip())
            yield plain(
                "error",
                f"unresolved external symbol `{symbol}`",
                code="unresolved-symbol",
                more="  = help: the kernel routine needs a declaration that names its module:"
                '\n          #[link(name = "ntoskrnl.exe", kind = "raw-dylib",'
                ' modifiers = "+verbatim")]\n',
            )
        elif duplicate:
            yield plain(
                "error",
                f"the symbol `{_demangled(duplicate[1].strip())}` is defined twice",
                code="duplicate-symbol",
            )
        else:
            yield plain("error", f"the linker says: {_no_paths(complaint)}", code="linker")


def _demangled(symbol: str) -> str:
    return demangle(symbol.removeprefix("__imp_"))


def _no_paths(text: str) -> str:
    """Absolute paths cut down to their last part."""
    return re.sub(r"(?:[A-Za-z]:)?[\\/](?:[^\s\\/:'\"]+[\\/])+([^\s\\/:'\"]+)", r"\1", text)
