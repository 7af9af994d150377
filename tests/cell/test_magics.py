"""``%%rustdriver`` in a real IPython kernel: what a notebook gets, well and not well."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drivers import driver_source
from tests.kernel import Notebook, Result, gone

HELLO = driver_source('println!("hello from {}", "the kernel");')
FAULTS = Path(__file__).parents[1] / "target" / "sim" / "drivers" / "faults.rs"
LOOP = driver_source("loop { core::hint::spin_loop(); }")


@pytest.fixture(scope="module")
def shared() -> Iterator[Notebook]:
    notebook = Notebook()
    yield notebook
    notebook.close()


@pytest.fixture
def notebook(shared: Notebook) -> Notebook:
    """The module's kernel; each test ends with a cell that has to work."""
    return shared


def test_a_trace_is_off_unless_asked_for(notebook: Notebook) -> None:
    result = notebook.run(f"%%rustdriver traced --trace\n{HELLO}")
    assert result.status == "ok", result.traceback
    assert "data:image/svg+xml" in result.html
    assert "Timeline: " in result.text and "calls into the kernel" in result.text
    names = "[e.name for e in traced.trace.events if e.kind == 'print']"
    assert notebook.value(names) == "['hello from the kernel']"
    notebook.run_ok("traced.unload(); before = traced.trace")
    assert notebook.value(names) == "['hello from the kernel', 'bye']"
    notebook.run_ok("traced.reload()")  # still recorded
    assert notebook.value(f"len({names})") == "3"
    # The cell again: a trace of its own, or none.
    assert notebook.run(f"%%rustdriver traced --trace 7\n{HELLO}").status == "ok"
    assert notebook.value("len(traced.trace), before.recording") == "7 False"
    assert notebook.run(f"%%rustdriver traced\n{HELLO}").status == "ok"
    error = notebook.run("traced.trace")
    assert error.name == "UsageError" and "--trace" in error.traceback
    for wrong in ("--trace 0", "--trace many", "--trace 99999999"):
        assert notebook.run(f"%%rustdriver traced {wrong}\n{HELLO}").name == "UsageError"
    notebook.run_ok("traced.unload()")


def test_cell_runs_and_binds_the_driver(notebook: Notebook) -> None:
    result = notebook.run(f"%%rustdriver hello\n{HELLO}")
    assert result.status == "ok", result.traceback
    assert "hello from the kernel" in result.text
    assert "hello from the kernel" in result.html
    assert any("application/vnd.jupyter.widget-view+json" in o for o in result.outputs)
    assert notebook.value("hello.state, hello.log.lines") == "running ['hello from the kernel']"
    notebook.run_ok("hello.unload()")
    assert "bye" in result.text  # the cell's saved form followed


def test_the_saved_form_follows_at_the_end_of_any_cell(notebook: Notebook) -> None:
    result = notebook.run(f"%%rustdriver followed\n{HELLO}")
    notebook.run_ok("followed.target.reboot()")
    assert "gone" in result.text.splitlines()[0]


def test_running_again_replaces_the_driver(notebook: Notebook) -> None:
    for n in range(2):
        source = HELLO.replace("hello from", f"number {n} from")
        notebook.run_ok(f"%%rustdriver again\n{source}")
    assert notebook.value("again.log.lines") == "['number 1 from the kernel']"
    assert notebook.value("[d['name'] for d in again.target.status()['drivers']]") == "['again']"


def test_running_again_while_a_handle_is_open(notebook: Notebook) -> None:
    """The handle is closed first, the machine goes on, and the handle says what became of it."""
    source = (Path(__file__).parents[1] / "target/sim/drivers/devices.rs").read_text()
    first = notebook.run_ok(f"%%rustdriver devices\n{source}")
    notebook.run_ok(r"handle = devices.open()")
    notebook.run_ok("old, boots = devices, devices.target.reboots")
    notebook.run_ok(f"%%rustdriver devices\n{source}")
    assert notebook.value("devices.state, devices.target.reboots - boots") == "running 0"
    assert r"the open handle to \\.\devices was closed" in first.text
    assert notebook.value("old.log.lines[-1]") == "unload"
    stale = notebook.run("handle.write(b'x')")
    assert stale.name == "NtStatusError" and "devices was unloaded; open() it again" in str(stale)
    notebook.run_ok("handle.close()")
    last = notebook.run_ok(f"%%rustdriver devices\n{source}")
    notebook.run_ok("handle = devices.open(); devices.unload()")
    assert "devices: unload pending. DriverUnload runs when the last handle" in last.text
    notebook.run_ok("handle.close()")
    assert notebook.value("devices.state") == "unloaded"
    assert last.text.startswith("devices: unloaded")


