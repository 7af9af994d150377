"""``%%rustdriver`` in IPython's terminal, on a pseudo-terminal as a person has it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers import BODY_LINE, driver_source
from tests.editing.analyzer_here import analyzer_on, needs_analyzer
from tests.outcomes import CELLS, EVIL
from tests.pane.helpers import FORBIDDEN

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")

ROOT = Path(__file__).parents[2]
SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[a-zA-Z]|\][^\x07]*\x07|[=>])")
EDITOR = "editor = workbench().editor"
#: The magic's own line comes before the source's first one.
LINE = BODY_LINE + 1


class Terminal:
    """IPython in a terminal of 110 columns, its prompt ready."""

    def __init__(self, home: Path, **environment: str) -> None:
        self._main, other = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "IPython", "--no-banner", "--no-confirm-exit"],
            stdin=other, stdout=other, stderr=other, start_new_session=True, cwd=home,
            env={
                **os.environ, "IPYTHONDIR": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "110",
                "LINES": "50", "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1",
                **environment,
            },
        )  # fmt: skip
        os.close(other)
        self._prompts = 0
        self._read_to_prompt()

    def run(self, cell: str) -> str:
        """Paste a cell and run it; what was shown from then to the next prompt, escapes and all."""
        # A terminal marks what is pasted, and IPython says when it stops listening.
        os.write(self._main, f"\x1b[200~{cell}\x1b[201~\x1b\r".encode())
        self._read_until(re.compile(r"\x1b\[\?2004l"))
        return self._read_to_prompt()

    def tab(self, text: str, word: str) -> str:
        """Paste a text that is not run yet and press Tab; all that is shown until ``word`` is."""
        os.write(self._main, f"\x1b[200~{text}\x1b[201~".encode())
        os.write(self._main, b"\t")
        return plain(self._read_until(re.compile(re.escape(word))))

    def _read_to_prompt(self) -> str:
        self._prompts += 1
        gap = r"(?:\x1b\[[0-9;?]*[a-zA-Z])*"
        prompt = rf"In {gap}\[{gap}{self._prompts}{gap}\]: "
        return self._read_until(re.compile(prompt)).replace("\r\n", "\n")

    def _read_until(self, pattern: re.Pattern[str]) -> str:
        data = b""
        end = time.monotonic() + 120
        while not (found := pattern.search(data.decode("utf-8", "replace"))):
            assert time.monotonic() < end, data.decode("utf-8", "replace")[-2000:]
            if select.select([self._main], [], [], 1)[0]:
                data += os.read(self._main, 65536)
        return data.decode("utf-8", "replace")[: found.start()]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._main)


def plain(text: str) -> str:
    """``text`` without the terminal's sequences."""
    return SEQUENCE.sub("", text)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.close()


def magic(name: str, body: str, options: str = "", extra: str = "") -> str:
    return f"%%rustdriver {name} {options}\n{driver_source(body, extra=extra)}"


def test_a_drivers_life_in_a_terminal(terminal: Terminal) -> None:
    terminal.run("%load_ext kernellab")
    shown = terminal.run(magic("hello", 'println!("hello from the kernel");'))
    lines = plain(shown).strip().splitlines()
    assert lines[-2] == "hello from the kernel"
    assert re.fullmatch(r"hello: running \[build [\d.]+ m?µ?s\]", lines[-1])
    assert "\x1b[1mhello: running\x1b[0m" in shown
    assert "LogPane" not in shown and "<div" not in shown
    lines = plain(terminal.run("hello.unload()")).strip().splitlines()
    assert lines == ["bye", "hello: unloaded"]
    assert "hello loaded again" not in plain(terminal.run("hello.reload()"))


