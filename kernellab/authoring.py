"""The way out of a notebook: plain crates, new or from the cells of a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .build import chosen_versions
from .crate import (
    parse_dependency,
    sample_source,
    split_dependencies,
    validate_name,
    write_crate,
    write_plain,
)
from .errors import UsageError
from .notebook import NotebookDriver, read_drivers


def new_crate(name: str, folder: Path | None = None) -> Path:
    """Write the plain crate of a small driver ``name`` to ``folder`` (``./NAME`` unless given).

    Raises UsageError for a name that no driver can have and a folder that is in use.
    """
    crate = write_crate(validate_name(name), sample_source(), file_name="lib.rs")
    return write_plain(crate, folder or Path(name))


def export_notebook(
    notebook: Path, folder: Path | None = None, names: Sequence[str] = ()
) -> list[tuple[NotebookDriver, Path]]:
    """Write a plain crate for each driver of ``notebook``, or for those in ``names``.

    They go to ``folder/NAME`` (the notebook's own name is the folder unless given). A driver
    that several cells build is the last one's. Returns each driver with its crate's folder.
    Raises UsageError where there is no such driver or a folder is in use; nothing is written
    then.
    """
    found = read_drivers(notebook)
    missing = [name for name in names if name not in found]
    if missing or not found:
        has = f"has {', '.join(found)}" if found else "has no %%rustdriver cell"
        raise UsageError(f"{notebook} {has}" + (f", not {', '.join(missing)}" if missing else ""))
    wanted = [found[name] for name in names or found]
    folder = folder or Path(notebook.stem)
    for driver in wanted:
        place = folder / driver.name
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise UsageError(f"{place} is there already and not an empty folder")
    return [(driver, _export(driver, folder / driver.name)) for driver in wanted]


def _export(driver: NotebookDriver, place: Path) -> Path:
    source, dependencies = split_dependencies(driver.source.text)
    crate = write_crate(
        driver.name,
        source,
        dependencies={**dependencies, **dict(map(parse_dependency, driver.dependencies))},
        modules={path: each.text for path, each in driver.modules.items()},
    )
    return write_plain(crate, place, lock=chosen_versions(crate))
