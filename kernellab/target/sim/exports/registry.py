r"""The decorator that makes a Python function an export of the simulated kernel.

::

    @export("BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, "
            "BOOLEAN CaseInSensitive)", irql=PASSIVE_LEVEL)
    def RtlEqualUnicodeString(k, String1, String2, CaseInSensitive):
        \"\"\"WDK: "RtlEqualUnicodeString function (wdm.h)".\"\"\"
        ...
        return True

The C signature is parsed once. Integers arrive truncated and sign-extended as their C type says,
pointers as unsigned 64-bit numbers; a signature whose parameters are not those of the function is
an error at import. ``...`` at the end gives the function a last parameter: a
:class:`VaList`, which is called for the next argument.

A handler gets the kernel ``k`` first: ``k.memory`` (reads and writes that raise
:class:`~..machine.memory.MemoryFault`, which becomes the bug check that Windows would raise),
``k.pool``, ``k.objects``, ``k.irql`` and so on. It returns a number (or a bool, or None for VOID).
It may raise :class:`~..kernel.bugcheck.BugCheck`, and NtFailure where :func:`ntstatus` stands
below the decorator. To call guest code it is a generator: ``result = yield Call(address, argument,
…)``. Where it has to wait first and do something afterwards, it returns an activity that can be
copied (:class:`~..kernel.locks.AfterWait`).

Nothing may return a made-up success: what is not implemented is not registered, and a driver
that imports it does not load.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..kernel.driver import NtFailure
from ..kernel.execution import Deferred, Steps, Wait, WaitOnce

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL = 0, 1, 2, 15

#: C types that are not pointers: size in bytes, negative where signed. Other names of one
#: word are errors, so that a misspelt type is noticed.
_TYPES: Final[Mapping[str, int]] = {
    "VOID": 0,
    "void": 0,
    **dict.fromkeys(("BOOLEAN", "UCHAR", "KIRQL", "KPROCESSOR_MODE"), 1),
    **dict.fromkeys(("CHAR", "CCHAR", "char"), -1),
    **dict.fromkeys(("USHORT", "WCHAR", "wchar_t", "CSHORT_U"), 2),
    **dict.fromkeys(("SHORT", "CSHORT"), -2),
    **dict.fromkeys(
        (
            *("ULONG", "DWORD", "UINT32", "DEVICE_TYPE", "POOL_TYPE", "ACCESS_MASK", "LOGICAL"),
            *("POWER_STATE", "POWER_STATE_TYPE", "DEVICE_RELATION_TYPE"),
            *("EVENT_TYPE", "KWAIT_REASON", "MEMORY_CACHING_TYPE", "unsigned"),
            *("CLONG", "TABLE_SEARCH_RESULT"),
            *("LOCK_OPERATION", "EX_POOL_PRIORITY", "SECTION_INHERIT", "MM_SYSTEMSIZE"),
        ),
        4,
    ),
    **dict.fromkeys(("LONG", "NTSTATUS", "INT", "int", "KPRIORITY"), -4),
    **dict.fromkeys(
        (
            *("ULONGLONG", "ULONG64", "SIZE_T", "ULONG_PTR", "KSPIN_LOCK", "POOL_FLAGS"),
            *("size_t", "LUID", "HANDLE", "PHYSICAL_ADDRESS", "KAFFINITY"),
        ),
        8,
    ),
    **dict.fromkeys(("LONGLONG", "LONG64", "LARGE_INTEGER", "LONG_PTR", "__int64"), -8),
}

_SIGNATURE: Final = re.compile(r"\s*(.+?[\s*])(\w+)\s*\((.*)\)\s*", re.DOTALL)


def _size(text: str) -> int:
    """The size of a C type: see :data:`_TYPES`; pointers are 8, unsigned."""
    words = [word for word in text.replace("*", " * ").split() if word not in ("const", "CONST")]
    if "*" in words:
        return 8
    if len(words) == 1:
        if words[0] in _TYPES:
            return _TYPES[words[0]]
        if re.match(r"L?P[A-Z]", words[0]) or words[0] == "va_list":
            return 8
    raise ValueError(f"unknown C type {text!r}")


def _shape(size: int) -> tuple[int, int]:
    """Mask and sign bit of a C type: ``((value & mask) ^ sign) - sign`` is its value."""
    bits = abs(size) * 8
    return (1 << bits) - 1, 0 if size > 0 else 1 << (bits - 1)


class VaList:
    """The variable arguments of a call: each call of this gives the next 8-byte slot."""

    __slots__ = ("_at", "_memory", "_registers")

    def __init__(self, memory: Any, address: int, registers: tuple[int, ...] = ()) -> None:
        self._memory = memory
        self._at = address
        self._registers = registers

    def __call__(self) -> int:
        value: int
        at = self._at
        self._at = at + 8
        if self._registers:
            value, self._registers = self._registers[0], self._registers[1:]
        else:
            value = self._memory.u64(at)
        return value


@dataclass(frozen=True, slots=True)
class Export:
    """One export: its name, handler, C types, the highest IRQL it may be called at."""

    name: str
    irql: int
    signature: str
    function: Callable[..., Any] | None
    sizes: tuple[int, ...] = ()
    variadic: bool = False
    #: What is simpler than in Windows, in a sentence; for the table in docs.
    simplified: str = ""
    #: Machine code, for the few that must preserve registers a call may change.
    code: bytes = b""
    #: For a variable instead of a function: gives its bytes.
    data: Callable[[Kernel], bytes] | None = None
    doc: str = field(default="", repr=False)
    #: A routine that the kernel hands out by address, and that no driver can import.
    internal: bool = False
    #: The module that it is in.
    family: str = ""

    def bind(self, k: Kernel) -> Callable[[int, int, int, int, int], Any]:
        """The handler that the CPU's trap calls with rcx, rdx, r8, r9, rsp."""
        function = self.function
        assert function is not None
        shapes = [_shape(size) for size in self.sizes]
        call = _variadic(function, k, shapes) if self.variadic else _caller(function, k, shapes)
        cpu, name, irql = k.cpu, self.name, self.irql

        def handler(a: int, b: int, c: int, d: int, rsp: int) -> Any:
            k.now += k.call_units
            if k.now >= k.alarm:
                cpu.attention = True
            if cpu.irql > irql:
                k.tell("called-above-irql", name, irql)
            result = call(a, b, c, d, rsp)
            if result.__class__ is int:
                return result & 0xFFFF_FFFF_FFFF_FFFF
            if isinstance(result, Wait):
                return Deferred(self, WaitOnce(result), rsp)
            if hasattr(result, "send"):
                return Deferred(self, result, rsp)
            return int(result or 0)

        return handler


