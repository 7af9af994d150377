"""A real JupyterLab in a headless Chromium: fixtures for browser tests.

``jupyterlab`` is a server of its own, shared by a module's tests; ``lab`` opens it in a fresh
browser page. ``notebook7`` and ``classic`` are the same for Notebook 7::

    def test_hello(lab: Lab) -> None:
        lab.open_notebook("%load_ext kernellab", "print(1)")
        lab.run_all_cells()
        lab.screenshot("hello")
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.jupyter import Lab, Server, artefact, chromium, launch, serve


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if chromium() is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium on this machine"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with launch() as launched:
        yield launched


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab with nothing of the user's own; torn down with all its kernels."""
    yield from serve_application(tmp_path_factory.mktemp("jupyter"), "jupyterlab")


@pytest.fixture(scope="module")
def notebook7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Notebook 7, likewise."""
    yield from serve_application(tmp_path_factory.mktemp("notebook"), "notebook")


def serve_application(home: Path, application: str) -> Iterator[Server]:
    try:
        with serve(home, application) as server:
            yield server
    finally:
        (home / "server.log").replace(artefact(f"{application}-server.log"))


@pytest.fixture
def lab(jupyterlab: Server, browser: Browser) -> Iterator[Lab]:
    """A page of its own; afterwards no kernel and no notebook is left."""
    yield from _page(jupyterlab, browser)


@pytest.fixture
def classic(notebook7: Server, browser: Browser) -> Iterator[Lab]:
    """A page of its own on Notebook 7."""
    yield from _page(notebook7, browser)


def _page(server: Server, browser: Browser) -> Iterator[Lab]:
    context = browser.new_context(viewport={"width": 1100, "height": 850})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    page = context.new_page()
    page.set_default_timeout(30_000)
    try:
        yield Lab(server, page)
    finally:
        context.close()
        server.stop_kernels()
        for path in server.folder.glob("*.ipynb"):
            path.unlink()
