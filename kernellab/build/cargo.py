"""Build a crate with Cargo: source in, ``.sys`` and ``.pdb`` out, or the compiler's messages."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shlex
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import BuildCancelled, BuildError, ToolchainError
from . import cache, image, linker_map, process, store, sysroot, workspace
from .cache import Progress
from .diagnostics import Diagnostic, from_compiler
from .progress import CargoProgress
from .project import open_project
from .store import BuildResult
from .toolchain import Toolchain, find_toolchain
from .workspace import CrateLike

_NO_NETWORK: Final = re.compile(
    r"could(?:n't| not) resolve|failed to (?:download|fetch|query)|network|timed? ?out"
    r"|connection (?:refused|reset)|failed to connect|couldn't connect|unable to update"
    r"|download of .* failed",
    re.IGNORECASE,
)
_MISSING_OFFLINE: Final = re.compile(
    r"offline|no matching package|failed to (?:download|select|get)|unable to (?:update|get)",
    re.IGNORECASE,
)


def build(
    crate: CrateLike,
    *,
    release: bool = False,
    toolchain: Toolchain | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> BuildResult:
    """Build the driver of ``crate`` (from ``kernellab.crate.write_crate``).

    The same source, name, dependencies, template and toolchain again are answered from the
    cache. ``progress`` is called with (done, total, text). KeyboardInterrupt and ``cancel``
    end every process that was started before this returns. Builds wait for each other.

    Raises BuildError (with ``diagnostics``; also for a cache folder that cannot be used, a
    missing network and a cancelled build) and ToolchainError.
    """
    begin = time.perf_counter()
    toolchain = toolchain or find_toolchain()
    key = _key(crate, toolchain, release)
    found = store.load(key, release=release)
    if found is None:
        try:
            found = _build(crate, key, release, toolchain, progress, cancel)
        except process.Cancelled:
            raise BuildCancelled(f"the build of {crate.name} was cancelled") from None
    sources = {path: text for path, text in crate.files.items() if path.endswith(".rs")}
    sources[crate.file_name] = crate.files[crate.file_name][crate.supplied :]
    return dataclasses.replace(found, seconds=time.perf_counter() - begin, sources=sources)


def chosen_versions(crate: CrateLike) -> str:
    """The text of the Cargo.lock that ``crate`` was last built with; empty where it never was."""
    try:
        saved = workspace.saved_lock(workspace.place_for(crate, find_toolchain()), crate)
        return saved.read_text(encoding="utf-8")
    except (OSError, ToolchainError):
        return ""


def warm(
    crate: CrateLike,
    *,
    release: bool = False,
    toolchain: Toolchain | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> None:
    """Have the sysroot and the framework compiled before the first cell asks for them.

    ``crate`` is any small driver (``kernellab.crate.sample_crate()``). Costs milliseconds when
    all is there. Errors as for :func:`build`.
    """
    toolchain = toolchain or find_toolchain()
    if not workspace.is_ready(workspace.place_for(crate, toolchain)):
        store.forget(_key(crate, toolchain, release))  # a stored driver says nothing of these
    build(crate, release=release, toolchain=toolchain, progress=progress, cancel=cancel)


def _key(crate: CrateLike, toolchain: Toolchain, release: bool) -> str:
    return hashlib.sha256(json.dumps([crate.key, toolchain.key, release]).encode()).hexdigest()


def _build(
    crate: CrateLike,
    key: str,
    release: bool,
    toolchain: Toolchain,
    progress: Progress | None,
    cancel: threading.Event | None,
) -> BuildResult:
    sysroot.ensure(toolchain, progress=progress, cancel=cancel)
    place = workspace.place_for(crate, toolchain)
    lock = workspace.lock_of(place)
    with cache.locked(lock, progress=progress, what=crate.name, cancel=cancel):
        found = store.load(key, release=release)
        if found is not None:
            return found  # another build of the same made it while this one waited
        run = run_for(crate, release, toolchain, progress, cancel)
        with cache.trouble():
            workspace.prepare(place, crate)
        run.cargo()
        if run.fresh:
            run.again()
        with cache.trouble():
            workspace.keep_lock(place, crate)
            paths = [
                linker_map.ItemPath(file, each.first, each.last, each.path)
                for file, impls in crate.impls().items()
                for each in impls
            ]
            _finish(run, place, key, paths)
    if store.count() % 64 == 0:
        store.prune()
    found = store.load(key, release=release)
    if found is None:
        raise BuildError(f"the built driver vanished from {cache.cache_root()}")
    return dataclasses.replace(found, cached=False)


def run_for(
    crate: CrateLike,
    release: bool,
    toolchain: Toolchain,
    progress: Progress | None,
    cancel: threading.Event | None,
) -> Run:
    """A run of Cargo in the crate's workspace; its lock must be held while it goes on."""
    place = workspace.place_for(crate, toolchain)
    return Run(
        name=crate.name,
        cwd=place,
        env=workspace.environment(place, toolchain),
        source=place / crate.file_name,
        shown=crate.file_name,
        release=release,
        toolchain=toolchain,
        supplied=crate.supplied,
        modules=frozenset(crate.files) - {"Cargo.toml", crate.file_name},
        wanted=tuple(crate.dependencies),
        progress=progress,
        cancel=cancel,
    )