def _caller(
    function: Callable[..., Any], k: Kernel, shapes: list[tuple[int, int]]
) -> Callable[[int, int, int, int, int], Any]:
    """What calls ``function`` with the arguments that the registers and the stack hold.

    Spelt out by their number, since every call of a driver comes through here.
    """
    count, u64 = len(shapes), k.memory.u64
    (m0, s0), (m1, s1), (m2, s2), (m3, s3), (m4, s4) = (*shapes, *[(0, 0)] * 5)[:5]
    more = shapes[4:]

    def none(_a: int, _b: int, _c: int, _d: int, _rsp: int) -> Any:
        return function(k)

    def one(a: int, _b: int, _c: int, _d: int, _rsp: int) -> Any:
        return function(k, ((a & m0) ^ s0) - s0)

    def two(a: int, b: int, _c: int, _d: int, _rsp: int) -> Any:
        return function(k, ((a & m0) ^ s0) - s0, ((b & m1) ^ s1) - s1)

    def three(a: int, b: int, c: int, _d: int, _rsp: int) -> Any:
        return function(k, ((a & m0) ^ s0) - s0, ((b & m1) ^ s1) - s1, ((c & m2) ^ s2) - s2)

    def four(a: int, b: int, c: int, d: int, _rsp: int) -> Any:
        return function(
            k,
            ((a & m0) ^ s0) - s0,
            ((b & m1) ^ s1) - s1,
            ((c & m2) ^ s2) - s2,
            ((d & m3) ^ s3) - s3,
        )

    def five(a: int, b: int, c: int, d: int, rsp: int) -> Any:
        return function(
            k,
            ((a & m0) ^ s0) - s0,
            ((b & m1) ^ s1) - s1,
            ((c & m2) ^ s2) - s2,
            ((d & m3) ^ s3) - s3,
            ((u64(rsp + 40) & m4) ^ s4) - s4,
        )

    def many(a: int, b: int, c: int, d: int, rsp: int) -> Any:
        at = rsp + 40
        values = []
        for mask, sign in more:
            values.append(((u64(at) & mask) ^ sign) - sign)
            at += 8
        return function(
            k,
            ((a & m0) ^ s0) - s0,
            ((b & m1) ^ s1) - s1,
            ((c & m2) ^ s2) - s2,
            ((d & m3) ^ s3) - s3,
            *values,
        )

    return (none, one, two, three, four, five)[count] if count < 6 else many


