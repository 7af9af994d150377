"""Every lesson runs from top to bottom; its exercises are not solved at first, and can be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from kernellab.course import lessons
from kernellab.course.nbgrader import CHECK, SOLUTION
from tools.lessons import NOTEBOOKS, clean, execute

LESSONS = sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
_CODE = re.compile(r"```(rust|python)\n(.*?)```", re.DOTALL)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def lesson(request: pytest.FixtureRequest) -> tuple[str, Any, Any]:
    """A lesson's name, the notebook as it is kept, and the same after a run."""
    path: Path = request.param
    try:
        return path.stem, read(path), clean(execute(path))
    except nbclient.exceptions.CellExecutionError as error:
        if "could not be downloaded" in str(error):
            pytest.skip("the lesson's crates cannot be downloaded here")
        raise


def texts(notebook: Any, kind: str = "text/plain") -> str:
    """All that a notebook's cells show."""
    return "\n".join(
        output.get("text", "") or output.get("data", {}).get(kind, "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def shown(notebook: Any, beginning: str) -> str:
    """All text that the cell which begins so shows."""
    cell = next(c for c in notebook.cells if c.source.startswith(beginning))
    return "\n".join(
        o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs
    )


def test_what_is_kept_is_what_a_run_shows(lesson: tuple[str, Any, Any]) -> None:
    """The file has outputs, for readers on a code host; no widgets, no errors, no times."""
    _, kept, ran = lesson
    nbformat.validate(kept)
    assert "widgets" not in kept.metadata
    for before, after in zip(kept.cells, ran.cells, strict=True):
        if before.cell_type == "code":
            kinds = [(o.output_type, *sorted(o.get("data", {}))) for o in before.outputs]
            assert kinds == [(o.output_type, *sorted(o.get("data", {}))) for o in after.outputs]
            assert before.execution_count is not None, "run tools/lessons.py"
    html = texts(kept, "text/html")
    assert "<script" not in html
    assert not re.search(r"/tmp/|/root/|/home/|C:\\\\Users", json.dumps(kept))


def test_it_is_made_as_lessons_are(lesson: tuple[str, Any, Any]) -> None:
    name, kept, _ = lesson
    text = "\n".join(cell.source for cell in kept.cells if cell.cell_type == "markdown")
    assert kept.cells[0].source.startswith(f"# {int(name[:2])}. ")
    for part in ("You will learn", "## What real Windows does differently", "## Exercises"):
        assert part in text, f"the lesson has no part: {part}"
    known = next(each for each in lessons() if each.number == int(name[:2]))
    numbers = [m[1] for c in kept.cells if c.cell_type == "code" if (m := CHECK.search(c.source))]
    assert numbers == [each.number for each in known.exercises]
    assert 2 <= len(numbers) <= 4
    for each in known.exercises:
        assert f"### {each.number} {each.title}" in text


def test_no_exercise_is_solved_at_first(lesson: tuple[str, Any, Any]) -> None:
    _, _, ran = lesson
    for cell in ran.cells:
        if cell.cell_type == "code" and CHECK.search(cell.source):
            assert "not yet. " in "".join(o.data["text/plain"] for o in cell.outputs)


def test_each_exercise_can_be_solved(
    lesson: tuple[str, Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folded solutions, put where they belong, are found to be right; twice."""
    _, kept, _ = lesson
    progress = tmp_path / "progress.json"
    monkeypatch.setenv("KERNELLAB_PROGRESS", str(progress))
    cells = [nbformat.v4.new_code_cell(kept.cells[first_code(kept)].source)]
    exercises = []
    for index, cell in enumerate(kept.cells):
        match = CHECK.search(cell.source) if cell.cell_type == "code" else None
        if match is None:
            continue
        starter, solution = kept.cells[index - 1], kept.cells[index + 1]
        assert SOLUTION.search(solution.source), f"{match[1]} has no folded solution"
        found = _CODE.search(solution.source)
        assert found is not None
        check = cell.source
        if found[1] == "rust":
            magic = starter.source.partition("\n")[0]
            if "--allow-failure" not in magic:
                magic += " --allow-failure"
            cells.append(nbformat.v4.new_code_cell(f"{magic}\n{found[2]}"))
        else:
            cells.append(nbformat.v4.new_code_cell(starter.source))
            if CHECK.search(found[2]):
                check = found[2]
            else:
                cells.append(nbformat.v4.new_code_cell(found[2]))
        cells += [nbformat.v4.new_code_cell(check), nbformat.v4.new_code_cell(check)]
        exercises.append(match[1])
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    results = [
        "".join(o.get("data", {}).get("text/plain", "") for o in cell.outputs)
        for cell in notebook.cells
        if CHECK.search(cell.source)
    ]
    assert [each for each in results if not each.startswith("✓")] == []
    assert len(results) == 2 * len(exercises)
    assert sorted(json.loads(progress.read_text())["solved"]) == sorted(exercises)


def first_code(notebook: Any) -> int:
    return next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")


#: What lessons show, by the beginning of the cell that does.
SHOWS: dict[str, list[tuple[str, str]]] = {
    "01-hello-driver": [
        ("data = hello.image", "begins with b'MZ'"),
        ("%%rustdriver hello", "Bye bye!"),
        ("%%rustdriver settings", "Services\\settings"),
        ("%%rustdriver printing", "100 % safe: %s %n %x"),
        ("for driver in (settings, printing, primes)", "found 25 primes"),
        ("leaky.unload()", "leak-pool"),
        ("leaky.unload()", "cell:11"),
        ("%%rustdriver refused", "STATUS_NOT_SUPPORTED"),
        ("%%rustdriver panics", "panicked at cell:11"),
        ("%%rustdriver panics", "> 11 |"),
        ("print(null.bugcheck", "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"),
        ("%%rustdriver alive", "rebooted"),
        ("%%rustdriver alive", "everything works"),
    ],
    "02-pool": [
        ("target = notes.target", "unloaded: {}"),
        ("%%rustdriver greedy", "15 blocks of 32 MiB, then Err(STATUS_INSUFFICIENT_RESOURCES"),
        ("%%rustdriver careless", "memory allocation of 1099511627776 bytes failed"),
        (
            "from kernellab.course.pictures",
            "{'Name': 6000, 'Ring': 2048, 'Rust': 3400, 'Pckt': 3000}",
        ),
        ("pools.unload()", "{}"),
        ("%%rustdriver too_high", "may be called at APC_LEVEL and below; the IRQL is DISPATCH"),
        ("%%rustdriver cycle", "third ends"),
        ("cycle.unload()", "cell:20"),
        ("%%rustdriver overrun", "offset 64 of 64 bytes"),
        ("for violation in slack", "pool-overrun - offset 61"),
        ("event = dangling", "freed here      dangling::first_of at cell:8"),
        ("%%rustdriver twice", "BAD_POOL_CALLER"),
    ],
    "03-errors": [
        ("from kernellab.course.pictures", "0xc0000022: severity (bits 31 to 30) 0x3"),
        ("SEVERITY", "0x80000005  warning      STATUS_BUFFER_OVERFLOW"),
        ("%%rustdriver statuses", "Err(NTSTATUS 0xE0000007)"),
        ("with adder.open()", "STATUS_UNMAPPABLE_CHARACTER"),
        ("%%rustdriver stairs", "second: undone\nfirst: undone"),
        ('print("devices:"', "devices: []\ncomplaints: []"),
        ("from kernellab.errors import Bugcheck", "index out of bounds: the len is 4"),
        ("with primes.open()", "4 STATUS_END_OF_FILE"),
    ],
    "04-devices": [
        ("status = target", r"\??\Door -> \Device\Door"),
        ("chain(", r"\\.\Door → \??\Door → \Device\Door → door"),
        ("steps = []", "I/O manager → driver: IRP_MJ_READ of 100 bytes"),
        (
            "steps = []",
            "IRP_MJ_CLEANUP; driver → I/O manager: completed; I/O manager → driver: IRP_",
        ),
        ("with watch.open()", "STATUS_INVALID_DEVICE_REQUEST"),
        ("with hotel.open()", "guest 1 leaves after 2 meals"),
        ("for path in (", "STATUS_OBJECT_NAME_NOT_FOUND"),
        ("with booth.open()", "STATUS_ACCESS_DENIED"),
        ("handle = door.open()", "unload pending"),
    ],
    "05-read-write": [
        ("device = poem.open()", "b'Silence again.'"),
        ("device = poem.open()", "STATUS_END_OF_FILE"),
        ("def read_all", "a frog jumps into the pond"),
        ("ways =", "STATUS_REQUEST_ABORTED"),
        ("ways =", "b'hell'"),
        ("with echo.open()", "STATUS_INVALID_BUFFER_SIZE"),
        ("with ring.open()", "took 6"),
        ("dice =", "how full it is"),
        ("data = random", "the driver says 0x26dd882c, Python 0x26dd882c"),
        ("for driver in", "checksum   unloaded []"),
    ],
    "06-ioctl": [
        ("BUFFERED,", "0x8000a004: device type (bits 31 to 16) 0x8000, access (bits 15 to 14) 0x2"),
        ("STATE =", "21.5 degrees, mode 1, fan True"),
        ("good =", "one byte too many          STATUS_INFO_LENGTH_MISMATCH"),
        ("good =", "a bool that is 2           STATUS_INVALID_PARAMETER"),
        ("%%rustdriver reserved", "functions are 0x800 to 0xFFF"),
        ("%%rustdriver padded", "`Report` has 3 total byte(s) of padding"),
        ("target =", "opened for r        SET STATUS_ACCESS_DENIED"),
        ("HELLO =", "a program of version 0: STATUS_REVISION_MISMATCH"),
        ("HELLO =", "level 5, colour ffffff"),
        ("for driver in", "lamp unloaded []"),
    ],
    "07-irql-locks": [
        ("%%rustdriver levels", "spin lock: DISPATCH_LEVEL"),
        ("%%rustdriver levels", "work item: PASSIVE_LEVEL"),
        ("%%rustdriver sleeps --allow", "panicked at cell:14"),
        ("%%rustdriver sleeps --allow", "exec::sleep may be called at APC_LEVEL and below"),
        ("%%rustdriver sleeps --release", "IRQL_NOT_LESS_OR_EQUAL"),
        ("for violation in sleeps.violations", "irql-too-high"),
        ("def last_line", "seed 0 - 2000 of 2000\nseed 1 - 1"),
        ("%%rustdriver unshared", "`Cell<u32>` cannot be shared between threads safely"),
        ("for seed in range(3)", "seed 2 - 400 400 400"),
        ("%%rustdriver bank", "cash 100, loans 0"),
        ("def mine", "the other order: the lock ... <Module as KernelModule>::init::{closure#0}"),
    ],
    "08-threads-timers": [
        (
            "target = heart.target",
            "'init is done', 'beat 1', 'beat 2', 'beat 3', 'beat 4', 'beat 5'",
        ),
        ("heart.unload()", "['cleanup', 'told to stop after 5 beats']"),
        ("def times", "timer  24.9"),
        ("mailbox.target", "nothing for 20 ms\nletters: 1\nnothing for 20 ms"),
        ("mailbox.target", "the reader ends"),
        ("%%rustdriver borrows", "closure may outlive the current function"),
    ],
    "09-pending-cancel": [
        ('device.write(b"you have mail")', "(True, b'you have mail')"),
        ("request = device.read_async(16)\ntry", "nothing is left to run that could complete it"),
        ("def outcome", "STATUS_CANCELLED"),
        ("other = mailbox.open()", "STATUS_CANCELLED | pending"),
        ("mailbox.unload()", "unload pending"),
        ("other.write", "STATUS_CANCELLED | unloaded"),
        ("print(ticker.log)", "tick 5 answers a reader, at IRQL DISPATCH_LEVEL"),
        ("device = byhand.open()", "cancel-routine-set"),
        ("from kernellab.errors import Bugcheck", "memory after it was freed"),
        ("%%rustdriver twice", "error[E0382]: use of moved value"),
    ],
    "10-user-memory": [
        ("with ways.open()", "input             3 bytes    3 bytes    3 bytes          -"),
        ("with ways.open()", "user_output             -          -          -    8 bytes"),
        ("picture = bytes", "read 40960 bytes at DISPATCH_LEVEL"),
        ("%%rustdriver late", "error[E0505]"),
        ("frames =", "The buffer's pages, in their order, are the page frames"),
        ("def report", "user-pointer-unprobed, lines [26, 30, 31]"),
        ("def report", "user-double-fetch, lines [30]"),
        ("(loaded,) =", "there is [4d, 5a, "),
        ("try:\n    peek(device, 0)", "a null pointer was used (at cell:37)"),
        ("addresses =", "the kernel's        STATUS_ACCESS_VIOLATION"),
        ("addresses =", "['it says hello'] []"),
        ("%%rustdriver again", "error[E0382]"),
    ],
    "11-registry": [
        ("%%rustdriver tuned", 'depth 16, label "unnamed"'),
        ("target = tuned.target", 'depth 64, label "the fast one"'),
        ("services =", "REG_DWORD 64"),
        ('tuned.parameters = {"Depth": "64"}', "STATUS_OBJECT_TYPE_MISMATCH"),
        ("from kernellab.system", "Depth = 4000000000 is not in 1..=1024; depth 16"),
        ("from kernellab.system", "STATUS_INVALID_BUFFER_SIZE"),
        ("doorman.parameters", "what is Alow (14 bytes)?"),
        ("for _ in range(3)", "start 4, last words: it was nice"),
        ("REREAD =", "refused: STATUS_INVALID_PARAMETER"),
        ("REREAD =", "still:   depth 64, allow []"),
        ("with target.open", "STATUS_ACCESS_DENIED"),
        ("for driver in", "[]"),
    ],
    "13-bug-checks": [
        ("target = museum", "0x3B SYSTEM_SERVICE_EXCEPTION"),
        ("from kernellab.ntdata", "STATUS_ACCESS_VIOLATION\ninstruction: mov eax, dword ptr [r"),
        ("for frame in stop", "→ museum::null_pointer at cell:17"),
        ('for room in ("paged', "0xD1 DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
        ('for room in ("paged', "IRQL 2 writing"),
        ('for room in ("paged', "0xBE ATTEMPTED_WRITE_TO_READONLY_MEMORY"),
        ('stop = visit("stack")', "0x7F UNEXPECTED_KERNEL_MODE_TRAP with 0x8"),
        ('for room in ("lock', "0xF SPIN_LOCK_ALREADY_OWNED"),
        ('for room in ("free', "0x44 MULTIPLE_IRP_COMPLETE_REQUESTS"),
        ('stop = visit("on', "0xDEAD0001 ('0x1', '0x2', '0x3', '0x4')"),
        ("for room, event, own", "on purpose"),
        ("import tempfile", "b'PAGEDU64' bug check 0x3b"),
        ("%%rustdriver spins", "DPC_WATCHDOG_VIOLATION at cell:1"),
        ("sloppy.unload()\nfor", "leak-pool          line 16"),
        ("sloppy.unload()\n[", "['format-string', 'irql-not-restored']"),
        ("ghost.unload()", "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS (0xCE)"),
    ],
    "12-watching": [
        ("target = gate", "a driver refused the creation of evil.exe: STATUS_ACCESS_DENIED"),
        ("calc = target", "notebook.exe calls observer: new process calc.exe"),
        ("calc = target", "calc.exe calls observer: image calc.exe"),
        ("parameters =", "'64'  STATUS_INVALID_PARAMETER"),
        ("RIGHTS =", "bank.exe:    VM_READ\n"),
        ("for driver in", "[]"),
        ("forgetful.unload()", "leak-callback"),
        ("def measure", "the fifth starts after 80 ms, all are seen after 100 ms"),
        ("timeline(", "slow: who starts: 0 to 20 ms, 20 to 40 ms"),
        ("quick_told,", "the fifth starts after 0 ms, all are seen after 100 ms"),
    ],
    "14-log-device": [
        ("%%rustdriver logdisk --test", "logdisk: 7 passed"),
        ("target = logdisk.target", "['the machine starts', 'a fan is slow', 'all is well']"),
        ("target = logdisk.target", "['good night']"),
        ("raw = reader", "18 (4 bytes), the machine starts (18 bytes)"),
        ("def refused", "STATUS_RANGE_NOT_FOUND"),
        ("def refused", "used=0, records=0, start=68, end=68"),
        ("for limit in", "Limit = 1 is not in 64..=1048576"),
        ("import random", "append: STATUS_DISK_FULL"),
        ("logdisk.unload()", "[]"),
        ("from pathlib", "src/store.rs"),
        ("from kernellab.sources", "logdisk.sys is the same: True"),
    ],
    "15-wine-vm": [
        ("from kernellab.notebook", "protocol.rs, store.rs, device.rs, module.rs"),
        ("data = Path", "subsystem  1 native"),
        ("data = Path", "checksum   filled in"),
        ("table =", ".text    rx"),
        ("kernellab_command", "ok       ntoskrnl.exe!IoCreateDevice"),
        ("from kernellab.target", "sim    ready"),
        ("def try_out", "hello from sim; 2 records, 21 of 65536 bytes"),
        ("def try_out", "0 violations"),
    ],
    "16-measuring": [
        ("%%rustdriver contention", "not loaded (--no-run)"),
        ("run(seed=0)", "True"),
        ("with ThreadPoolExecutor", "160"),
        ("for inside in (300, 1500)", "expected 70%"),
        ("from math import perm", " True\n 1500 steps, 2 threads"),
        ("import csv", "seed,threads,inside,rounds,taken"),
        ("%%rustdriver clock", "pool, not used: 1µs for 1000"),
    ],
}


def test_it_shows_what_it_promises(lesson: tuple[str, Any, Any]) -> None:
    name, kept, ran = lesson
    for notebook in (kept, ran):
        for beginning, text in SHOWS.get(name, []):
            assert text in shown(notebook, beginning)
