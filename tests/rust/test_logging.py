"""The ``log`` crate: what is logged arrives at the level that it was logged at."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import BuildError
from kernellab.sources import build_text

SOURCE = Path(__file__).parent / "drivers" / "logging.rs"
ERROR, WARNING, TRACE, INFO = range(4)  # DPFLTR_…_LEVEL
_NO_NETWORK = re.compile(r"could not be downloaded")


def test_levels() -> None:
    try:
        image = build_text("logging", SOURCE.read_text(encoding="utf-8")).sys
    except BuildError as error:
        if _NO_NETWORK.search(str(error)):
            pytest.skip("log cannot be downloaded here")
        raise
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        driver.unload()
        assert [(record.level, record.text) for record in driver.log] == [
            (ERROR, "again: Err(STATUS_ALREADY_REGISTERED (0xC0000718))\n"),
            (ERROR, "logging: 100% wrong\n"),
            (WARNING, "wire: odd\n"),
            (INFO, "logging: fine\n"),
            (TRACE, "logging: detail\n"),
            (WARNING, "7\n"),
            (INFO, "logging: bye\n"),
        ]
        assert target.violations == []