def _variadic(
    function: Callable[..., Any], k: Kernel, shapes: list[tuple[int, int]]
) -> Callable[[int, int, int, int, int], Any]:
    """The same for a function whose last parameter is a :class:`VaList`."""
    count, memory = len(shapes), k.memory
    behind = 8 + 8 * count
    (m0, s0), (m1, s1), (m2, s2) = (*shapes, (0, 0), (0, 0), (0, 0))[:3]

    def one(a: int, b: int, c: int, d: int, rsp: int) -> Any:
        return function(k, ((a & m0) ^ s0) - s0, VaList(memory, rsp + behind, (b, c, d)))

    def three(a: int, b: int, c: int, d: int, rsp: int) -> Any:
        return function(
            k,
            ((a & m0) ^ s0) - s0,
            ((b & m1) ^ s1) - s1,
            ((c & m2) ^ s2) - s2,
            VaList(memory, rsp + behind, (d,)),
        )

    def call(a: int, b: int, c: int, d: int, rsp: int) -> Any:
        given: tuple[int, ...] = (a, b, c, d)
        if count > 4:
            given += tuple(memory.u64(rsp + 8 + 8 * n) for n in range(4, count))
        values = [
            ((value & mask) ^ sign) - sign
            for value, (mask, sign) in zip(given, shapes, strict=False)
        ]
        arguments = VaList(memory, rsp + behind, given[count:4])
        return function(k, *values, arguments)

    return {1: one, 3: three}.get(count, call)  # DbgPrint, DbgPrintEx


_exports: dict[str, Export] = {}


def registered() -> dict[str, Export]:
    """What has been registered so far; :func:`..exports.table` imports all families first."""
    return _exports


def export(
    signature: str, *, irql: int, simplified: str = "", internal: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as the export that ``signature`` declares."""
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        raise ValueError(f"not a C signature: {signature!r}")
    returns, name, inside = match.groups()
    _size(returns)
    parameters = [part.strip() for part in inside.split(",")]
    if parameters in (["VOID"], ["void"], [""]):
        parameters = []
    variadic = bool(parameters) and parameters[-1] == "..."
    if variadic:
        parameters.pop()
    sizes, names = [], []
    for parameter in parameters:
        kind, _, last = parameter.replace("*", "* ").rpartition(" ")
        sizes.append(_size(kind))
        names.append(last)
    if variadic:
        names.append("arguments")

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        given = list(inspect.signature(function).parameters)[1:]
        if given != names or function.__name__ != name:
            raise TypeError(f"{function.__name__}{given} does not agree with {signature!r}")
        doc = inspect.getdoc(function) or ""
        _add(
            Export(
                *(name, irql, signature, function, tuple(sizes), variadic, simplified),
                doc=doc,
                internal=internal,
                family=function.__module__.rpartition(".")[2],
            )
        )
        return function

    return register


def ntstatus(function: Callable[..., Any]) -> Callable[..., Any]:
    """For exports that return an NTSTATUS: an NtFailure that the handler raises is its answer."""

    @functools.wraps(function)
    def answered(*arguments: Any) -> Any:
        try:
            result = function(*arguments)
        except NtFailure as failure:
            return failure.status
        return _answered(result) if isinstance(result, Generator) else result

    return answered


def _answered(steps: Steps) -> Steps:
    try:
        return (yield from steps)
    except NtFailure as failure:
        return failure.status


def export_code(name: str, code: bytes, *, irql: int = HIGH_LEVEL, doc: str = "") -> None:
    """Register an export that is machine code, position-independent."""
    _add(Export(name, irql, name, None, code=code, doc=doc, family=_calling_module()))


def export_data(name: str, data: Callable[[Kernel], bytes], *, doc: str = "") -> None:
    """Register an exported variable: the driver's import is its address."""
    family = _calling_module()
    _add(Export(name, HIGH_LEVEL, name, None, data=data, doc=doc, family=family))


def _calling_module() -> str:
    """The module whose call of a function of this one this is."""
    name: str = sys._getframe(2).f_globals["__name__"]
    return name.rpartition(".")[2]


def _add(entry: Export) -> None:
    # The same module again: its first import was interrupted half-way.
    known = _exports.get(entry.name, entry)
    if known.family != entry.family:
        raise ValueError(f"{entry.name} is exported twice")
    _exports[entry.name] = entry
