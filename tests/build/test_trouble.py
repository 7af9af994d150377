"""A cache folder that cannot be used: the message names it and says what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from kernellab.build import BuildResult, Toolchain, cache, store
from kernellab.errors import BuildError, KernelLabError, ToolchainError

HELLO = (Path(__file__).parent / "hello.cell").read_text()
TEMPLATE = Path(__file__).parent / "template"

Builder = Callable[..., BuildResult]


def test_the_variable_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERNELLAB_CACHE", str(tmp_path / "here"))
    assert cache.cache_root() == tmp_path / "here"
    monkeypatch.delenv("KERNELLAB_CACHE")
    assert cache.cache_root().name == "kernellab"


def test_a_file_in_the_folders_place(
    make: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "no folder"
    blocked.touch()
    monkeypatch.setenv("KERNELLAB_CACHE", str(blocked))
    with pytest.raises(KernelLabError) as caught:
        make(toolchain=None)
    assert str(blocked) in str(caught.value) and "KERNELLAB_CACHE" in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_driver_in_a_cache_that_became_read_only_is_still_found(
    make: Builder, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    assert make().cached and make().sys == first.sys


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder(
    make: Builder, own_cache: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(BuildError) as caught:
        make(HELLO.replace("bye", "read only"))
    assert str(own_cache) in str(caught.value) and os.strerror(number) in str(caught.value)
    assert "make it writable" in str(caught.value)


CODE = """
from pathlib import Path
import resource, sys
from kernellab.build import build
from kernellab.crate import write_crate
from kernellab.errors import BuildError
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    build(write_crate("hello", Path(sys.argv[2]).read_text(), template=Path(sys.argv[3])))
except BuildError as error:
    print(error)
    sys.exit(0)
sys.exit("it did build")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
@pytest.mark.parametrize("limit", [100, 20_000, 300_000])
def test_no_room(own_cache: Path, toolchain: Toolchain, limit: int) -> None:
    """A file size limit, as a full disk meets whoever writes: us, Cargo, rustc, the linker."""
    cell = Path(__file__).parent / "hello.cell"
    ended = subprocess.run(
        [sys.executable, "-c", CODE, str(limit), str(cell), str(TEMPLATE)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "no room left" in ended.stdout and str(own_cache) in ended.stdout
    assert "KERNELLAB_CACHE" in ended.stdout
    assert "/deps/" not in ended.stdout and len(ended.stdout.splitlines()) == 1


def test_after_no_room_the_same_cell_builds(
    make: Builder, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_bytes
    full = True

    def write(self: Path, data: bytes) -> int:
        if full and self.suffix == ".sys":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(BuildError, match="no room left"):
        make()
    assert store.count() == 0
    full = False
    assert make().sys.is_file()


def test_a_folder_behind_a_symbolic_link(
    make: Builder, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(own_cache, target_is_directory=True)
    monkeypatch.setenv("KERNELLAB_CACHE", str(tmp_path / "link"))
    result = make()
    assert not result.cached and str(tmp_path).encode() not in result.sys.read_bytes()
    with pytest.raises(BuildError) as caught:
        make(HELLO.replace("Ok(Module)", "Ok(Modul)"))
    assert str(tmp_path) not in "".join(d.text for d in caught.value.diagnostics)
    assert caught.value.diagnostics[0].file == "cell"


def test_doctor_and_setup_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "no folder"
    blocked.touch()
    monkeypatch.setenv("KERNELLAB_CACHE", str(blocked))
    with pytest.raises(ToolchainError, match="KERNELLAB_CACHE"):
        cache.check_writable()


def test_leftovers_are_cleaned(own_cache: Path) -> None:
    parent = own_cache / "drivers"
    young, old = parent / ".partial-young", parent / ".partial-old"
    for folder in (young, old):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    cache.clean(parent)
    assert young.is_dir() and not old.exists()
    cache.clean_all(parent)
    assert not young.exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made"
    with pytest.raises(RuntimeError), cache.new_folder(target) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with cache.new_folder(target) as folder:
        (folder / "all").touch()
    assert [p.name for p in target.iterdir()] == ["all"]
    with cache.new_folder(target) as folder:  # somebody else was faster
        (folder / "other").touch()
    assert [p.name for p in target.iterdir()] == ["all"]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"
    cache.write_file(target, b"one")
    cache.write_file(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in target.parent.iterdir()] == ["file"]


def test_an_interrupt_while_a_lock_is_taken_leaves_it_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = FileLock.acquire

    def interrupted(self: FileLock, *arguments: object, **named: object) -> None:
        acquire(self, *arguments, **named)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    path = tmp_path / "lock"
    with monkeypatch.context() as patch:
        patch.setattr(FileLock, "acquire", interrupted)
        with pytest.raises(KeyboardInterrupt) as kept, cache.locked(path):
            pass
    assert kept.tb is not None  # as a notebook keeps it
    cancel = threading.Event()
    cancel.set()
    with cache.locked(path, cancel=cancel):
        pass
