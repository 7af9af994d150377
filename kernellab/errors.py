"""What can go wrong, one type a cause. Everything derives from :class:`KernelLabError`.

Each has an ``exit_code``: what ``kernellab run`` ends with when it meets that error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .protocol import Frame


class KernelLabError(Exception):
    """The base of all errors that kernellab raises on purpose."""

    exit_code: ClassVar[int] = 2

    #: The driver that was being loaded or run, with its log so far, where there is one.
    driver: Any = None


class UsageError(KernelLabError):
    """A name, path, option or argument that cannot be used; the message says what can."""


class ToolchainError(KernelLabError):
    """No Rust that can build a driver, or a step of the set-up failed; says how to mend it."""

    exit_code = 1


class SigningError(KernelLabError):
    """The user's key for test signing cannot be made or used; the message says what to do."""

    exit_code = 1


class BuildError(KernelLabError):
    """The cell does not compile or link.

    ``diagnostics`` are the compiler's messages in order, each with ``text`` (plain), ``ansi``,
    ``html`` and the cell's ``line`` (0 where none).
    """

    exit_code = 1

    def __init__(self, message: str, diagnostics: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


class BuildCancelled(BuildError):
    """Somebody stopped the build: the pane's Cancel, or the event that a caller had given."""


class LoadError(KernelLabError):
    """The file is not a driver this target can load: a damaged image, a missing import."""

    exit_code = 7

    def __init__(self, message: str, *, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        #: Imports that the target does not have, as ``module!name``.
        self.missing = tuple(missing)


class NtStatusError(KernelLabError):
    """A driver or the kernel answered with a failure NTSTATUS."""

    exit_code = 3

    def __init__(self, message: str, status: int, name: str = "") -> None:
        super().__init__(message)
        #: The NTSTATUS as an unsigned 32-bit number.
        self.status = status & 0xFFFFFFFF
        #: Its name, ``STATUS_…``, or the number in hexadecimal.
        self.name = name or f"{self.status:#010x}"


class Bugcheck(KernelLabError):
    """The target's kernel bug-checked."""

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        code: int,
        name: str,
        parameters: Sequence[int] = (),
        frames: Sequence[Frame] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.parameters = tuple(parameters)
        #: Innermost first; ``file`` is ``cell`` for the notebook cell's own lines.
        self.frames = tuple(frames)


class TargetLost(KernelLabError):
    """The target's endpoint ended or cannot be reached."""

    exit_code = 7


class ConfigError(UsageError):
    """``kernellab.toml`` has a mistake; ``file`` and ``line`` (0: none) say where."""

    def __init__(self, message: str, *, file: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.file = file
        self.line = line


class CredentialsError(TargetLost):
    """A machine's password is not known, or the machine refuses it."""


class CertificateError(TargetLost):
    """A machine's certificate is not trusted: expired, another's, or from nobody we know."""


class TargetRefused(TargetLost):
    """A machine answers, and does not do what was asked; ``status`` is HTTP's, ``fault`` WinRM's.

    ``fault`` is the WSManFault code as an unsigned 32-bit number, 0 where there was none.
    """

    def __init__(self, message: str, *, status: int = 0, fault: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.fault = fault


class PowerError(TargetLost):
    """A virtual machine could not be started, stopped or taken to a snapshot."""


class NotALabMachine(KernelLabError):
    """A machine that nobody has marked as a lab target; kernellab does not touch it."""

    exit_code = 7


class TargetTimeout(KernelLabError):
    """Driver code (or the target) took longer than allowed.

    ``frames`` show where the driver was, when the target could tell.
    """

    exit_code = 6

    def __init__(self, message: str, *, frames: Sequence[Frame] = ()) -> None:
        super().__init__(message)
        self.frames = tuple(frames)


class StillPending(KernelLabError):
    """A request is not completed yet, and nothing on the machine will complete it by itself."""

    exit_code = 6


class TargetStopped(KernelLabError):
    """The machine has stopped (bug check, time-out, interrupt) and was not rebooted yet."""

    exit_code = 7


class Unsupported(KernelLabError):
    """This target cannot do what was asked; the message names one that can where there is one."""


class TestsFailed(KernelLabError):
    """Of a driver's own tests some failed; ``report`` has the result of each."""

    __test__ = False  # not a test of this project's
    exit_code = 9

    def __init__(self, message: str, report: Any = None) -> None:
        super().__init__(message)
        self.report = report


class VerifierError(KernelLabError):
    """A verifier rule was broken (raised only where asked for; else see ``violations``)."""

    exit_code = 5