def test_compile_error_speaks_of_the_cell(notebook: Notebook) -> None:
    broken = HELLO.replace("println!(", "printnl!(", 1)
    result = notebook.run(f"%%rustdriver broken\n{broken}")
    assert (result.status, result.name) == ("error", "BuildError")
    shown = result.text + result.html + result.traceback
    assert "cannot find macro" in shown
    assert re.search(r"cell:8:\d+", result.text)  # line 1 is the magic's own
    assert not re.search(r"/tmp|/root|/home|\.cache|crates/", shown)
    assert "Traceback" not in result.traceback
    notebook.run_ok(f"%%rustdriver broken\n{HELLO}")


def test_warnings_are_shown_and_the_driver_runs(notebook: Notebook) -> None:
    source = driver_source("let unused = 3;")
    result = notebook.run(f"%%rustdriver warned\n{source}")
    assert result.status == "ok"
    assert "unused variable" in result.text
    assert "<details" in result.html


def test_nothing_to_run_says_what_to_add(notebook: Notebook) -> None:
    result = notebook.run("%%rustdriver empty\nfn f() {}\n")
    assert (result.status, result.name) == ("error", "BuildError")
    assert "kernel_module!" in result.text + result.traceback


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "needs a name"),
        ("a/b", "a/b"),
        ("..", ".."),
        ("CON", "CON"),
        ("x" * 80, "64"),
        ("hello --target mars", "mars"),
        ("hello --release=1", "release"),
        ('hello --dep "nover"', "version"),
    ],
)
def test_bad_lines(notebook: Notebook, line: str, says: str) -> None:
    result = notebook.run(f"%%rustdriver {line}\n{HELLO}")
    assert (result.status, result.name) == ("error", "UsageError")
    assert says in result.traceback
    assert len(result.traceback.splitlines()) < 60


def test_bug_check_pane_and_the_next_cell(notebook: Notebook) -> None:
    source = driver_source("let v = unsafe { core::ptr::null::<u32>().read_volatile() };")
    result = notebook.run(f"%%rustdriver bad\n{source}")
    assert (result.status, result.name) == ("error", "Bugcheck"), result.traceback + result.text
    assert "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED" in result.text
    assert re.search(r"> +8 \|.*read_volatile", result.text)
    assert "0x0000007E" in result.html
    assert notebook.value("bad.state") == "bug check"
    allowed = notebook.run(f"%%rustdriver bad --allow-failure\n{source}")
    assert allowed.status == "ok"
    notebook.run_ok(f"%%rustdriver hello\n{HELLO}")


def test_a_new_run_after_a_reboot_is_no_second_load(notebook: Notebook) -> None:
    crash = driver_source("let v = unsafe { core::ptr::null::<u32>().read_volatile() };")
    notebook.run_ok(f"%%rustdriver first\n{HELLO}")
    notebook.run_ok(f"%%rustdriver crash --allow-failure\n{crash}")
    result = notebook.run_ok(f"%%rustdriver first\n{HELLO}")
    assert "the machine was rebooted, as it had stopped (SYSTEM_THREAD" in result.text
    assert "loaded again" not in result.text
    notebook.run_ok("first.reload()")
    notebook.run_ok("first.unload()")
    assert result.text.count("first loaded again") == 1


def test_only_panes_with_a_driver_on_the_machine_tell_of_its_reboot(notebook: Notebook) -> None:
    crash = driver_source("let v = unsafe { core::ptr::null::<u32>().read_volatile() };")
    off = notebook.run_ok(f"%%rustdriver off\n{HELLO}")
    notebook.run_ok("off.unload()")
    on = notebook.run_ok(f"%%rustdriver on\n{HELLO}")
    check = notebook.run_ok(f"%%rustdriver crash --allow-failure\n{crash}")
    notebook.run_ok("on.target.reboot(); on.target.reboot()")
    notebook.run_ok(f"%%rustdriver crash --allow-failure\n{crash}")
    notebook.run_ok(f"%%rustdriver last\n{HELLO}")  # brings what is saved up to date
    notebook.run_ok("import time; time.sleep(1.5)")
    assert "rebooted" not in off.text
    assert on.text.count("the machine was rebooted") == 1
    assert "on: gone. Its machine has stopped (SYSTEM_THREAD" in on.text
    assert "on.reload() loads it again" in on.text
    assert "rebooted, as" not in check.text


