"""Where the bindings import from."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

#: What `hal.dll` exports and `ntoskrnl.exe` did not before Windows 10 2004.
_HAL = set(
    "HalAcquireDisplayOwnership HalAllocateAdapterChannel HalAllocateCommonBuffer"
    " HalAllocateCrashDumpRegisters HalAllocateHardwareCounters HalAssignSlotResources"
    " HalBugCheckSystem HalDmaAllocateCrashDumpRegistersEx HalDmaFreeCrashDumpRegistersEx"
    " HalFreeCommonBuffer HalFreeHardwareCounters HalGetAdapter HalGetBusData"
    " HalGetBusDataByOffset HalGetInterruptVector HalMakeBeep HalReadDmaCounter HalSetBusData"
    " HalSetBusDataByOffset HalTranslateBusAddress IoFlushAdapterBuffers IoFreeAdapterChannel"
    " IoFreeMapRegisters IoMapTransfer KeFlushWriteBuffer KeQueryPerformanceCounter"
    " KeStallExecutionProcessor".split()
)

#: In the kernel since a newer Windows than mingw-w64's import library describes.
_NEWER = re.compile(
    r"Rtl(\w*UTF8\w*|Is\w+|CopyBitMap|ExtractBitMap|Number\w+InRange|CreateHashTableEx"
    r"|\w*StrongEnumerationHashTable|StronglyEnumerateEntryHashTable|DecompressBufferEx"
    r"|DeleteElementGenericTableAvlEx|Get(ActiveConsoleId|ConsoleSession\w+|NtSystemRoot"
    r"|PersistedStateLocation|SuiteMask)|Query(Package\w+|RegistryValueWithFallback"
    r"|ValidationRunlevel))"
    r"|Zw(AllocateVirtualMemoryEx|\w*RegistryTransaction|\w*TransactionManager|CreateSectionEx"
    r"|FlushBuffersFileEx|ManagePartition|NotifyChangeMultipleKeys|QueryDirectoryFileEx"
    r"|QueryInformationByName|RenameKey|SetInformationKey|SetInformationVirtualMemory"
    r"|SinglePhaseReject)"
)


@pytest.fixture(scope="module")
def imported(template: Path) -> dict[str, str]:
    """Function to module, as the link attributes say."""
    sources = template / "windows-kernel-sys" / "src"
    found: dict[str, str] = {}
    for path in [sources / "ntoskrnl.rs", *(sources / "inline").glob("*.rs")]:
        blocks = re.split(r'link\(\s*name = "', path.read_text())[1:]
        for block in blocks:
            module = block.partition('"')[0]
            assert re.match(r'[^)]*kind = "raw-dylib",\s*modifiers = "\+verbatim"', block)
            for name in re.findall(r"pub (?:fn|static) (\w+)", block):
                assert name not in found, name
                found[name] = module
    return found


def test_modules(imported: dict[str, str]) -> None:
    assert set(imported.values()) == {"ntoskrnl.exe", "hal.dll"}
    assert {name for name, module in imported.items() if module == "hal.dll"} == _HAL
    assert len(imported) > 1700


def test_the_usual_routines_are_there(imported: dict[str, str]) -> None:
    usual = (
        "DbgPrint DbgPrintEx vDbgPrintEx ExAllocatePool2 ExAllocatePoolWithTag ExFreePoolWithTag"
        " IoCreateDevice IoDeleteDevice IoCreateSymbolicLink IofCompleteRequest IofCallDriver"
        " KeInitializeEvent KeSetEvent KeWaitForSingleObject KeInitializeTimerEx KeSetTimer"
        " KeInsertQueueDpc KeAcquireSpinLockRaiseToDpc KeReleaseSpinLock KeGetCurrentIrql"
        " KfRaiseIrql KeLowerIrql KeBugCheckEx MmGetSystemRoutineAddress MmProbeAndLockPages"
        " ObReferenceObjectByHandle ObfDereferenceObject PsCreateSystemThread ProbeForRead"
        " RtlInitUnicodeString RtlCopyUnicodeString RtlQueryRegistryValues ZwCreateFile ZwClose"
        " ZwOpenKey ZwQueryValueKey ExInitializeResourceLite ExAcquireFastMutex IoAllocateMdl"
        " IoQueueWorkItem IoAttachDeviceToDeviceStack PsSetCreateProcessNotifyRoutineEx"
    ).split()
    assert [name for name in usual if imported.get(name) != "ntoskrnl.exe"] == []


def test_nothing_is_of_user_mode_alone(imported: dict[str, str]) -> None:
    """Against mingw-w64's import libraries: what ntdll.dll exports and ntoskrnl.exe does not."""
    tool = shutil.which("x86_64-w64-mingw32-nm") or shutil.which("nm")
    library = next(Path("/usr").glob("*mingw*/lib/libntoskrnl.a"), None)
    if tool is None or library is None:
        pytest.skip("no import libraries of mingw-w64")

    def exports(path: Path) -> set[str]:
        answer = subprocess.run([tool, str(path)], capture_output=True, text=True, timeout=60)
        return set(re.findall(r" T (\w+)", answer.stdout))

    kernel, user = exports(library), exports(library.with_name("libntdll.a"))
    assert len(kernel) > 2000 and len(user) > 2000
    doubtful = {name for name in imported if name in user - kernel}
    assert {name for name in doubtful if not _NEWER.fullmatch(name)} == set()
    assert _HAL & kernel == set()
