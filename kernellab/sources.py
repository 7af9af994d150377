"""From what a user names (a ``.rs`` file, a crate folder, a ``.sys``) to a built driver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .build import BuildResult, Diagnostic, build, build_folder, copied_folder
from .build import check as check_crate
from .build import warm as warm_build
from .crate import (
    Dependency,
    DriverTest,
    for_testing,
    parse_dependency,
    sample_crate,
    split_dependencies,
    validate_name,
    write_crate,
)
from .errors import UsageError

#: Called with (done, total, what); total is 0 where it is not known.
Progress = Callable[[int, int, str], None]


def build_text(
    name: str,
    text: str,
    *,
    file_name: str = "cell",
    dependencies: Sequence[str] = (),
    modules: Mapping[str, str] | None = None,
    release: bool = False,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> BuildResult:
    """Build the driver ``name`` from Rust source; messages name ``file_name`` and its lines.

    ``dependencies`` are such as ``bitflags=2``; those named in the source are added;
    ``modules`` its further files, text by path. Raises UsageError, BuildError with the
    compiler's messages, ToolchainError.
    """
    validate_name(name)
    source, wanted = _split(text, dependencies)
    crate = write_crate(name, source, file_name=file_name, dependencies=wanted, modules=modules)
    return build(crate, release=release, progress=progress, cancel=cancel)


def check_text(
    name: str,
    text: str,
    *,
    dependencies: Sequence[str] = (),
    modules: Mapping[str, str] | None = None,
    download: bool = True,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    patience: float | None = None,
) -> list[Diagnostic]:
    """What the compiler says of the driver ``name``; nothing is built.

    Arguments and errors are those of :func:`build_text`, but errors of the compiler are in what is
    returned; ``download`` says whether crates may be fetched that are not here yet, and
    ``patience`` that nobody waits for it (see :func:`kernellab.build.check`).
    """
    validate_name(name)
    source, wanted = _split(text, dependencies)
    crate = write_crate(name, source, dependencies=wanted, modules=modules)
    return check_crate(
        crate, download=download, progress=progress, cancel=cancel, patience=patience
    )


def build_tests(
    name: str,
    text: str,
    *,
    file_name: str = "cell",
    dependencies: Sequence[str] = (),
    modules: Mapping[str, str] | None = None,
    release: bool = False,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> tuple[BuildResult, list[DriverTest]]:
    """Build the driver for its tests (see :mod:`kernellab.testing`); they come with the result.

    Arguments and errors are those of :func:`build_text`; UsageError where there is no test.
    """
    validate_name(name)
    source, wanted = _split(text, dependencies)
    files, tests = for_testing({file_name: source, **(modules or {})}, file_name)
    source = files.pop(file_name)
    crate = write_crate(name, source, file_name=file_name, dependencies=wanted, modules=files)
    return build(crate, release=release, progress=progress, cancel=cancel), tests


def build_path_tests(
    path: Path,
    *,
    dependencies: Sequence[str] = (),
    release: bool = False,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> tuple[BuildResult, list[DriverTest]]:
    """The same for the ``.rs`` file or the crate folder at ``path``."""
    if not path.is_dir():
        text = _read_rust(path)
        return build_tests(
            path.stem,
            text,
            file_name=path.name,
            dependencies=dependencies,
            release=release,
            progress=progress,
            cancel=cancel,
        )
    if dependencies:
        raise UsageError("--dep is for a .rs file; a crate names them in its Cargo.toml")
    with copied_folder(path) as copy:
        sources = copy.source.parent
        texts = {
            (copy.shown if file == copy.source else file.relative_to(sources).as_posix()): file
            for file in sorted(sources.rglob("*.rs"))
        }
        files, tests = for_testing(
            {name: _read_rust(file) for name, file in texts.items()}, copy.shown
        )
        for name, text in files.items():
            texts[name].write_text(text, encoding="utf-8", newline="")
        return build_folder(copy.folder, release=release, progress=progress, cancel=cancel), tests


def build_path(
    path: Path,
    *,
    dependencies: Sequence[str] = (),
    release: bool = False,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> BuildResult:
    """Build the ``.rs`` file or the crate folder at ``path``; errors as for build_text."""
    if path.is_dir():
        if dependencies:
            raise UsageError("--dep is for a .rs file; a crate names them in its Cargo.toml")
        return build_folder(path, release=release, progress=progress, cancel=cancel)
    text = _read_rust(path)
    return build_text(
        path.stem,
        text,
        file_name=path.name,
        dependencies=dependencies,
        release=release,
        progress=progress,
        cancel=cancel,
    )


def _split(text: str, dependencies: Sequence[str]) -> tuple[str, dict[str, Dependency]]:
    """The source without its front matter, and all crates that it wants."""
    source, wanted = split_dependencies(text)
    return source, {**wanted, **dict(parse_dependency(each) for each in dependencies)}


def _read_rust(path: Path) -> str:
    if path.suffix != ".rs":
        raise UsageError(f"{path}: neither a .rs file nor a crate folder nor a .sys file")
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None


def warm_check(progress: Progress | None = None) -> None:
    """Have the framework's interface compiled for checks, so that the first one is quick."""
    check_crate(sample_crate(), download=False, progress=progress)


def warm(progress: Progress | None = None) -> None:
    """Have the framework compiled, so that the first cell waits for itself only."""
    warm_build(sample_crate(), progress=progress)
