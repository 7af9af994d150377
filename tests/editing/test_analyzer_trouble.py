"""Programs that are no rust-analyzer, and one that is not allowed its memory."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from kernellab.editing.analyzer import Analyzer, Description, Gone
from kernellab.editing.analyzer.items import completions, hints, hover, signature
from kernellab.editing.analyzer.positions import to_column, to_utf16
from tests.editing.analyzer_here import until

GARBAGE = (
    "print('this is no header', flush=True); import time; time.sleep(60)",
    "import sys; sys.stdout.write('Content-Length: 99999999999\\r\\n\\r\\n'); sys.stdout.flush();"
    "sys.stdin.read()",
    "import sys; sys.stdout.write('Content-Length: 5\\r\\n\\r\\n[1,2]'); sys.stdout.flush();"
    "sys.stdin.read()",
    "import sys; sys.stdout.write('Content-Length: x\\r\\n\\r\\n'); sys.stdout.flush();"
    "sys.stdin.read()",
    "import sys; sys.stdout.write('Content-Length: 200000\\r\\n\\r\\n' + '[' * 200000);"
    "sys.stdout.flush(); sys.stdin.read()",
    "pass",
)


def made(tmp_path: Path, program: str) -> Analyzer:
    command = [sys.executable, "-c", program]
    return Analyzer(command, Description(tmp_path, (), {}))


@pytest.mark.parametrize("program", GARBAGE)
def test_garbage_ends_it_with_one_message(tmp_path: Path, program: str) -> None:
    analyzer = made(tmp_path, program)
    analyzer.start()
    assert until(lambda: bool(analyzer.trouble))
    assert analyzer.trouble.startswith("rust-analyzer")
    assert not analyzer.wait(0)
    with pytest.raises(Gone, match="rust-analyzer"):
        analyzer.set_files("hello", {"": ""})
    analyzer.close()
    ours = [p for p in psutil.Process().children() if program in " ".join(p.cmdline())]
    assert ours == []


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    analyzer = Analyzer([str(tmp_path / "nothing")], Description(tmp_path, (), {}))
    analyzer.start()
    assert until(lambda: bool(analyzer.trouble))
    analyzer.close()


@pytest.mark.parametrize(
    "answer",
    [None, 3, "x", [], [3, None, {}], {"items": 3}, {"items": [{"label": 3}, None]},
     {"contents": [None, 3]}, {"signatures": [None]}, {"signatures": [{"label": "f"}],
     "activeSignature": -1, "activeParameter": "x"}, {"items": [{"range": [], "message": None}]}],
)  # fmt: skip
def test_answers_of_any_shape(answer: object) -> None:
    assert all(each.text for each in completions(answer, "abc", 3))
    assert isinstance(hover(answer), str)
    found = signature(answer)
    assert found is None or found.active is None
    assert all(each.start.line == 0 for each in hints(answer))


def test_columns() -> None:
    line = "a𝄞b"
    assert [to_utf16(line, column) for column in (-1, 0, 1, 2, 3, 9)] == [0, 0, 1, 3, 4, 4]
    assert [to_column(line, units) for units in (0, 1, 2, 3, 4, 99)] == [0, 1, 1, 2, 3, 3]