def test_troubles_in_a_terminal(terminal: Terminal) -> None:
    terminal.run("%load_ext kernellab")
    shown = terminal.run(magic("typo", 'printnl!("x");'))
    text = plain(shown)
    assert "typo: failed. It does not build" in text
    assert f"--> cell:{LINE}:9" in text
    assert "\x1b[" in shown.split("cell:")[0], "the compiler's colours"
    assert text.rstrip().splitlines()[-1].startswith("BuildError: typo cannot be built")
    read = "let v = unsafe { core::ptr::null::<u32>().read_volatile() };"
    shown = terminal.run(magic("null", f'println!("\\x1b[2Jabout to read"); {read}'))
    text = plain(shown)
    assert "␛[2Jabout to read" in text, "a driver does not draw on the terminal"
    assert "*** STOP: 0x0000007E SYSTEM_THREAD_EXCEPTION_NOT_HANDLED" in text
    assert re.search(rf"\x1b\[1m    > +{LINE} \| .*read_volatile.*\x1b\[0m", shown)
    assert f"Look at line {LINE}" in text
    assert "Traceback" not in text
    text = plain(
        terminal.run(magic("spins", "loop { core::hint::spin_loop(); }", "--budget 99999"))
    )
    assert text.count("the machine was rebooted") == 1
    assert "Time ran out while this ran" in text
    assert re.search(rf"> +{LINE} \| +loop", text)
    leak = "core::mem::forget(core::hint::black_box(alloc::vec![1u8; 40]));"
    terminal.run(magic("leaky", leak, extra="extern crate alloc;"))
    text = plain(terminal.run("leaky.unload()"))
    assert "verifier: leak-pool: 40 bytes" in text
    assert re.search(rf"> +{LINE} \| +core::mem::forget", text)


def test_no_color_is_obeyed(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, NO_COLOR="1")
    try:
        terminal.run("%load_ext kernellab")
        shown = terminal.run(magic("typo", 'printnl!("x");'))
        begin = shown.index("typo: failed")
        assert "\x1b" not in shown[begin : shown.index("BuildError")]
    finally:
        terminal.close()


@needs_analyzer
def test_tab_completes_rust(tmp_path: Path) -> None:
    with analyzer_on():
        terminal = Terminal(tmp_path)
    try:
        terminal.run("%load_ext kernellab")
        # Other work shares the machine: a Tab waits as long as it takes.
        wait = "editor._patience = 60; print('warm', editor.wait(120))"
        shown = terminal.run(f"from kernellab.workbench import workbench\n{EDITOR}; {wait}")
        assert "warm True" in plain(shown)
        names = terminal.tab(
            '%%rustdriver typed --no-run\nfn f() {\n    "x".split_', "split_at_checked"
        )
        assert "split_ascii_whitespace" in names
        assert "Error" not in names and "kernellab:" not in names
    finally:
        terminal.close()


def test_hostile_and_long_lines_in_a_terminal(terminal: Terminal) -> None:
    terminal.run("%load_ext kernellab")
    long = 'let s = "z".repeat(200); for _ in 0..5000 { print!("{s}"); } println!("|the end");'
    shown = terminal.run(
        magic("evil", f'println!("{EVIL}"); {long}', "--allow-failure", "extern crate alloc;")
        .replace("println, Driver", "print, println, Driver")
        .replace('"z".repeat', 'alloc::string::String::from("z").repeat')
    )
    text = plain(shown)
    assert "<script>alert(1)</script><b>bold</b> ␛[31mred ‹U+202E›evil‹U+200B›x\n\n# no" in text
    # The terminal gets no sequence of the driver's: only what frames the pane's own lines.
    begin = shown.index("<script>")
    assert "\x1b" not in shown[begin : shown.index("|the end")]
    assert text.count("z") >= 1_000_000
    assert not [hex(ord(each)) for each in FORBIDDEN if each in text and each != "\r"]


def test_what_magics_show_in_a_terminal(terminal: Terminal) -> None:
    terminal.run("%load_ext kernellab")
    shown = plain(terminal.run(CELLS["listed"]))
    assert "45\n" in shown and re.search(r"114c +ret|ret\n", shown)
    assert "<table" not in shown
    assert "<Driver listed on sim: running, 1 line>" in plain(terminal.run("listed"))
    terminal.run(CELLS["typo"])
    shown = plain(terminal.run("%rustcheck typo"))
    assert "cannot find macro `printnl`" in shown and "<div" not in shown
    lines = plain(terminal.run(CELLS["chatty"])).splitlines()
    assert [each for each in lines if each.startswith("line ")] == [
        f"line {n} of many" for n in range(9000)
    ]
