"""The bug check view: what, where in the cell, how it came there, what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from kernellab.pane.bugcheck import render_bugcheck
from kernellab.pane.places import OPEN_FRAMES
from kernellab.pane.registers import notes
from kernellab.pane.text import MOST_FRAMES, bugcheck_text
from kernellab.protocol import BugcheckEvent, Frame, event_fields, parse_event
from tests.pane.helpers import HOSTILE, harmless

CELL = "%%rustdriver boom\nfn a() {\n    let x = <nowhere>();\n}\n// end\n"
OWN = Frame(module="boom.sys", rva=0x10, function="boom::init", file="cell", line=3)
LIBRARY = Frame(function="read", file="core/ptr.rs", line=2029, inlined=True)
KERNEL = Frame(module="ntoskrnl.exe", rva=0x12F0)
EVENT = BugcheckEvent(
    driver="boom",
    code="0x7e",
    name="SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
    message="The driver read address 0.",
    parameters=("0xc0000005", "0x0"),
    frames=(LIBRARY, OWN, KERNEL),
    instruction="mov eax, [rcx]",
    registers={"rax": "0x1", "rip": "0x2"},
)


class Outline(HTMLParser):
    """The text, and whether all elements are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_names_the_line_of_the_cell_first() -> None:
    html = render_bugcheck(EVENT, CELL)
    text = Outline(html).text
    order = [
        *("SYSTEM_THREAD", "0x0000007E", "The driver read address 0.", "Line 3 of your cell"),
        *("→ 3 │     let x = <nowhere>();", "Look at line 3", "boom.reload()"),
        *("The usual cause", "Parameters", "Call stack", "boom::init", "Registers", "To read"),
    ]
    assert sorted(order, key=text.index) == order
    assert re.search(r"<strong [^>]*>→ 3 │     let x = &lt;nowhere&gt;\(\);</strong>", html)


def test_the_users_frame_has_a_mark_besides_its_weight() -> None:
    html = render_bugcheck(EVENT, CELL)
    frames = re.findall(r"<li.*?</li>", html)
    assert [("▸" in frame, "<strong>" in frame) for frame in frames] == [
        (False, False), (True, True), (False, False)
    ]  # fmt: skip
    assert "(inlined)" in frames[0]
    assert "ntoskrnl.exe+0x12f0" in frames[2]


def test_roles_and_names_for_a_screen_reader() -> None:
    html = render_bugcheck(EVENT, CELL)
    assert 'role="group" aria-label="Bug check SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"' in html
    assert "<summary>Registers</summary>" in html
    assert "<summary>Instructions</summary>" in html


def test_frames_of_the_kernel_are_dim_and_long_stacks_fold() -> None:
    html = render_bugcheck(replace(EVENT, frames=(OWN, *(KERNEL,) * 20)), CELL)
    assert html.count('<li class="kl-dim"><code>ntoskrnl.exe+0x12f0</code>') == 20
    assert f'<summary>Show all 21</summary><ol start="{OPEN_FRAMES}"' in html
    assert '<span class="kernellab-go">cell:3</span>' in html


def test_registers_that_the_address_was_made_of_are_explained() -> None:
    event = replace(
        EVENT,
        instruction="mov rax, qword ptr [rcx + r8*8 + 0x10]",
        registers={"rax": "0x0", "rcx": "0x0", "r8": "0x2000000", "rdx": "0xcdcdcdcdcdcdcdcd"},
    )
    assert notes(event) == {
        "rcx": "NULL: the address was made of it",
        "r8": "an address of programs, not of the kernel: the address was made of it",
        "rdx": "CD repeated: pool that nothing was written to yet",
    }
    html = render_bugcheck(event, CELL)
    assert "   rcx 0000000000000000 ←" in html and "   rax 0000000000000000  " in html
    assert "<code>rcx</code> ← NULL" in html
    assert "rcx 0x0: NULL: the address was made of it" in bugcheck_text(event, CELL)


def test_instructions_around_the_one_that_faulted() -> None:
    event = replace(EVENT, disassembly=("+0x10  push rbx", "→ +0x11  mov eax, [<rcx>]"))
    html = render_bugcheck(event, CELL)
    assert '<strong class="kl-here">→ +0x11  mov eax, [&lt;rcx&gt;]</strong>' in html
    assert "→ +0x11  mov eax, [<rcx>]" in bugcheck_text(event, CELL)
    assert parse_event(event_fields(event)) == event


@pytest.mark.parametrize("source", [None, "", "%%rustdriver boom\n"])
def test_without_the_line_there_is_no_excerpt(source: str | None) -> None:
    text = Outline(render_bugcheck(EVENT, source)).text
    assert "Line 3 of your cell" in text and "│" not in text


def test_without_anything_known() -> None:
    text = Outline(render_bugcheck(BugcheckEvent())).text
    assert "UNKNOWN" in text and "The driver stopped the machine." in text
    assert "Mend the code and run it again" in text
    assert "Parameters" not in text and "Call stack" not in text and "Registers" not in text


def test_a_runaway_stack_is_capped() -> None:
    html = render_bugcheck(BugcheckEvent(code="0x7f", name="X", frames=(OWN,) * 9000), CELL)
    assert html.count("<li><strong>") == MOST_FRAMES
    assert f"… and {9000 - MOST_FRAMES} more" in html


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text(hostile: str) -> None:
    frame = Frame(module=hostile, function=hostile, file=hostile, line=1, address=hostile)
    own = Frame(module=hostile, function=hostile, file="cell", line=1, address=hostile)
    event = BugcheckEvent(
        code=hostile, name=hostile, message=hostile, parameters=(hostile,), frames=(frame, own),
        instruction=hostile, registers={hostile: hostile},
    )  # fmt: skip
    html = render_bugcheck(event, hostile, last_words=hostile)
    harmless(html, html=True)
    assert Outline(html).tags <= set(
        "div strong code pre ol li span details summary table tbody tr td".split()
    )
