"""What a target is: something that can start an endpoint and hand over its pair of streams.

A target module knows nothing of panes, drivers or events. Others can ship theirs by an entry
point in the group ``kernellab.targets`` whose value is a :class:`TargetKind` subclass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from ..errors import KernelLabError, TargetLost, Unsupported
from ..protocol import BugcheckEvent


class Witness(ABC):
    """A second capture of a machine's prints, that knows what the agent has told of."""

    @abstractmethod
    def told(self, text: str) -> None:
        """The agent has told of a print."""

    @abstractmethod
    def alone(self, *, lost: bool = False) -> list[str]:
        """Take what only this one has: of before the session, or where it was ``lost`` all to then.

        Each is marked as such.
        """


class Endpoint(ABC):
    """A started endpoint: a pair of byte streams and the means to end it."""

    reader: BinaryIO
    writer: BinaryIO
    #: Who else hears the machine, where somebody does.
    witness: Witness | None = None
    #: Whether its prints are of the whole machine, also from before it was started.
    hears_all: bool = False

    #: How often the connection to it came back; None where there is none to get lost.
    absences: int | None = None

    #: Seconds after which a lost connection has been noticed, and replaced where that is possible.
    silence: float = 5.0

    #: Called on a thread of its own when the connection is back and output may have got lost.
    resumed: Callable[[], None] = staticmethod(lambda: None)

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether it still runs."""

    @abstractmethod
    def stop(self, grace: float = 0.5) -> None:
        """End it: ask, wait ``grace`` seconds, then force. Safe to call twice; never raises."""

    def last_words(self) -> str:
        """The end of what it wrote on standard error: for the message when it was lost."""
        return ""

    def cause(self) -> KernelLabError | None:
        """Why it was lost, where that has an error of its own."""
        return None

    def post_mortem(self, drivers: Collection[str]) -> BugcheckEvent | None:
        """The bug check that ended it, where the machine left word of one; may wait for that.

        ``drivers`` are the names of those that were loaded. Never raises.
        """
        return None

    def explain(self, lost: TargetLost) -> KernelLabError:
        """The error for a session that ended with ``lost``."""
        words = self.last_words()
        return self.cause() or TargetLost(f"{lost}{': ' + words if words else ''}")


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """A verifier rule: its name, what it finds in one line, the page that it follows."""

    name: str
    summary: str
    page: str = ""


class TargetKind(ABC):
    """One way of running drivers. Stateless but for what it keeps warm."""

    #: What users write: ``--target sim``.
    name: str
    #: One line for ``kernellab targets`` and tab completion.
    summary: str
    #: Options of ``connect()`` that the endpoint itself takes, with each ``reboot``.
    settings: ClassVar[frozenset[str]] = frozenset()
    #: Whether it runs the guest agent: :meth:`start` gets its program's path as ``agent`` then, and
    #: the cache folder as ``folder``.
    wants_agent: ClassVar[bool] = False

    #: Whether it loads only drivers that are signed with the user's test certificate.
    wants_signature: ClassVar[bool] = False

    #: Whether its agent hears prints by the capture driver: :meth:`start` gets its image, as bytes
    #: and signed where that is wanted, as ``capture``.
    wants_capture: ClassVar[bool] = False

    @abstractmethod
    def start(self, **options: Any) -> Endpoint:
        """Start an endpoint. Raises TargetLost with what to do when it cannot."""

    def fresh(self, snapshot: str) -> dict[str, Any]:
        """What :meth:`start` takes to begin on a machine as its ``snapshot`` has it.

        Nothing where each start is on a new machine. Raises Unsupported, and PowerError.
        """
        raise Unsupported(f"{self.name} has no snapshots to go back to: run without --fresh")

    def encode(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings as the protocol can carry them. Raises UsageError for values of a wrong kind."""
        return settings

    def state(self) -> str:
        """One word or line on whether it can be used now: ``ready``, or what is missing."""
        return "ready"

    def prepare(
        self, folder: Path, progress: Callable[[int, int, str], None] | None = None
    ) -> None:
        """Make what every start needs and takes long, once. Raises TargetLost."""

    def rules(self) -> Sequence[RuleInfo]:
        """The rules of its verifier, each of which can be switched off by its name."""
        return ()

    def warm(self) -> None:
        """Get ready for the next :meth:`start`, in the background. Cheap to call often."""

    def cool(self) -> None:
        """Let go of what :meth:`warm` holds."""
