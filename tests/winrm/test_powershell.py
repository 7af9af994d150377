"""The package's PowerShell is PowerShell: parsed by tree-sitter's grammar of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

from kernellab.target.winrm import scripts

SCRIPTS = sorted(scripts.FOLDER.glob("*.ps1"))
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))


def mistakes(source: str) -> list[str]:
    def walk(node: tree_sitter.Node) -> Iterator[str]:
        if node.is_error or node.is_missing:
            yield f"line {node.start_point[0] + 1}: {node.text!r}"
        for child in node.children:
            yield from walk(child)

    return list(walk(PARSER.parse(source.encode()).root_node))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_a_script_is_powershell(path: Path) -> None:
    assert mistakes(path.read_text(encoding="utf-8")) == []
    assert path.read_bytes().isascii()  # powershell.exe reads a file without a mark as ANSI


def test_what_is_started_is_powershell_and_fits_a_command_line() -> None:
    started = scripts._without_comments(scripts.text("run"))
    assert mistakes(started) == []
    assert len("powershell.exe " + scripts.command_line()) < 8191


def test_the_grammar_finds_a_mistake() -> None:
    source = scripts.text("put")
    assert mistakes(source.replace("try {", "try", 1))
    assert mistakes(source + "\nif (")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_nothing_that_is_sent_becomes_code(path: Path) -> None:
    """Only run.ps1 makes code of text, of a script that the package has."""
    code = re.findall(r"ScriptBlock|Invoke-Expression|\biex\b", path.read_text())
    assert code == (["ScriptBlock"] if path.stem == "run" else [])
