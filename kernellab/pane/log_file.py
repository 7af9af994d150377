"""The whole log in a file beside the notebook, for where the notebook keeps only its ends.

The file is ``kernellab-logs/NOTEBOOK-DRIVER.log``. It is replaced as a whole, so that a reader
never sees half of it, and no symbolic link is followed on the way there.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

#: The folder beside the notebook.
FOLDER: Final = "kernellab-logs"
_LONGEST_NAME: Final = 80
# Windows takes these for devices, whatever follows the dot.
_DEVICES: Final = {"con", "prn", "aux", "nul"} | {
    f"{d}{n}" for d in ("com", "lpt") for n in "123456789"
}


class LogFile:
    """Where the whole log of the driver ``name`` is kept. Not thread-safe."""

    def __init__(self, name: str) -> None:
        folder, notebook = _notebook()
        self._beside = folder
        self._name = _file_name(f"{notebook}-{name}" if notebook else name)
        #: Why the file could not be written, in words of the system; "" where it was.
        self.problem = ""

    @property
    def path(self) -> Path:
        """The file."""
        return self._beside / FOLDER / self._name

    @property
    def shown(self) -> str:
        """The file as seen from the notebook."""
        return f"{FOLDER}/{self._name}"

    @property
    def link(self) -> str:
        """The same as a relative URL."""
        return quote(self.shown)

    def write(self, parts: Iterable[str]) -> None:
        """Replace the file by ``parts``; what goes wrong is said in :attr:`problem`."""
        self.problem = ""
        try:
            self._write(parts)
        except OSError as error:
            self.problem = error.strerror or type(error).__name__

    def _write(self, parts: Iterable[str]) -> None:
        folder = self._beside / FOLDER
        folder.mkdir(exist_ok=True)
        made = f".{secrets.token_hex(8)}.tmp"
        if os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd:
            # All by the folder's own descriptor: nobody can put a link in its place meanwhile.
            at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                _fill(made, parts, at)
                os.replace(made, self._name, src_dir_fd=at, dst_dir_fd=at)
            except BaseException:
                with suppress(OSError):
                    os.unlink(made, dir_fd=at)
                raise
            finally:
                os.close(at)
            return
        found = folder.lstat()
        reparse: int = getattr(found, "st_reparse_tag", 0)  # set for a junction, on Windows
        if not stat.S_ISDIR(found.st_mode) or reparse:
            raise NotADirectoryError(0, "it is no folder")
        new = folder / made
        try:
            _fill(new, parts, None)
            new.replace(folder / self._name)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise


def _fill(path: str | Path, parts: Iterable[str], folder: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(path, flags, 0o666, dir_fd=folder)
    file: IO[str]
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(parts)


def _notebook() -> tuple[Path, str]:
    """The notebook's folder and its name, where Jupyter says which one it is."""
    # jupyter_server gives each kernel its session's path: "JPY_SESSION_NAME" in its source.
    session = os.environ.get("JPY_SESSION_NAME", "")
    with suppress(OSError, ValueError):
        path = Path(session)
        if path.suffix == ".ipynb" and path.is_absolute() and path.is_file():
            return path.parent, path.stem
    return Path.cwd(), ""


def _file_name(name: str) -> str:
    """A file's name that each system takes, from any text."""
    kept = "".join(c if c.isalnum() or c in "-_. " else "_" for c in name).strip(". ") or "log"
    kept = kept[:_LONGEST_NAME]
    if kept.partition(".")[0].lower() in _DEVICES:
        kept = f"_{kept}"
    return f"{kept}.log"
