"""Generic tables and splay links, by a driver in C that knows what must be in: ``tables.c``.

WDK: "RtlInitializeGenericTable function (ntddk.h)", "RtlInitializeGenericTableAvl function
(ntddk.h)" and the pages of the other routines; "RtlSplay function (ntifs.h)".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import kernellab

SOURCE = Path(__file__).parents[1] / "drivers" / "c" / "tables.c"


def test_tables_hold_what_was_inserted_in_order(build_c_driver: Callable[[str, str], Path]) -> None:
    image = build_c_driver("tables", SOURCE.read_text())
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        driver.unload()
        assert list(driver.log.lines) == ["splay 0", "avl 0", "links"]
        assert target.violations == []
