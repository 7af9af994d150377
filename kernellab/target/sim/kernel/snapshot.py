"""Snapshots: the whole machine at one moment, to go back to as often as wanted.

Memory comes back page by page (:mod:`..machine.checkpoint`). What the host keeps of the machine is
pickled: the parts of the kernel (``k.pool``, ``k.scheduler``, …) stay the objects they are and get
their contents back; what never changes is kept by reference, and :class:`.Records` of it are
copied; all else is made anew at each restore. So what is remembered of the past costs it nothing.

A thread that waits inside an activity that is a generator cannot be kept, since Python cannot copy
one: the machine has to be at rest, which it is between the client's calls unless a driver waits in
a callback that the kernel makes. The refusal names the routine.
"""

from __future__ import annotations

import gc
import io
import pickle
import random
from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final

from ..machine.checkpoint import Checkpoint
from ..machine.memory import AddressSpace, Page
from ..machine.registers import Saved
from ..machine.unwind import ModuleImage
from .driver import NtFailure
from .events import Bus
from .execution import Call, Context, Flow, Wait
from .pool import Allocation
from .pool_use import TagUse
from .records import Records

if TYPE_CHECKING:
    from .kernel import Kernel

#: Never changed after they were made: kept by reference.
_SHARED: Final = (Allocation, Page, Context, ModuleImage, Call, Wait, AddressSpace)


def _copy_of_random(original: random.Random) -> random.Random:
    copy = random.Random(0)  # noqa: S311 - interleavings, not secrets
    copy.setstate(original.getstate())
    return copy


#: What is copied as a whole at each restore, and how.
_COPIED: Final[dict[type, Callable[[Any], Any]]] = {
    Records: Records,
    random.Random: _copy_of_random,
    TagUse: TagUse.copy,
}
#: Attributes of the kernel that are the same for a machine's whole life.
_FIXED: Final = frozenset(
    ("memory", "cpu", "emit", "exports", "bus", "tell", "fresh_context", "_names", "_addresses")
)


class NotAtRest(NtFailure):
    """The machine cannot be kept as it is now; the message says what is under way."""

    def __init__(self, message: str) -> None:
        super().__init__("STATUS_INVALID_DEVICE_STATE", message)


class Snapshot:
    """One machine at one moment. Belongs to the kernel that it was taken of."""

    def __init__(self, k: Kernel) -> None:
        _check(k)
        for flow in _flows(k):
            if flow.current and not flow.ended:
                flow.saved = k.cpu.save(flow.saved)
            flow.current = False
        self._cpu = k.cpu
        self._roots = dict(_roots(k))
        #: What the pickle refers to by number: kept by reference, or made anew by ``_renewed``.
        self._kept: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._renewed: list[tuple[int, Any]] = []
        self._special = k.cpu.special.state()
        self._state = self._pickle({name: _contents(r) for name, r in self._roots.items()})
        k.cpu.veil.changed()
        self._memory = Checkpoint(k.memory)

    def restore(self, k: Kernel) -> None:
        """Bring the machine back: memory, processors, objects, time."""
        collecting = gc.isenabled()
        gc.disable()  # what is made here is not garbage, and looking for some takes longer
        try:
            self._restore(k)
        finally:
            if collecting:
                gc.enable()

    def _restore(self, k: Kernel) -> None:
        k.cpu.veil.changed()
        changed = self._memory.restore(k.memory)
        kept = list(self._kept)
        for number, original in self._renewed:
            kept[number] = self._renew(original)
        for name, contents in _Loader(self._state, kept.__getitem__).load().items():
            _fill(self._roots[name], contents)
        k.cpu.special.set_state(self._special)
        k.cpu.attention = False
        k.cpu.forget_translations(code=changed)

    def forget(self, k: Kernel) -> None:
        """Let go of what it keeps."""
        self._memory.forget(k.memory)

    # -- pickling -------------------------------------------------------------------------------

    def _pickle(self, state: dict[str, dict[str, Any]]) -> bytes:
        for root in self._roots.values():
            self._keep(root)
        out = io.BytesIO()
        try:
            _Keeper(out, self._identify).dump(state)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise NotAtRest(f"the machine cannot be kept as it is now: {error}") from error
        self._numbers.clear()
        for number, _ in self._renewed:
            self._kept[number] = None
        return out.getvalue()

    def _identify(self, obj: Any) -> int | None:
        number = self._numbers.get(id(obj))
        if number is not None:
            return number
        kind = type(obj)
        if kind in _SHARED or kind.__name__ == "Export":
            return self._keep(obj)
        if kind in _COPIED or kind is Saved:
            number = self._keep(obj)
            self._renewed.append((number, self._renew(obj)))
            return number
        return None

    def _keep(self, obj: Any) -> int:
        number = self._numbers[id(obj)] = len(self._kept)
        self._kept.append(obj)
        return number

    def _renew(self, original: Any) -> Any:
        copy = _COPIED.get(type(original), self._cpu.clone)
        return copy(original)


class _Keeper(pickle.Pickler):
    def __init__(self, out: io.BytesIO, identify: Any) -> None:
        super().__init__(out, pickle.HIGHEST_PROTOCOL)
        self.persistent_id = identify  # type: ignore[method-assign]


class _Loader(pickle.Unpickler):
    def __init__(self, state: bytes, load: Any) -> None:
        super().__init__(io.BytesIO(state))
        self.persistent_load = load  # type: ignore[method-assign]


def _check(k: Kernel) -> None:
    for flow in _flows(k):
        for level in flow.levels:
            if isinstance(level.activity, GeneratorType):
                name = level.export.name if level.export is not None else flow.name
                raise NotAtRest(
                    f"a thread is inside {name}, which has called the driver or waits for it: "
                    "take the snapshot when that is over"
                )


def _flows(k: Kernel) -> Iterator[Flow]:
    yield from k.ps.threads.values()
    for processor in k.scheduler.processors:
        yield processor.dpc_flow


def _roots(k: Kernel) -> Iterator[tuple[str, Any]]:
    """The parts of the machine that keep their identity, by name; ``k`` itself first."""
    yield "k", k
    for name in sorted(_FIXED):
        if hasattr(k, name):
            yield name, getattr(k, name)
    for name, part in vars(k).items():
        ours = type(part).__module__.startswith(f"{__package__}.")
        if name not in _FIXED and ours and not isinstance(part, Flow):
            yield name, part
    for listener in k.bus.owners():
        yield f"listener {type(listener).__module__}.{type(listener).__qualname__}", listener


def _contents(root: Any) -> dict[str, Any]:
    module = type(root).__module__
    if not module.startswith("kernellab.target.sim.") or ".machine." in module:
        return {}
    if isinstance(root, Bus):  # who listens is the same for a machine's whole life
        return {}
    if hasattr(root, "__dict__"):
        skip: frozenset[str] = _FIXED if type(root).__name__ == "Kernel" else frozenset()
        return {n: v for n, v in vars(root).items() if n not in skip}
    return {n: getattr(root, n) for n in type(root).__slots__}


def _fill(root: Any, contents: dict[str, Any]) -> None:
    if hasattr(root, "__dict__"):
        vars(root).update(contents)
        return
    for name, value in contents.items():
        setattr(root, name, value)
