"""Layouts and constants against a second source: the DDK headers of mingw-w64.

Those headers were written apart from Microsoft's metadata, and for several older versions of
Windows: what differs for that reason alone is listed here by name. Skipped where the compiler
or the headers are missing (Debian: ``mingw-w64-x86-64-dev``, ``gcc-mingw-w64-x86-64``).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kernellab import ntdata

_INCLUDES = "".join(
    f"#include <{name}.h>\n" for name in "stddef ntifs ntddk bugcodes ntstatus".split()
)

#: Structs that grew or changed after the version that the headers describe.
_NEWER = set(
    "CACHE_RELATIONSHIP DEBUG_DEVICE_DESCRIPTOR DEVICE_DESCRIPTION DEVOBJ_EXTENSION DMA_OPERATIONS"
    " FSRTL_ADVANCED_FCB_HEADER FS_FILTER_CALLBACKS FS_FILTER_PARAMETERS IO_COMPLETION_CONTEXT"
    " IO_DRIVER_CREATE_CONTEXT IO_RESOURCE_DESCRIPTOR KUSER_SHARED_DATA KWAIT_BLOCK MFT_ENUM_DATA"
    " NUMA_NODE_RELATIONSHIP PCI_BUS_INTERFACE_STANDARD PCI_EXPRESS_CAPABILITY"
    " PHYSICAL_COUNTER_RESOURCE_DESCRIPTOR PHYSICAL_COUNTER_RESOURCE_LIST PROCESSOR_RELATIONSHIP"
    " QUERY_PATH_REQUEST_EX READ_USN_JOURNAL_DATA SE_EXPORTS SRV_OPEN_ECP_CONTEXT"
    " TOKEN_ACCESS_INFORMATION USN_JOURNAL_DATA XSTATE_CONFIGURATION".split()
)
#: Single fields that did.
_NEWER_FIELDS = {
    ("DISPATCHER_HEADER", "DpcActive"),
    ("KDPC", "DpcListEntry size"),
    ("KTIMER", "Processor size"),
}
#: What the headers have wrong: the WDK aligns these two to MEMORY_ALLOCATION_ALIGNMENT.
_ALIGNED = {("DEVICE_OBJECT", "size"), ("DEVICE_OBJECT", "align"), ("IRP", "align")}
#: Macros of the headers that redefine the members, and a struct no import here uses.
_OTHER = {"HAL_DISPATCH", "OBJECT_ATTRIBUTES32"}

#: What every driver uses: these must be known to the headers, so that something is compared.
_CORE = (
    "DEVICE_OBJECT DISPATCHER_HEADER DRIVER_EXTENSION DRIVER_OBJECT ERESOURCE FAST_MUTEX"
    " FILE_OBJECT IO_REMOVE_LOCK IO_STACK_LOCATION IO_STATUS_BLOCK IRP KAPC KDPC KEVENT"
    " KLOCK_QUEUE_HANDLE KMUTANT KSEMAPHORE KTIMER LIST_ENTRY MDL NPAGED_LOOKASIDE_LIST"
    " OBJECT_ATTRIBUTES RTL_QUERY_REGISTRY_TABLE SLIST_HEADER STRING UNICODE_STRING VPB"
    " WORK_QUEUE_ITEM"
).split()


class Headers:
    """The headers, and a compiler that answers questions about them."""

    def __init__(self, folder: Path, gcc: str, ddk: Path) -> None:
        self._folder = folder
        self._gcc = [gcc, f"-I{ddk}", "-D_WIN32_WINNT=0x0A00", "-DNTDDI_VERSION=0x0A000000"]
        text = self._run("-E", "-dD", "-P", source=_INCLUDES).stdout
        self.words = frozenset(re.findall(r"[A-Za-z_]\w*", text))

    def _run(self, *arguments: str, source: str) -> subprocess.CompletedProcess[str]:
        path = self._folder / "checks.c"
        path.write_text(source)
        command = [*self._gcc, *arguments, str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    def knows(self, expression: str) -> bool:
        """Whether the headers have all names in ``expression``: cheaper than a failing check."""
        return self.words >= set(re.findall(r"[A-Za-z_]\w*", expression))

    def ask(self, checks: Sequence[str]) -> tuple[set[int], set[int]]:
        """Indices of the C conditions that are false, and of those that do not compile."""
        lines = [f'_Static_assert({check}, "");\n' for check in checks]
        source = _INCLUDES + "".join(lines)
        answer = self._run("-fsyntax-only", "-w", "-fmax-errors=0", source=source)
        first = _INCLUDES.count("\n") + 1
        wrong: set[int] = set()
        unknown: set[int] = set()
        for found in re.finditer(r"checks\.c:(\d+):\d+: error: (.*)", answer.stderr):
            index = int(found[1]) - first
            assert index >= 0, found[0]
            (wrong if "static assertion failed" in found[2] else unknown).add(index)
        # A condition on an unknown name is also reported as false.
        return wrong - unknown, unknown


@pytest.fixture(scope="session")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Headers:
    gcc = shutil.which("x86_64-w64-mingw32-gcc")
    if gcc is None:
        pytest.skip("no x86_64-w64-mingw32-gcc")
    places = Path("/usr").glob("*mingw*/include/ddk")
    ddk = next((place for place in places if (place / "ntifs.h").is_file()), None)
    if ddk is None:
        pytest.skip("no DDK headers of mingw-w64")
    return Headers(tmp_path_factory.mktemp("headers"), gcc, ddk)


def test_layouts(headers: Headers) -> None:
    checks: list[tuple[str, str, str]] = []

    def check(name: str, what: str, condition: str) -> None:
        if headers.knows(f"{name}.{what.removesuffix(' size')}"):
            checks.append((name, what, condition))

    for name in ntdata._load("layouts.json")["structs"]:
        if not headers.knows(name):
            continue
        known = ntdata.layout(name)
        checks.append((name, "size", f"sizeof({name}) == {known.size}"))
        checks.append((name, "align", f"sizeof({name}) * 0 + _Alignof({name}) == {known.align}"))
        for path, field in known.fields.items():
            check(name, path, f"offsetof({name}, {path}) == {field.offset}")
            size = f"sizeof((({name} *)0)->{path}) == {field.size}"
            check(name, f"{path} size", size)
    wrong, unknown = headers.ask([condition for _, _, condition in checks])
    compared = {checks[i][0] for i in range(len(checks)) if i not in unknown}
    assert set(_CORE) <= compared
    assert len(compared) > 500
    false = {checks[i][:2] for i in wrong}
    unexpected = {
        (struct, what)
        for struct, what in false - _NEWER_FIELDS - _ALIGNED
        if struct not in _NEWER | _OTHER
    }
    assert not unexpected
    # An exception that is no longer needed is removed.
    assert false >= _NEWER_FIELDS | _ALIGNED
    assert {struct for struct, _ in false} >= _NEWER | _OTHER


def test_every_parameter_of_the_requests_is_compared(headers: Headers) -> None:
    location = ntdata.layout("IO_STACK_LOCATION")
    names = [name for name in location.fields if name.startswith("Parameters.")]
    checks = [f"offsetof(IO_STACK_LOCATION, {n}) == {location.offset(n)}" for n in names]
    wrong, unknown = headers.ask(checks)
    assert not wrong
    # Of newer requests.
    rest = {names[i] for i in unknown}
    assert not {n for n in rest if not re.match(r"Parameters\.(NotifyDirectoryEx|Power|\w+Ex)", n)}


#: Last values of enumerations, versions of interfaces, and the like: they grow.
_GROWING = re.compile(
    r"Max\w*|\w*Max(imum)?\w*|\w*_VERSION|\w+_CURRENT_VERSION|\w+_COUNT|SE_MAX\w*|POWER_LEVEL"
    r"|FILE_CHARACTERISTICS_REMOVAL_POLICY_MASK_EX|PROTECTED_POOL|Result(Negative|Positive|Zero)"
)
#: Bug checks whose numbers the headers have wrong (see "Bug Check Code Reference"), and two
#: status codes that clash there.
_WRONG_IN_HEADERS = set(
    "BOOTING_IN_SAFEMODE_DSREPAIR BOOTING_IN_SAFEMODE_MINIMAL BOOTING_IN_SAFEMODE_NETWORK"
    " BOOTLOG_ENABLED BUGCODE_ID_DRIVER IMPERSONATING_WORKER_THREAD"
    " STATUS_GRAPHICS_DRIVER_MISMATCH STATUS_PKU2U_CERT_FAILURE".split()
)


def test_constants(headers: Headers) -> None:
    values = dict(ntdata.constants(""))
    values |= ntdata._load("ntstatus.json") | ntdata._load("bugchecks.json")
    names = sorted(name for name in values if headers.knows(name))
    wrong, unknown = headers.ask(
        [
            f"(unsigned long long)(long long)({n}) == (unsigned long long)({values[n]}LL)"
            f" || (unsigned)({n}) == (unsigned)({values[n]}LL)"
            for n in names
        ]
    )
    assert len(names) - len(unknown) > 4000
    false = {names[i] for i in wrong}
    assert not {n for n in false - _WRONG_IN_HEADERS if not _GROWING.fullmatch(n)}
    assert false >= _WRONG_IN_HEADERS