def expand(
    crate: CrateLike,
    *,
    toolchain: Toolchain | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> str:
    """The source of ``crate`` with its macros expanded, its modules inside, as rustc prints it.

    A stable rustc has that (The rustc book, "unpretty") for a crate that RUSTC_BOOTSTRAP names:
    here the driver's own, for this one run, and nothing is kept of it. Errors as for :func:`build`.
    """
    toolchain = toolchain or find_toolchain()
    sysroot.ensure(toolchain, progress=progress, cancel=cancel)
    place = workspace.place_for(crate, toolchain)
    lock = workspace.lock_of(place)
    with (
        cache.locked(lock, progress=progress, what=crate.name, cancel=cancel),
        tempfile.TemporaryDirectory(prefix="kernellab-expand-") as folder,
    ):
        written = Path(folder) / "expanded.rs"  # with its .d, which nobody needs
        run = run_for(crate, False, toolchain, progress, cancel)
        run.env = {**run.env, "RUSTC_BOOTSTRAP": crate.name.replace("-", "_")}
        run.extra = ("-Zunpretty=expanded", "-o", str(written))
        with cache.trouble():
            workspace.prepare(place, crate)
        try:
            run.cargo()
        except process.Cancelled:
            raise BuildError(f"the expansion of {crate.name} was stopped") from None
        except BuildError as error:
            # What rustc warns of here is the way that it was called.
            errors = [each for each in error.diagnostics if each.level == "error"]
            raise BuildError(str(error).replace("built", "expanded", 1), errors) from None
        with cache.trouble():
            workspace.keep_lock(place, crate)
            return written.read_text(encoding="utf-8")


def build_folder(
    folder: Path,
    *,
    release: bool = False,
    toolchain: Toolchain | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> BuildResult:
    """Build the crate in ``folder``, a ``cdylib`` with a Cargo.toml of its own.

    It is built as it stands, with the flags that make a driver; what Cargo makes goes to the
    cache folder, not beside the source. Messages and frames name its files below ``src/``.
    Errors as for :func:`build`, and UsageError where the folder is not such a crate.
    """
    begin = time.perf_counter()
    project = open_project(folder)
    toolchain = toolchain or find_toolchain()
    place = workspace.place_for_folder(project.folder, toolchain)
    try:
        sysroot.ensure(toolchain, progress=progress, cancel=cancel)
        run = Run(
            name=project.name,
            cwd=project.workspace,
            env=workspace.environment(place, toolchain, remapped=project.remapped),
            source=project.source,
            shown=project.shown,
            release=release,
            toolchain=toolchain,
            wanted=project.dependencies,
            progress=progress,
            cancel=cancel,
            package=project.name,
        )
        lock = workspace.lock_of(place)
        with cache.locked(lock, progress=progress, what=project.name, cancel=cancel):
            with cache.trouble():
                place.mkdir(parents=True, exist_ok=True)
            run.cargo()
            with cache.trouble():
                key = hashlib.sha256(run.image.read_bytes() + str(place).encode()).hexdigest()
                if store.load(key, release=release) is None:
                    _finish(run, place, key)
    except process.Cancelled:
        raise BuildCancelled(f"the build of {project.name} was cancelled") from None
    found = store.load(key, release=release)
    if found is None:
        raise BuildError(f"the built driver vanished from {cache.cache_root()}")
    seconds, sources = time.perf_counter() - begin, project.texts()
    return dataclasses.replace(found, cached=run.fresh, seconds=seconds, sources=sources)


def _finish(run: Run, place: Path, key: str, paths: Sequence[linker_map.ItemPath] = ()) -> None:
    data, pdb = image.stamp(run.image.read_bytes(), run.pdb.read_bytes())
    written = workspace.map_of(place)
    names = linker_map.shorten(written.read_text(encoding="utf-8", errors="replace"))
    names += linker_map.paths_text(paths)
    beside = {run.pdb.name: pdb, linker_map.path_for(run.pdb).name: names.encode()}
    store.save(key, run.name, data, beside, run.diagnostics, command=run.command, crates=run.crates)


@dataclass
class Run:
    """One run of Cargo and what came out of it.

    ``source`` is the driver's own root source file, ``shown`` what messages call it;
    ``modules`` its further files; ``wanted`` the registry crates that may have to be downloaded;
    ``extra`` what rustc is told for the driver's own crate alone.
    """

    name: str
    cwd: Path
    env: Mapping[str, str]
    source: Path
    shown: str
    release: bool
    toolchain: Toolchain
    supplied: int = 0
    modules: frozenset[str] = frozenset()
    wanted: tuple[str, ...] = ()
    package: str = ""
    extra: tuple[str, ...] = ()
    progress: Progress | None = None
    cancel: threading.Event | None = None
    diagnostics: list[Diagnostic] = field(default_factory=list)
    image: Path = Path()
    pdb: Path = Path()
    fresh: bool = False
    command: str = ""
    crates: tuple[tuple[str, float], ...] = ()
    _following: CargoProgress = field(default_factory=lambda: CargoProgress(None))

    def cargo(self) -> None:
        """Run Cargo until there is an image; raises BuildError, process.Cancelled."""
        ended = self._attempt(offline=True)
        missing = ended.returncode and self.wanted and not self._errors()
        if missing and _MISSING_OFFLINE.search(ended.stderr):
            self._following.say(f"downloading {', '.join(self.wanted)}")
            ended = self._attempt(offline=False)
        if ended.returncode or not (self.image.name or self.extra):
            raise self._failure(ended.stderr)

    def check(self, *, download: bool) -> list[Diagnostic]:
        """Have the compiler look at the source and make nothing; what it says.

        Raises BuildError where it cannot be asked, process.Cancelled.
        """
        ended = self._attempt(offline=True, command="check")
        missing = ended.returncode and self.wanted and not self._errors()
        if download and missing and _MISSING_OFFLINE.search(ended.stderr):
            ended = self._attempt(offline=False, command="check")
        if ended.returncode and not self._errors():
            raise self._failure(ended.stderr)
        return self.diagnostics

    def again(self) -> None:
        """Run Cargo once more where it did not see that the source had changed.

        The clock or the file system is too coarse then (Cargo compares times).
        """
        later = time.time() + 2
        os.utime(self.source, (later, later))
        self.cargo()

    def _attempt(self, *, offline: bool, command: str = "") -> process.Completed:
        self.diagnostics, self.fresh = [], False
        self._following = CargoProgress(self.progress)
        options = [
            *(command or ("rustc" if self.extra else "build"), "--lib"),
            *(["--package", self.package] if self.package else []),
            *(["--offline"] if offline else []),
            *(["--release"] if self.release else []),
        ]
        messages = ["--message-format=json-diagnostic-rendered-ansi"]
        extra = ["--", *self.extra] if self.extra else []
        self.command = shlex.join(["cargo", *options])
        try:
            return process.run(
                [self.toolchain.cargo, *options, *messages, *extra],
                cwd=self.cwd,
                env=self.env,
                cancel=self.cancel,
                on_line=self._line,
                on_status=self._following.status,
            )
        except OSError as error:
            raise BuildError(f"cannot run {self.toolchain.cargo}: {error.strerror}") from error
        finally:
            self.crates = self._following.crates

    def _line(self, line: str) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return  # what a build script prints goes here too
        reason = message.get("reason") if isinstance(message, dict) else None
        if reason == "compiler-artifact":
            self._artifact(message)
        elif reason == "compiler-message":
            self._message(message)

    def _artifact(self, message: Mapping[str, Any]) -> None:
        self._following.artifact(message)
        target = message.get("target", {})
        if self._own(target):
            files = [Path(name) for name in message.get("filenames", [])]
            self.image = next((f for f in files if f.suffix == ".dll"), Path())
            self.pdb = self.image.with_suffix(".pdb") if self.image.name else Path()
            self.fresh = bool(message.get("fresh"))

    def _message(self, message: Mapping[str, Any]) -> None:
        inner = message.get("message", {})
        own = self._own(message.get("target", {}))
        if not own and not str(inner.get("level", "")).startswith("error"):
            return  # a warning about somebody else's code
        if not inner.get("spans") and _SUMMARY.match(str(inner.get("message", ""))):
            return
        self.diagnostics += from_compiler(
            inner,
            file_name=self.shown if own else "",
            modules=self.modules if own else (),
            supplied=self.supplied if own else 0,
            hide=[str(self.cwd), str(_cargo_sources()), str(self.toolchain.home)],
        )

    def _own(self, target: Mapping[str, Any]) -> bool:
        return target.get("src_path") == str(self.source)

    def _errors(self) -> list[Diagnostic]:
        return [each for each in self.diagnostics if each.level == "error"]

    def _failure(self, stderr: str) -> BuildError:
        errors = self._errors()
        words = stderr + "".join(each.text for each in errors)
        if cache.means_full(words):
            return cache.full(words)
        if errors:
            return BuildError(summary(self.name, errors), self.diagnostics)
        return self._cargo_failure(stderr)

    def _cargo_failure(self, stderr: str) -> BuildError:
        """Cargo itself gave up: a dependency that is not to be had, most of all."""
        text = stderr.replace(str(self.cwd) + os.sep, "").replace(str(self.cwd), "")
        text = re.sub(r"^error: ", "", text.strip()).replace(f"`{self.name} v0.0.0 ()`", self.name)
        text = _COMMAND_LINE.sub(r"the compiler was ended (\1)", text)
        if self.wanted and _NO_NETWORK.search(text) and "no matching package" not in text:
            return BuildError(
                f"{self.name} needs {', '.join(self.wanted)}, which could not be downloaded: no"
                f" network connection to the crate registry. Cargo says:\n{text}"
            )
        if not text and not self.image.name:
            text = "nothing, but it made no driver: is the crate's type `cdylib`?"
        return BuildError(f"{self.name} cannot be built. Cargo says:\n{text}")


_COMMAND_LINE: Final = re.compile(
    r"process didn't exit successfully: `.*?` \(([^()]*)\)", re.DOTALL
)

#: rustc's closing words, which repeat what was said.
_SUMMARY: Final = re.compile(
    r"aborting due to|Some errors have detailed explanations|\d+ warnings? emitted"
    r"|For more information about"
)


def summary(name: str, errors: Sequence[Diagnostic]) -> str:
    """One line on a failed build: how many errors, and the first with its place."""
    first = errors[0]
    place = f" ({first.file}:{first.line})" if first.line else ""
    count = "" if len(errors) == 1 else f" ({len(errors)} errors)"
    return f"{name} cannot be built{count}: {first.message}{place}"


def _cargo_sources() -> Path:
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    return home / "registry" / "src"
