"""The user's cache folder: where sysroots, build folders and finished drivers are kept.

Everything in it can be deleted at any time; it is made again when it is needed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from ..errors import BuildCancelled, BuildError, ToolchainError

#: Called with (done, total, text) while something takes long; ``total`` is 0 where unknown.
Progress = Callable[[int, int, str], None]

#: Environment variable that moves the cache folder.
VARIABLE: Final = "KERNELLAB_CACHE"

#: Bytes that a build with an empty cache needs: sysroot, framework, first driver.
NEEDED: Final = 400 * 1024 * 1024

#: How a file or folder that is being made begins; such leftovers are never used.
_PARTIAL: Final = ".partial-"

#: Seconds after which a leftover surely belongs to nobody.
_STALE: Final = 24 * 3600.0

_FULL: Final = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)
)

_NO_ROOM: Final = re.compile(
    r"no space left on device|not enough space on the disk|disk quota exceeded|file too large"
    r"|SIGXFSZ|\(signal: 25\)|file size limit exceeded",
    re.IGNORECASE,
)


def cache_root() -> Path:
    """The cache folder (not made by this): ``KERNELLAB_CACHE``, else the user's own."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_cache_path

    return user_cache_path("kernellab", appauthor=False)


def folder(*parts: str) -> Path:
    """A folder of the cache, made where it was missing. Raises BuildError (see `trouble`)."""
    path = cache_root().joinpath(*parts)
    with trouble():
        path.mkdir(parents=True, exist_ok=True)
    return path


def explain(error: OSError) -> str:
    """What to tell a user whose cache folder cannot be written."""
    root = cache_root()
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        why = f"there is no room left for kernellab's cache in {root} ({reason})"
        how = f"make room, or name another folder in the environment variable {VARIABLE}"
    else:
        why = f"kernellab's cache folder {root} cannot be used ({reason})"
        how = f"make it writable, or name another in the environment variable {VARIABLE}"
    return f"{why}: {how}."


def means_full(words: str) -> bool:
    """Whether a tool's message says that there was no room for what it wrote."""
    return _NO_ROOM.search(words) is not None


def full(words: str) -> BuildError:
    """The error for such a message."""
    match = _NO_ROOM.search(words)
    return BuildError(explain(OSError(errno.ENOSPC, match.group() if match else "disk full")))


@contextlib.contextmanager
def trouble() -> Iterator[None]:
    """Turn an OSError on the cache folder into a BuildError that names it and says what to do."""
    try:
        yield
    except OSError as error:
        raise BuildError(explain(error)) from error


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Fill a private folder beside ``target``, then rename it to that: all of it or nothing.

    When another process was faster, its folder stays and ours is thrown away. OSErrors are
    the caller's to explain.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=target.parent))
    try:
        yield partial
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_file(target: Path, content: bytes) -> None:
    """Write a whole file at once: a reader sees the old one or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=_PARTIAL, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    progress: Progress | None = None,
    what: str = "",
    cancel: threading.Event | None = None,
    behind: bool = False,
) -> Iterator[None]:
    """Hold the lock file ``path``; say so while another build has it.

    With ``behind`` it is only taken while nobody else waits for it (see :func:`is_wanted`).
    Raises BuildCancelled when ``cancel`` is set while waiting, BuildError when the file cannot be
    made.
    """
    from filelock import FileLock, Timeout

    with trouble():
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(path), thread_local=False, is_singleton=False)
    turn = FileLock(str(_turn_of(path)), thread_local=False, is_singleton=False)
    begin = time.monotonic()
    try:
        while not lock.is_locked:
            if not (behind and is_wanted(path)):
                with trouble(), contextlib.suppress(Timeout):
                    lock.acquire(timeout=0 if cancel is None else 0.1, poll_interval=0.02)
                    break
            if not behind and not turn.is_locked:
                with trouble(), contextlib.suppress(Timeout):
                    turn.acquire(timeout=0)
            if cancel is not None and cancel.is_set():
                raise BuildCancelled(f"the build{what and ' of ' + what} was cancelled")
            if progress is not None and time.monotonic() - begin > 0.3:
                progress(0, 0, f"waiting for another build{what and ' of ' + what}")
            time.sleep(0.03)
        turn.release(force=True)
        yield
    finally:
        # Also where an interrupt came between having it and knowing so: a notebook keeps the
        # last traceback, and with that the lock.
        turn.release(force=True)
        lock.release(force=True)


def is_wanted(path: Path) -> bool:
    """Whether a build, of this process or another, waits for the lock file ``path``."""
    from filelock import FileLock, Timeout

    turn = FileLock(str(_turn_of(path)), thread_local=False, is_singleton=False)
    with trouble(), contextlib.suppress(Timeout):
        turn.acquire(timeout=0)
        turn.release(force=True)
        return False
    return True


def _turn_of(path: Path) -> Path:
    """What the next build holds while it waits for ``path``; gone with its process."""
    return path.with_name(f"{path.name}.turn")


def clean(parent: Path) -> None:
    """Remove leftovers of interrupted builds in ``parent``. Hold the parent's lock, or let
    only those go that are a day old."""
    now = time.time()
    with contextlib.suppress(OSError):
        for path in parent.iterdir():
            if path.name.startswith(_PARTIAL) and now - path.stat().st_mtime > _STALE:
                remove(path)


def clean_all(parent: Path) -> None:
    """Remove every leftover in ``parent``: its lock must be held."""
    with contextlib.suppress(OSError):
        for path in parent.iterdir():
            if path.name.startswith(_PARTIAL):
                remove(path)


def remove(path: Path) -> None:
    """Delete a file or folder; what cannot be deleted stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def size_of(path: Path) -> int:
    """Bytes of all files in a folder."""
    total = 0
    for each in path.rglob("*"):
        with contextlib.suppress(OSError):
            total += each.lstat().st_size
    return total


def free_space() -> int:
    """Free bytes where the cache lies (its nearest existing parent)."""
    path = cache_root()
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def check_writable() -> Path:
    """Write and delete a file in the cache folder; raises ToolchainError where that fails."""
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_PARTIAL, dir=root)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise ToolchainError(explain(error)) from error
    return root