def test_time_out_shows_the_looping_line(notebook: Notebook) -> None:
    result = notebook.run(f"%%rustdriver spins --budget 100000\n{LOOP}")
    assert (result.status, result.name) == ("error", "TargetTimeout")
    assert "Time ran out while this ran" in result.text
    assert re.search(r"> +8 \|.*loop", result.text)
    assert re.search(r"→ +8 │.*loop", result.html)
    again = notebook.run("spins.reload(timeout=0.5)")
    assert again.name == "TargetTimeout"


@pytest.mark.parametrize(
    ("fault", "name", "state", "says"),
    [
        ("spin", "TargetTimeout", "timed out", "Time ran out while this ran"),
        ("null_read", "Bugcheck", "bug check", "*** STOP: 0x0000003B"),
    ],
)
def test_a_stop_in_another_cell_is_shown_in_the_drivers_pane(
    notebook: Notebook, fault: str, name: str, state: str, says: str
) -> None:
    """Its own line, in the pane of the driver that it was of; others go with their machine."""
    source = FAULTS.read_text(encoding="utf-8")
    other = notebook.run_ok(f"%%rustdriver hello\n{HELLO}")
    pane = notebook.run_ok(f"%%rustdriver faults\n{source}")
    call = f"faults.target.open(r'\\\\.\\Faults').ioctl(0x222000, b'{fault}', timeout=0.5)"
    result = notebook.run(call)
    assert (result.status, result.name) == ("error", name)
    assert notebook.value("faults.state, hello.state") == f"{state} gone"
    notebook.run_ok("import time; time.sleep(0.2)")  # what is saved comes with the next cell
    assert pane.text.startswith(f"faults: {state}.")
    assert says in pane.text and says not in other.text
    assert re.search(rf"> +\d+ \|.*// @{'spin' if fault == 'spin' else 'read'}", pane.text)
    assert "hello: gone. Its machine has stopped" in other.text


def test_failing_driver_entry_names_its_status(notebook: Notebook) -> None:
    source = driver_source("return Err(Error::INSUFFICIENT_RESOURCES);")
    result = notebook.run(f"%%rustdriver refuses\n{source}")
    assert (result.status, result.name) == ("error", "NtStatusError")
    assert result.text.startswith(
        "refuses: failed. DriverEntry returned STATUS_INSUFFICIENT_RESOURCES,"
    )


def test_an_earlier_runs_object_does_not_take_the_place_of_the_new_one(notebook: Notebook) -> None:
    notebook.run_ok(f"%%rustdriver twice\n{HELLO}")
    notebook.run_ok("old = twice")
    notebook.run_ok(f"%%rustdriver twice\n{HELLO.replace('hello from', 'new from')}")
    refused = notebook.run("old.reload()")
    assert (refused.status, refused.name) == ("error", "UsageError")
    assert notebook.value("twice.state, old.state") == "running unloaded"
    notebook.run_ok("twice.unload()")
    assert notebook.value("twice.state, twice.log.lines[-1]") == "unloaded bye"


def test_hostile_text_is_escaped_in_what_is_saved(notebook: Notebook) -> None:
    body = r'println!("<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u{202e}");'
    result = notebook.run(f"%%rustdriver hostile\n{driver_source(body)}")
    assert "<script>alert" not in result.html
    assert "<img" not in result.html
    assert "&lt;script&gt;" in result.html
    assert "\x1b" not in result.text + result.html
    assert "\u202e" not in result.text + result.html


def interrupt(notebook: Notebook, code: str, after: float) -> tuple[Result, float]:
    message = notebook.start(code)
    time.sleep(after)
    start = time.monotonic()
    notebook.manager.interrupt_kernel()
    return notebook.finish(message), time.monotonic() - start


def test_what_was_only_built_is_loaded_by_its_panes_button(notebook: Notebook) -> None:
    """Twice built: the second pane's Load takes away what ran before, the first one's is off."""
    runs = "from kernellab.workbench import workbench; import time; runs = workbench()._runs"
    notebook.run_ok(runs)
    ran = notebook.run_ok(f"%%rustdriver later\n{HELLO}")
    notebook.run_ok("old, panes = later, [runs['later'].pane]")
    for text in ("second from", "third from"):
        notebook.run_ok(f"%%rustdriver later --no-run\n{HELLO.replace('hello from', text)}")
        notebook.run_ok("panes.append(runs['later'].pane)")
    assert notebook.value("old.state, type(later).__name__") == "running BuildResult"
    reasons = "*(p.head()['reasons']['reload'] or 'acts' for p in panes)"
    assert notebook.value(reasons) == "acts the cell was run again acts"
    press = "panes[-1]._receive(None, {'type': 'reload'}, [])"
    wait = "\nwhile panes[-1].head()['busy']: time.sleep(0.01)"
    notebook.run_ok(press + wait)
    assert notebook.value("old.state, later.state") == "unloaded running"
    assert notebook.value(reasons) == "the cell was run again the cell was run again acts"
    log = "''.join(e.text for e in later.log if hasattr(e, 'text'))"
    assert "third from" in notebook.value(log)
    assert "third from" not in ran.text
    notebook.run_ok(press + wait)  # and from there on it is Reload
    assert notebook.value("later.state") == "running"


