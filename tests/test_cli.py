"""The command line as a user types it: output, JSON lines, exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kernellab.progress import Progress
from tests.drivers import driver_source

HELLO = driver_source('println!("hello {}", 1);')


def kernellab(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kernellab.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_run_prints_the_log(tmp_path: Path) -> None:
    write(tmp_path, "hello.rs", HELLO)
    done = kernellab("run", "hello.rs", cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("hello 1\nbye\n", 0)


def test_json_is_events_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, "hello.rs", HELLO)
    write(tmp_path, "client.py", "print('from the client')\nassert driver.running\n")
    done = kernellab("run", "hello.rs", "--json", "--client", "client.py", cwd=tmp_path)
    got = events(done.stdout)
    assert [e["event"] for e in got] == ["state", "dbgprint", "state", "dbgprint", "state"]
    assert [e["seq"] for e in got] == [1, 2, 3, 4, 5]
    assert [e["state"] for e in got if e["event"] == "state"] == ["loaded", "running", "unloaded"]
    assert got[1]["text"] == "hello 1\n"
    assert got[1]["driver"] == "hello"
    assert "from the client" in done.stderr
    assert done.returncode == 0


def test_build_then_run_the_image(tmp_path: Path) -> None:
    write(tmp_path, "hello.rs", HELLO)
    done = kernellab("build", "hello.rs", "-o", "out.sys", "--release", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.sys").read_bytes()[:2] == b"MZ"
    assert (tmp_path / "out.pdb").exists()
    done = kernellab("run", "out.sys", cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("hello 1\nbye\n", 0)


def test_compile_error_is_exit_code_1_and_names_the_files_own_line(tmp_path: Path) -> None:
    write(tmp_path, "broken.rs", HELLO.replace("println!(", "printnl!("))
    done = kernellab("build", "broken.rs", cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot find macro `printnl`" in done.stderr
    assert "broken.rs:7:" in done.stderr
    assert str(tmp_path) not in done.stderr
    assert not (tmp_path / "broken.sys").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run"], 2, "SRC"),
        (["run", "absent.rs"], 2, "there is no absent.rs"),
        (["run", "hello.rs", "--target", "toaster"], 2, "there are: sim"),
        (["run", "hello.rs", "--timeout", "0"], 2, "not a number of seconds"),
        (["run", "hello.rs", "--client", "absent.py"], 2, "absent.py"),
        (["run", "bad name.rs"], 2, "bad name"),
        (["run", "notes.txt"], 2, "neither a .rs file"),
        (["run", "binary.rs"], 2, "not UTF-8"),
        (["run", "empty.sys"], 7, "not a driver"),
        (["build", "empty.sys"], 2, "is built already"),
        (["build", "notes.txt"], 2, "neither a .rs file"),
        (["build", "hello.rs", "-o", "notes.txt/out.sys"], 2, "cannot write notes.txt"),
        (["fly"], 2, "invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    write(tmp_path, "hello.rs", HELLO)
    write(tmp_path, "bad name.rs", HELLO)
    write(tmp_path, "notes.txt", "x")
    (tmp_path / "binary.rs").write_bytes(b"\xff\xfe")
    (tmp_path / "empty.sys").write_bytes(b"")
    done = kernellab(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def damaged(image: bytes, case: str) -> bytes:
    """A driver's image with one thing wrong."""
    headers = int.from_bytes(image[0x3C:0x40], "little")

    def patched(offset: int, value: bytes) -> bytes:
        at = headers + offset
        return image[:at] + value + image[at + len(value) :]

    return {
        "text": b"this is no image\r\n" * 100,
        "only MZ": b"MZ",
        "headers cut": image[: headers + 40],
        "sections cut": image[: len(image) // 2],
        "32-bit machine": patched(4, (0x014C).to_bytes(2, "little")),
        "32-bit format": patched(24, (0x010B).to_bytes(2, "little")),
        "header far out": image[:0x3C] + b"\xff\xff\xff\x7f" + image[0x40:],
    }[case]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("text", "not a PE image"),
        ("only MZ", "truncated"),
        ("headers cut", "truncated"),
        ("sections cut", "truncated"),
        ("32-bit machine", "x86"),
        ("32-bit format", "PE32"),
        ("header far out", "truncated"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_an_image_that_cannot_be_loaded_is_exit_code_7(
    tmp_path: Path, hello: Path, case: str, says: str, as_json: bool
) -> None:
    (tmp_path / "bad.sys").write_bytes(damaged(hello.read_bytes(), case))
    done = kernellab("run", "bad.sys", *(["--json"] if as_json else []), cwd=tmp_path)
    assert done.returncode == 7, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if as_json:
        (event,) = events(done.stdout)
        assert (event["event"], event["kind"]) == ("error", "load")
        assert says in event["message"]
    else:
        assert done.stdout == ""
        assert says in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_ready_driver_may_be_called_anything(tmp_path: Path, hello: Path) -> None:
    for name in ("foo 1.2.sys", "1394.SYS"):
        (tmp_path / name).write_bytes(hello.read_bytes())
        done = kernellab("run", name, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "hello from the kernel\nbye\n"), done.stderr


def test_progress_says_what_takes_long_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress(after=60) as quick:
        quick(0, 3, "the first part")
    assert capsys.readouterr().err == ""
    with Progress(after=60) as slow:
        slow(0, 3, "the first part")  # in the quiet time, and nothing new comes before its end
        slow._speak()
        slow.about("of it")(1, 3, "the second part")
    assert capsys.readouterr().err == "the first part (0 of 3)\nof it: the second part (1 of 3)\n"


def test_messages_are_one_empty_line_apart(tmp_path: Path) -> None:
    write(tmp_path, "broken.rs", HELLO.replace("println!(", "printnl!(").replace("bye", "{"))
    done = kernellab("build", "broken.rs", cwd=tmp_path)
    assert done.returncode == 1
    assert "\n\n\n" not in done.stderr
    assert "\n\nerror: broken cannot be built" in done.stderr


def test_bytes_that_are_no_text_are_shown_and_kept_apart(tmp_path: Path) -> None:
    """A driver may print any bytes: they come out as text, never as an error of ours."""
    body = (
        "unsafe { windows_kernel_rs::sys::ntoskrnl::DbgPrint("
        r'c"%s\n".as_ptr().cast(), c"a\xff\xfe\x80b\xc3\xa9\x1b[31m".as_ptr()) };'
    )
    write(tmp_path, "odd.rs", driver_source(body))
    plain = kernellab("run", "odd.rs", cwd=tmp_path)
    assert plain.returncode == 0, plain.stderr
    assert "\x1b" not in plain.stdout
    lines = plain.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("a") and "b" in lines[0]
    done = kernellab("run", "odd.rs", "--json", cwd=tmp_path)
    (text, _) = [e["text"] for e in events(done.stdout) if e["event"] == "dbgprint"]
    assert text.startswith("a") and text.endswith("\n")


CASES = [
    ("fails", "if true { return Err(Error::INSUFFICIENT_RESOURCES); }", 3, "error"),
    ("panics", 'panic!("on purpose");', 4, "bugcheck"),
    ("leaks", "core::mem::forget(core::hint::black_box(alloc::vec![1u8; 40]));", 5, "violation"),
    ("loops", "loop { core::hint::spin_loop(); }", 6, "error"),
]


@pytest.mark.parametrize(("name", "body", "code", "event"), CASES, ids=[c[0] for c in CASES])
def test_exit_codes(tmp_path: Path, name: str, body: str, code: int, event: str) -> None:
    extra = "extern crate alloc;" if "alloc::" in body else ""
    write(tmp_path, f"{name}.rs", driver_source(body, extra=extra))
    done = kernellab("run", f"{name}.rs", "--json", "--timeout", "0.5", cwd=tmp_path)
    assert done.returncode == code, done.stderr
    last = next(e for e in events(done.stdout) if e["event"] == event)
    if event == "bugcheck":
        assert [f["line"] for f in last["frames"] if f.get("file") == "panics.rs"] == [7]
    plain = kernellab("run", f"{name}.rs", "--timeout", "0.5", cwd=tmp_path)
    assert plain.returncode == code
    if name in ("panics", "loops", "leaks"):
        assert f"{name}.rs:7" in plain.stderr


def test_client_script_that_fails_is_exit_code_8(tmp_path: Path) -> None:
    write(tmp_path, "hello.rs", HELLO)
    write(tmp_path, "client.py", "target.open(r'\\\\.\\Absent')\n")
    done = kernellab("run", "hello.rs", "--client", "client.py", cwd=tmp_path)
    assert done.returncode == 8
    assert "STATUS_OBJECT_NAME_NOT_FOUND" in done.stderr or "no device" in done.stderr


def test_targets_doctor_help(tmp_path: Path) -> None:
    assert "sim" in kernellab("targets", cwd=tmp_path).stdout
    doctor = kernellab("doctor", "--json", cwd=tmp_path)
    checks = [json.loads(line) for line in doctor.stdout.splitlines()]
    assert {"name", "ok", "found", "mend"} <= set(checks[0])
    assert doctor.returncode == 0, doctor.stdout
    text = kernellab("--help", cwd=tmp_path).stdout
    assert all(
        word in text
        for word in ("setup", "doctor", "build", "run", "targets", "exports", "Exit codes")
    )


def test_output_into_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    write(tmp_path, "many.rs", driver_source('for n in 0..5000u32 { println!("{n}"); }'))
    command = [sys.executable, "-m", "kernellab.cli", "run", "many.rs"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        process.wait(60)


def test_exports_lists_what_sim_has(tmp_path: Path) -> None:
    done = kernellab("exports", "Ke*Timer", cwd=tmp_path)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["KeSetTimer", "ke_dpc", "DISPATCH_LEVEL"] in lines
    assert all(re.fullmatch(r"Ke\w*Timer", line[0]) for line in lines)
    row = events(kernellab("exports", "NtBuildNumber", "--json", cwd=tmp_path).stdout)
    assert row == [
        {"name": "NtBuildNumber", "family": "ke", "irql": "any", "simplified": "",
         "kind": "variable"}
    ]  # fmt: skip
    none = kernellab("exports", "KeNoSuchThing*", cwd=tmp_path)
    assert (none.returncode, none.stdout) == (2, "")
    assert "KeNoSuchThing*" in none.stderr
    assert "IopInvalidDeviceRequest" not in kernellab("exports", cwd=tmp_path).stdout


def test_exports_compares_with_a_list_and_with_a_driver(tmp_path: Path) -> None:
    names = write(tmp_path, "names.tsv", "# a comment\nDbgPrint\t34\nHalNoSuch\t1\nHalNoSuch\n")
    assert kernellab("exports", "--missing", names, cwd=tmp_path).stdout == "HalNoSuch\n"
    write(tmp_path, "hello.rs", HELLO)
    assert kernellab("build", "hello.rs", cwd=tmp_path).returncode == 0
    done = kernellab("exports", "hello.sys", cwd=tmp_path)
    assert done.returncode == 0
    assert "ok       ntoskrnl.exe!DbgPrintEx" in done.stdout
    image = (tmp_path / "hello.sys").read_bytes()
    (tmp_path / "odd.sys").write_bytes(image.replace(b"DbgPrintEx\0", b"DbgPrintXx\0"))
    odd = kernellab("exports", "odd.sys", cwd=tmp_path)
    assert "MISSING  ntoskrnl.exe!DbgPrintXx" in odd.stdout
    assert odd.returncode == 7
    write(tmp_path, "text.sys", "no image")
    assert kernellab("exports", "text.sys", cwd=tmp_path).returncode == 7
    assert kernellab("exports", "none.sys", cwd=tmp_path).returncode == 2


SETTINGS = """
use windows_kernel_rs::registry::{Access, Key};
use windows_kernel_rs::{kernel_module, println, Driver, KernelModule, Result};

struct Module;
impl KernelModule for Module {
    fn init(_: Driver, path: &str) -> Result<Self> {
        let key = Key::parameters(path, Access::Write)?;
        println!("{} {:?}", key.get_or("Depth", 0_u32)?, key.get::<alloc::string::String>("Who")?);
        Ok(Module)
    }
    fn cleanup(&mut self, _: Driver) {}
}
kernel_module!(Module);
extern crate alloc;
"""


def test_parameters_are_in_the_drivers_key(tmp_path: Path) -> None:
    source = write(tmp_path, "settings.rs", SETTINGS)
    ran = kernellab("run", source, "--param", "Depth=0x10", "--param", "Who=you = me", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, '16 "you = me"\n'), ran.stderr


@pytest.mark.parametrize("text", ["Depth", "=3", "a\\b=3", "Depth=99999999999999999999"])
def test_a_parameter_has_a_name_and_a_value(tmp_path: Path, text: str) -> None:
    ran = kernellab("run", write(tmp_path, "x.rs", HELLO), "--param", text, cwd=tmp_path)
    assert ran.returncode == 2
    assert "argument --param" in ran.stderr


def test_build_makes_the_folder_that_it_writes_to(tmp_path: Path) -> None:
    ran = kernellab("build", write(tmp_path, "x.rs", HELLO), "-o", "new/er/x.sys", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "new" / "er" / "x.sys").read_bytes()[:2] == b"MZ"


def test_build_shows_the_code_of_a_function(tmp_path: Path) -> None:
    (tmp_path / "hello.rs").write_text(driver_source('println!("x");'))
    done = kernellab("build", "hello.rs", "--asm", "init", "--release", cwd=tmp_path)
    assert done.returncode == 0 and "Module::init" in done.stdout
    assert re.search(r"^ +7 │ +println!", done.stdout, re.MULTILINE)
    wrong = kernellab("build", "hello.rs", "--asm", "inti", cwd=tmp_path)
    assert wrong.returncode == 2 and "did you mean Module::init?" in wrong.stderr
