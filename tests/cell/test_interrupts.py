"""■ while a driver's own tests run, and while it sleeps in a request of the client."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.drivers import driver_source
from tests.kernel import Notebook, Result, gone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

TESTED = driver_source(
    "",
    extra="#[test]\nfn endless() { loop { core::hint::spin_loop(); } }\n",
)


@pytest.fixture(scope="module")
def notebook() -> Iterator[Notebook]:
    book = Notebook()
    yield book
    book.close()


def interrupted(book: Notebook, code: str, after: float) -> Result:
    message = book.start(code)
    time.sleep(after)
    book.manager.interrupt_kernel()
    return book.finish(message)


def test_while_a_drivers_own_tests_run(notebook: Notebook) -> None:
    source = f"%%rustdriver tested --test --timeout 60\n{TESTED}"
    notebook.run_ok(f"%%rustdriver warm --no-run\n{TESTED}")
    result = interrupted(notebook, source, 4.0)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt"), result.traceback
    assert "interrupted" in result.text
    compilers = [p for p in notebook.family() if p.name().startswith(("rustc", "cargo"))]
    assert gone(compilers) == []
    assert notebook.value("1 + 1") == "2"


def test_while_the_machine_lets_time_pass_for_the_client(notebook: Notebook) -> None:
    body = "let _ = core::hint::black_box(0);"
    notebook.run_ok(f"%%rustdriver timed\n{driver_source(body)}")
    loop = "while True: timed.target.sleep(3600)"
    result = interrupted(notebook, loop, 0.5)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt"), result.traceback
    notebook.run_ok(f"%%rustdriver timed\n{driver_source(body)}")
    assert notebook.value("timed.state") == "running"
