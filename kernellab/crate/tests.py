"""A driver's ``#[test]`` functions: found in its source, and made cases that run in the kernel.

There is no test harness for a kernel in the compiler. So each ``#[test]`` function is wrapped in
a macro of the framework (``windows_kernel_rs::testing``), which makes it a case to be found at
run time; no line is moved by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import UsageError
from .rust_source import Token, closings, scan

#: Lines of ``///`` and what stands before the attribute after them.
_DOC_COMMENT: Final = re.compile(r"(?:^[ \t]*///[^\n]*\n)*[ \t]*\Z", re.MULTILINE)

_MACRO: Final = "::windows_kernel_rs::kernel_test! { "


@dataclass(frozen=True, slots=True)
class DriverTest:
    """One ``#[test]`` function.

    ``name`` is its path in its file (``tests::adds``), ``line`` that of its name, ``begin`` the
    one where its attributes start, from 1. ``ignored`` is why it is not to be run, if so;
    ``should_panic`` what its panic has to contain, None where it must not panic.
    """

    name: str
    file: str
    line: int
    begin: int
    ignored: str | None = None
    should_panic: str | None = None


def for_testing(files: Mapping[str, str], main: str) -> tuple[dict[str, str], list[DriverTest]]:
    """The files of a driver (text by name) as they are built for testing, and their tests.

    Raises UsageError where there is none, or where ``main`` has no ``kernel_module!``.
    """
    changed, found = {}, []
    for file, text in files.items():
        if file == main or file.endswith(".rs"):
            changed[file], tests = _rewritten(file, text)
            found += tests
        else:
            changed[file] = text
    if not found:
        raise UsageError(
            "there is no test: mark functions with #[test], those that need the driver take a"
            " `Driver`"
        )
    if "kernel_test_module" not in changed[main]:
        raise UsageError("tests need kernel_module!(Type): it gives way to what runs them")
    return changed, found


def _rewritten(file: str, text: str) -> tuple[str, list[DriverTest]]:
    tokens = list(scan(text))
    words = [text[token.start : token.end] for token in tokens]
    closing = closings(words)
    modules = list(_modules(words, closing))
    edits: list[tuple[int, int, str]] = [
        (token.start, token.end, "kernel_test_module")
        for token, word in zip(tokens, words, strict=True)
        if token.kind == "word" and word == "kernel_module"
    ]
    found: list[DriverTest] = []
    index = 0
    while index < len(words):
        group = list(_attributes(words, index))
        if not group:
            index += 1
            continue
        for first, last in group:
            edits += _cfg(tokens, words, first, last)
        after = group[-1][1] + 1
        kinds = {words[first + 2]: (first, last) for first, last in group}
        body = _body(words, closing, after) if "test" in kinds else None
        index = after
        if body is None:
            continue
        name, opening = body
        start = _begin(text, tokens[group[0][0]].start)
        path = [module for module, first, last in modules if first < after < last]
        found.append(
            DriverTest(
                name="::".join([*path, words[name]]),
                file=file,
                line=_line(text, tokens[name].start),
                begin=_line(text, start),
                ignored=_value(words, kinds.get("ignore")),
                should_panic=_value(words, kinds.get("should_panic")),
            )
        )
        end = tokens[closing[opening]].end
        edits.append((start, start, _MACRO))
        for kind in ("test", "ignore", "should_panic"):
            if kind in kinds:
                first, last = kinds[kind]
                edits.append((tokens[first].start, tokens[last].end, ""))
        edits.append((end, end, " }"))
    return _edited(text, edits), found


def _attributes(words: Sequence[str], index: int) -> Iterator[tuple[int, int]]:
    """The ``#[…]`` that follow one another from ``index``: first and last token of each."""
    while words[index : index + 2] == ["#", "["]:
        depth, at = 0, index + 1
        while at < len(words):
            depth += {"[": 1, "]": -1}.get(words[at], 0)
            if not depth:
                break
            at += 1
        if at >= len(words):
            return
        yield index, at
        index = at + 1


def _cfg(
    tokens: Sequence[Token], words: Sequence[str], first: int, last: int
) -> Iterator[tuple[int, int, str]]:
    """``cfg(test)`` holds: the compiler does not let us say so."""
    if words[first + 2] in ("cfg", "cfg_attr"):
        for at in range(first + 3, last):
            if words[at] == "test" and words[at + 1] != "=":
                yield tokens[at].start, tokens[at].end, "all()"


def _body(words: Sequence[str], closing: Mapping[int, int], at: int) -> tuple[int, int] | None:
    """The tokens of a function's name and of its opening brace, if a function follows."""
    end = min(at + 8, len(words))
    name = next((i + 1 for i in range(at, end) if words[i] == "fn"), None)
    if name is None:
        return None
    opening = next((i for i in range(name, len(words)) if words[i] in "{;"), None)
    return (name, opening) if opening in closing and opening is not None else None


def _modules(words: Sequence[str], closing: Mapping[int, int]) -> Iterator[tuple[str, int, int]]:
    """Each ``mod NAME { … }``: its name, its first and its last token."""
    for at, word in enumerate(words[:-2]):
        if word == "mod" and words[at + 2] == "{" and at + 2 in closing:
            yield words[at + 1], at, closing[at + 2]


def _value(words: Sequence[str], span: tuple[int, int] | None) -> str | None:
    """The text in ``#[ignore = "…"]`` or ``#[should_panic(expected = "…")]``; empty without."""
    if span is None:
        return None
    texts = [word for word in words[span[0] : span[1]] if word.startswith('"')]
    return texts[-1].strip('"') if texts else ""


def _begin(text: str, at: int) -> int:
    """Where the doc comment above ``at`` begins: it belongs into the macro as well."""
    found = _DOC_COMMENT.search(text, 0, at)
    return found.start() if found else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _edited(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """``text`` with parts replaced; newlines of a part stay."""
    out, at = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        if start < at:
            continue  # within what has been replaced
        out += [text[at:start], new, "\n" * text.count("\n", start, end)]
        at = end
    return "".join([*out, text[at:]])
