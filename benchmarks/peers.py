"""Other people's programs that do what a benchmark measures, in environments of their own."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from platformdirs import user_cache_path

#: The requirement and, for each measurement, a script that prints seconds.
SPEAKEASY = "speakeasy-emulator==2.0.0b9"

CYTHON = ("cython==3.3.1", "ipykernel", "setuptools")

#: Loads the driver in argv[1], runs its DriverEntry, prints how long that took.
SPEAKEASY_RUN = """
import sys, time
import speakeasy
emulator = speakeasy.Speakeasy()
module = emulator.load_module(sys.argv[1])
printed = 0
def count(emulator, name, function, arguments):
    global printed
    printed += 1
    return function(arguments)
emulator.add_api_hook(count, "ntoskrnl", "DbgPrintEx")
start = time.perf_counter()
emulator.run_module(module)
seconds = time.perf_counter() - start
print(seconds, printed)
"""


class PeerMissing(Exception):
    """The peer cannot be had here; the message says why."""


def python_with(requirement: str, *further: str) -> Path:
    """A Python that has ``requirement``, in a folder of the user's cache; made when first asked.

    ``further`` are requirements as well. Raises PeerMissing.
    """
    name = requirement.partition("=")[0]
    folder = user_cache_path("kernellab") / "benchmark-peers" / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / "done"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", requirement, *further]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["pip failed"]
            raise PeerMissing(lines[-1])
        done.write_text(requirement, encoding="utf-8")
    return python


def run(python: Path, script: str, *arguments: str) -> list[float]:
    """The numbers in the last line that ``script`` prints."""
    command = [str(python), "-c", script, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    lines = result.stdout.strip().splitlines()
    if result.returncode or not lines:
        raise PeerMissing((result.stderr.strip().splitlines() or ["it printed nothing"])[-1])
    return [float(word) for word in lines[-1].split()]
