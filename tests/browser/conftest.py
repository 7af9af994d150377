"""A real JupyterLab in a headless Chromium: fixtures for browser tests.

``jupyterlab`` is a server of the tests' own, shared by them; ``lab`` is a page on it with
nothing open. ``notebook7`` and ``classic`` are the same for Notebook 7::

    def test_hello(lab: Lab) -> None:
        lab.open_notebook("%load_ext kernellab", "print(1)")
        lab.run_all_cells()
        lab.screenshot("hello")
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.jupyter import VIEWPORT, Lab, Server, artefact, chromium, launch, serve


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


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A JupyterLab with nothing of the user's own; torn down with all its kernels."""
    yield from serve_application(tmp_path_factory.mktemp("jupyter"), "jupyterlab")


@pytest.fixture(scope="session")
def notebook7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Notebook 7, likewise."""
    yield from serve_application(tmp_path_factory.mktemp("notebook"), "notebook")


def serve_application(home: Path, application: str) -> Iterator[Server]:
    try:
        with serve(home, application) as server:
            yield server
    finally:
        log = f"{application}-server-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}.log"
        (home / "server.log").replace(artefact(log))


@pytest.fixture(scope="session")
def pages() -> Iterator[list[Lab]]:
    """The page that tests on JupyterLab use one after another, once there is one."""
    kept: list[Lab] = []
    yield kept
    for page in kept:
        page.page.context.close()


@pytest.fixture
def lab(jupyterlab: Server, browser: Browser, pages: list[Lab]) -> Iterator[Lab]:
    """A JupyterLab with nothing open; afterwards no kernel and no notebook is left.

    It is loaded once for many tests: that takes longer than most of them.
    """
    mine = bool(pages) and pages[0].server is jupyterlab  # a module may have a server of its own
    page = pages.pop() if mine else _page(jupyterlab, browser)
    try:
        yield page
        if not pages and page.reusable:
            page.clear()
            pages.append(page)
    finally:
        if page not in pages:
            page.page.context.close()
        _clean(jupyterlab)


@pytest.fixture
def fresh(jupyterlab: Server, browser: Browser) -> Iterator[Lab]:
    """A page of its own on JupyterLab: for what it does once, when it is loaded."""
    page = _page(jupyterlab, browser)
    try:
        yield page
    finally:
        page.page.context.close()
        _clean(jupyterlab)


@pytest.fixture
def classic(notebook7: Server, browser: Browser) -> Iterator[Lab]:
    """A page of its own on Notebook 7."""
    page = _page(notebook7, browser)
    try:
        yield page
    finally:
        page.page.context.close()
        _clean(notebook7)


def _page(server: Server, browser: Browser) -> Lab:
    context = browser.new_context(viewport=VIEWPORT)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
    page = context.new_page()
    page.set_default_timeout(30_000)
    return Lab(server, page)


def _clean(server: Server) -> None:
    server.stop_kernels()
    for path in server.folder.glob("*.ipynb"):
        path.unlink()