def test_stop_button_while_the_driver_runs(notebook: Notebook) -> None:
    notebook.run(f"%%rustdriver spins --no-run\n{LOOP}")
    result, seconds = interrupt(notebook, f"%%rustdriver spins\n{LOOP}", 0.7)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt")
    assert seconds < 3  # a second is the aim, this machine is shared
    assert notebook.value("spins.state") == "interrupted"
    notebook.run_ok(f"%%rustdriver hello\n{HELLO}")


def test_stop_button_while_it_builds(notebook: Notebook) -> None:
    # Compile-time work that takes rustc many seconds.
    slow = "const fn f(n: u64) -> u64 { let (mut i, mut s) = (0, 0);"
    slow += "while i < n { s ^= i; i += 1; } s }\n"
    slow += "#[allow(long_running_const_eval)] const X: u64 = f(3_000_000_000);\n"
    source = driver_source('println!("{}", X);', extra=slow)
    result, seconds = interrupt(notebook, f"%%rustdriver slow\n{source}", 1.5)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt")
    assert seconds < 3
    compilers = [p for p in notebook.family() if p.name().startswith(("rustc", "cargo"))]
    assert gone(compilers) == []
    notebook.run_ok(f"%%rustdriver hello\n{HELLO}")


def test_help_and_completion(notebook: Notebook) -> None:
    inspected = notebook.client.inspect("%%rustdriver", reply=True, timeout=30)
    assert "--allow-failure" in inspected["content"]["data"]["text/plain"]
    code = "%%rustdriver hello --rel"
    completed = notebook.client.complete(code, len(code), reply=True, timeout=30)
    assert "--release" in completed["content"]["matches"]


def test_unloadable_driver_goes_with_its_machine(notebook: Notebook) -> None:
    source = """
use windows_kernel_rs::sys;

#[unsafe(no_mangle)]
extern "system" fn DriverEntry(_: *mut sys::DRIVER_OBJECT, _: *mut sys::UNICODE_STRING) -> i32 {
    windows_kernel_rs::println!("raw entry");
    0
}
"""
    # What other tests of this module left loaded would keep the machine from being restarted.
    notebook.run_ok(f"%%rustdriver hello\n{HELLO}")
    notebook.run_ok("_ = [d.unload() for d in hello.target.drivers.values()]")
    for _ in range(2):
        result = notebook.run(f"%%rustdriver raw\n{source}")
        assert result.status == "ok", result.traceback + result.text
        assert "raw entry" in result.text


def test_restart_and_shutdown_leave_no_process() -> None:
    notebook = Notebook()
    try:
        notebook.run_ok(f"%%rustdriver hello\n{HELLO}")
        before = notebook.family()
        assert len(before) > 1
        notebook.manager.restart_kernel(now=True)
        assert gone(before) == []
        notebook.client.wait_for_ready(timeout=60)
        notebook.run_ok("%load_ext kernellab")
        message = notebook.start(f"%%rustdriver spins\n{LOOP}")
        time.sleep(1.5)
        running = notebook.family()
        assert message
        notebook.manager.shutdown_kernel(now=True)
        assert gone(running) == []
    finally:
        notebook.close()


def test_two_notebooks_build_at_once() -> None:
    books = [Notebook(), Notebook()]
    try:
        stamp = time.time_ns()
        cells = [
            f"%%rustdriver same\n{HELLO.replace('hello from', f'book {n} {stamp} from')}"
            for n in range(2)
        ]
        messages = [b.start(c) for b, c in zip(books, cells, strict=True)]
        for n, (book, message) in enumerate(zip(books, messages, strict=True)):
            result = book.finish(message)
            assert result.status == "ok", result.traceback
            assert book.value("same.log.lines") == f"['book {n} {stamp} from the kernel']"
    finally:
        for book in books:
            book.close()
