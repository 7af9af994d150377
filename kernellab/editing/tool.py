"""Programs of the Rust toolchain, run for a moment: ``rustfmt``, ``rustc --explain``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..build import find_toolchain, process
from ..errors import ToolchainError

#: Seconds after which a program that only reads a small text counts as hung.
PATIENCE: Final = 60.0

_NO_RUSTFMT: Final = """\
there is no rustfmt beside the compiler ({rustc}). One of these brings it:
  rustup                  rustup component add rustfmt
  Debian, Ubuntu          sudo apt-get install rustfmt
  Fedora                  sudo dnf install rustfmt
  conda                   it comes with conda-forge's package rust"""


def rustfmt() -> Path:
    """The formatter beside the compiler that builds drivers, else the one on PATH.

    Raises ToolchainError, which says how to get it.
    """
    toolchain = find_toolchain()
    if toolchain.rustfmt is not None and toolchain.rustfmt.is_file():
        return toolchain.rustfmt
    found = shutil.which("rustfmt")
    if found is None:
        raise ToolchainError(_NO_RUSTFMT.format(rustc=toolchain.rustc))
    return Path(found)


def run(
    program: Path, *arguments: str | Path, cwd: Path | None = None, stdin: Path | None = None
) -> process.Completed:
    """Run ``program``; raises ToolchainError where it cannot be, KeyboardInterrupt ends it.

    ``cwd`` is the program's own folder unless given: a rust-toolchain file elsewhere is about
    other code.
    """
    words: Sequence[str | Path] = [program, *arguments]
    try:
        return process.run(words, cwd=cwd or program.parent, stdin=stdin, timeout=PATIENCE)
    except OSError as error:
        raise ToolchainError(f"cannot run {program}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise ToolchainError(f"{program.name} did not end within {PATIENCE:.0f} s") from None
