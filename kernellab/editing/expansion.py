"""``%expand``: a driver's source with its macros expanded, by rustc, and read as a person does."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..build import expand
from ..crate import parse_dependency, split_dependencies, validate_name, write_crate
from ..crate.rust_source import scan
from ..errors import BuildError, ToolchainError, UsageError
from .formatting import format_rust
from .source_items import Item, items

#: What rustc and our own crate put around every source.
_AROUND: Final = re.compile(
    r"^(?:#!\[feature\(prelude_import\)\]"
    r"|(?:#\[macro_use\]\s*)?extern crate (?:core|compiler_builtins(?: as _)?);"
    r"|#\[prelude_import\]\s*use [\w:]+::prelude::\w+::\*;"
    r"|extern crate windows_kernel_(?:rs|sys) as _;)\s*?\n",
    re.MULTILINE,
)
_NO_STD: Final = "#![no_std]\n"


@dataclass(frozen=True, slots=True)
class Expansion:
    """The expanded source of ``driver``, or of ``item`` in it; shown as highlighted Rust."""

    driver: str
    item: str
    text: str = field(repr=False)

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return f"{self.item} of {self.driver}" if self.item else self.driver

    def __str__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        ticks = max((len(found) for found in re.findall(r"`{3,}", self.text)), default=2) + 1
        fence = "`" * ticks
        markdown = (
            f"**{_plain(self.title)}**, macros expanded:\n\n{fence}rust\n{self.text}{fence}\n"
        )
        return {"text/plain": str(self), "text/markdown": markdown}


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", text)


def expand_source(
    name: str,
    text: str,
    *,
    item: str = "",
    dependencies: Sequence[str] = (),
    modules: Mapping[str, str] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Expansion:
    """Expand the driver ``name`` whose source is ``text``; of it, show ``item`` alone if given.

    ``item`` is a function, type or module as the source names it (``Module::init``). Raises
    BuildError with the compiler's messages, UsageError for an item that is not there,
    ToolchainError.
    """
    validate_name(name)
    source, wanted = split_dependencies(text)
    wanted |= dict(parse_dependency(each) for each in dependencies)
    crate = write_crate(name, source, dependencies=wanted, modules=modules)
    expanded = tidy(expand(crate, progress=progress), keep_no_std=not crate.supplied)
    return Expansion(name, item, chosen(expanded, item, name) if item else expanded)


def tidy(expanded: str, *, keep_no_std: bool = False) -> str:
    """``expanded`` without comments and what is around every crate, formatted where it can be."""
    text = without_comments(_AROUND.sub("", expanded))
    if not keep_no_std:
        text = text.replace(_NO_STD, "", 1)
    try:
        return format_rust(text, file_name="the expansion")
    except (BuildError, ToolchainError, UsageError):
        return text.strip("\n") + "\n"  # the compiler's own layout is readable too


#: A comment that is no documentation, with its line where it is alone on that.
_COMMENT: Final = re.compile(
    r"(?:(?<=\n)[ \t]*)?(?:(?<!/)//(?![/!])[^\n]*|/\*(?![*!]).*?\*/)(?:\n(?=\s*$))?", re.DOTALL
)


def without_comments(text: str) -> str:
    """``text`` without comments that are no documentation.

    rustc prints them before what comes next in the source map, which after a macro is anywhere.
    """
    out, at = "", 0
    for token in scan(text):
        out += _COMMENT.sub("", text[at : token.start]) + text[token.start : token.end]
        at = token.end
    return out + _COMMENT.sub("", text[at:])


def chosen(text: str, wanted: str, driver: str) -> str:
    """The items of ``text`` called ``wanted``: a type comes with its ``impl`` blocks.

    Raises UsageError, which names what is near, where there is none.
    """
    found = [each for each in items(text) if each.path and each.kind != "macro"]
    loose = _loosely(wanted)
    ways: list[Callable[[Item], bool]] = [
        lambda each: each.path == wanted,
        lambda each: re.sub(r"<.*>$", "", each.path) == wanted,
        lambda each: each.path.endswith(f"::{wanted}"),
        lambda each: f"::{_loosely(each.path)}".endswith(f"::{loose}"),
    ]
    for fits in ways:
        fitting = [each for each in found if fits(each)]
        if fitting:
            return "\n".join(_lines(text, each) for each in fitting)
    paths = list(dict.fromkeys(each.path for each in found if each.path != "_"))
    near = difflib.get_close_matches(wanted, paths, 1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(paths[:16]) or 'none'}"
    raise UsageError(f"{driver} has no item {wanted[:80]!r}: {hint}")


def _lines(text: str, item: Item) -> str:
    start = text.rfind("\n", 0, item.start) + 1
    if text[start : item.start].strip():
        start = item.start
    return textwrap.dedent(text[start : item.end]) + "\n"


def _loosely(name: str) -> str:
    return name.replace("_", "").lower()
