"""The registry of exports, as far as importing it goes: in a Python of its own."""

from __future__ import annotations

import subprocess
import sys

_AGAIN = """
import importlib
from kernellab.target.sim.exports import pool, table
before = list(table())
importlib.reload(pool)
assert list(table()) == before
print("again")
"""

_ELSEWHERE = """
from kernellab.target.sim.exports import registry, table
table()
def ExFreePool(k, P): ...
registry.export("VOID ExFreePool(PVOID P)", irql=2)(ExFreePool)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )


def test_a_family_whose_import_was_interrupted_is_imported_again() -> None:
    answer = run(_AGAIN)
    assert answer.stdout == "again\n", answer.stderr


def test_one_name_in_two_families_is_refused() -> None:
    assert "ValueError: ExFreePool is exported twice" in run(_ELSEWHERE).stderr
