"""What the framework's types forbid does not compile: each file of ``compile_fail/`` is a driver.

A comment at a line's end says what the compiler reports there: ``//~ E0382`` an error's code,
``//~ unused_must_use`` a lint's name, ``//~ "text"`` a part of the message of an error that has
no code. All errors have to be expected, in their lines; warnings only where they are named.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kernellab.build import Diagnostic
from kernellab.errors import BuildError
from kernellab.sources import build_text

FOLDER = Path(__file__).parent / "compile_fail"
_MARK = re.compile(r"//~ (?:\"(?P<text>[^\"]+)\"|(?P<code>\w+))[ \t]*$")
_ERROR = re.compile(r"E\d{4}")


def _expected(source: str) -> list[tuple[int, str]]:
    """Line and code, or line and quoted text."""
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        mark = _MARK.search(line)
        assert mark or "//~" not in line, f"line {number}: this mark is not understood"
        if mark:
            found.append((number, mark["code"] or f'"{mark["text"]}"'))
    return found


def _fits(mark: tuple[int, str], diagnostic: Diagnostic) -> bool:
    line, what = mark
    if what.startswith('"'):
        said = what.strip('"') in diagnostic.message
    else:
        said = what == diagnostic.code
    return said and line == diagnostic.line


def _build(source: str) -> list[Diagnostic]:
    """The compiler's messages about ``source``."""
    try:
        return list(build_text("forbidden", source).diagnostics)
    except BuildError as error:
        if "could not be downloaded" in str(error):
            pytest.skip("a crate that the driver names cannot be downloaded here")
        return list(error.diagnostics)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.rs")), ids=lambda path: path.stem)
def test_misuse_does_not_compile(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    marks = _expected(source)
    assert marks, "nothing is expected"
    found = _build(source)
    text = "\n".join(each.text for each in found)
    for mark in marks:
        assert any(_fits(mark, each) for each in found), f"{mark} is not among:\n{text}"
    for each in found:
        # "aborting due to …" has neither a code nor a line.
        if each.level == "error" and each.line:
            assert any(_fits(mark, each) for mark in marks), f"not expected:\n{each.text}"
    if any(_ERROR.fullmatch(what) or what.startswith('"') for _, what in marks):
        assert any(each.level == "error" for each in found)


def test_the_check_notices_a_wrong_mark() -> None:
    """The same errors on another line, or with another code, do not fit."""
    source = "use windows_kernel_rs as _;\nfn f() -> u32 { true }\n"
    (found,) = [each for each in _build(source) if each.level == "error" and each.line]
    assert _fits((2, "E0308"), found) and _fits((2, '"mismatched types"'), found)
    assert not _fits((1, "E0308"), found) and not _fits((2, "E0277"), found)
