"""A front end for widgets that are made without a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import comm
import pytest

from kernellab.pane import feed
from tests.pane.helpers import FrontEnd


@pytest.fixture
def front_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FrontEnd]]:
    """The front ends of the widgets made in a test, quick ones."""
    made: list[FrontEnd] = []

    def create(*arguments: Any, **keywords: Any) -> FrontEnd:
        made.append(FrontEnd(*arguments, **keywords))
        return made[-1]

    monkeypatch.setattr(comm, "create_comm", create)
    monkeypatch.setattr(feed, "INTERVAL", 0.001)
    monkeypatch.setattr(feed, "LINGER", 0.05)
    monkeypatch.setattr(feed, "QUIET", 0.05)
    yield made
