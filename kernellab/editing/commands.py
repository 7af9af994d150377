"""What ``%rustfmt``, ``%rustc`` and ``%expand`` do, on the cells that a notebook has run."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import BuildError, UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from ..cell.source import CellSource
    from .expansion import Expansion
    from .explain import Explanation
    from .formatting import Formatted


class Bench(Protocol):
    """What is known of the cells that were run: :class:`kernellab.workbench.Workbench`."""

    def sources(self) -> Mapping[str, CellSource]:
        """The ``%%rustdriver`` cells by driver, the one that was run last at the end."""

    def options_of(self, driver: str) -> Namespace:
        """The options on the line of the driver's cell."""

    def files_of(self, driver: str) -> Mapping[str, CellSource]:
        """The further files of ``driver``, by path."""

    def last_diagnostics(self) -> Sequence[Any]:
        """What the compiler said of the cell that did not build last."""


class Commands:
    """The commands, on the cells of one notebook."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def names(self) -> list[str]:
        """The drivers whose cells were run, for completion."""
        return list(self._bench.sources())

    def paths(self, name: str) -> list[str]:
        """The further files of a driver, for completion."""
        return sorted(self._bench.files_of(name))

    def functions(self, name: str) -> list[str]:
        """The functions in the driver's cell and files, for completion."""
        from .source_items import functions

        files = self._bench.files_of(name)
        texts = [self.cell(name).text, *(f.text for p, f in files.items() if p.endswith(".rs"))]
        return list(dict.fromkeys(each for text in texts for each in functions(text)))

    def cell(self, name: str) -> CellSource:
        """The cell of the driver ``name``, or the last one that was run where that is empty.

        Raises UsageError where there is none.
        """
        sources = self._bench.sources()
        if not sources:
            raise UsageError("no %%rustdriver cell was run in this notebook yet: run it first")
        found = sources.get(name or list(sources)[-1])
        if found is not None:
            return found
        near = difflib.get_close_matches(name, sources, 1)
        known = f"did you mean {near[0]}?" if near else f"there is {', '.join(sources)}"
        raise UsageError(f"no cell of {name!r} was run in this notebook: {known}")

    def format(self, name: str, path: str, raw: Callable[[str], str]) -> list[Formatted]:
        """The cell of ``name`` and its further files (only that at ``path`` if given), formatted.

        ``raw`` gives a cell's text as the front end has it. Raises UsageError, BuildError with
        the lines of the cell that is not Rust, ToolchainError.
        """
        from ..crate import CELL
        from .formatting import format_rust, reformatted

        cell = self.cell(name)
        files = self._bench.files_of(cell.name)
        if path and path not in files:
            there = f"it has {', '.join(sorted(files))}" if files else "it has none"
            raise UsageError(f"{cell.name} has no further file {path!r}: {there}")
        wanted = {path: files[path]} if path else {"": cell, **dict(sorted(files.items()))}
        changes = []
        for where, source in wanted.items():
            if where and not where.endswith(".rs"):
                continue
            try:
                text = format_rust(source.text, file_name=where or CELL)
            except BuildError as error:
                raise BuildError(f"{where or cell.name} {error}", error.diagnostics) from None
            magic = "rustfile" if where else "rustdriver"
            changes.append(reformatted(magic, cell.name, where or None, raw(source.cell), text))
        return changes

    def reformat(self, source: CellSource, magic: str, path: str, cell: str) -> Formatted | None:
        """The change that makes ``cell``, which runs now as ``source``, formatted.

        None where there is none to make, also for what is no Rust: the build says why.
        """
        from .formatting import format_rust, reformatted

        try:
            text = format_rust(source.text, file_name=path or "cell")
        except (BuildError, UsageError):
            return None
        change = reformatted(magic, source.name, path or None, cell, text)
        # It is shown where the front end cannot be given it: after a failure, in a terminal.
        change = replace(change, note="The cell ran like this, and messages name these lines.")
        return change if change.changed else None

    def explain(self, codes: Sequence[str]) -> list[Explanation]:
        """rustc's explanation of ``codes``, or of those in the last build that failed.

        Raises UsageError for a code that is none and where no build has failed.
        """
        from .explain import codes_in, explain

        if not codes:
            codes = codes_in(self._bench.last_diagnostics())
            if not codes:
                raise UsageError(
                    "no build has failed with an error code that rustc explains: name one, such"
                    " as `%rustc --explain E0502`"
                )
        return [explain(code) for code in codes]

    def expand(self, name: str, item: str, progress: Callable[[int, int, str], None]) -> Expansion:
        """The cell of ``name`` with its macros expanded, or ``item`` in it.

        Raises UsageError, BuildError with the compiler's messages, ToolchainError.
        """
        from .expansion import expand_source

        cell = self.cell(name)
        return expand_source(
            cell.name,
            cell.text,
            item=item,
            dependencies=self._bench.options_of(cell.name).dep,
            modules={p: each.text for p, each in self._bench.files_of(cell.name).items()},
            progress=progress,
        )

    def codes(self) -> list[str]:
        """The codes in the last build that failed, for completion."""
        from .explain import codes_in

        return codes_in(self._bench.last_diagnostics())

    def compiler_version(self) -> str:
        """What ``rustc --version`` says."""
        from .explain import compiler_version

        return compiler_version()

    def messages(self, error: BuildError) -> object:
        """The compiler's messages as something to display."""
        from .report import Messages

        return Messages(error.diagnostics)
