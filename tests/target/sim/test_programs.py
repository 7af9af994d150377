"""Programs that Python makes, and what drivers hear of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernellab.build import BuildResult
from kernellab.driver import Driver
from kernellab.errors import NtStatusError
from kernellab.lab import Target

Build = Callable[..., BuildResult]

_EXTRA = """
use core::ffi::c_void;
use windows_kernel_rs::sys::*;

fn text(s: *const UNICODE_STRING, out: &mut [u8; 96]) -> &str {
    unsafe {
        let s = &*s;
        let n = (s.Length as usize / 2).min(96);
        for i in 0..n { out[i] = *s.Buffer.add(i) as u8; }
        core::str::from_utf8(&out[..n]).unwrap()
    }
}

unsafe extern "system" fn process(_: PEPROCESS, pid: HANDLE, info: *mut PS_CREATE_NOTIFY_INFO) {
    unsafe {
        if info.is_null() {
            println!("- process {} in {}", pid as usize, PsGetCurrentProcessId() as usize);
            return;
        }
        let info = &mut *info;
        let (mut a, mut b) = ([0; 96], [0; 96]);
        let image = text(info.ImageFileName, &mut a);
        println!("+ process {} of {} by {} {} '{}'", pid as usize,
            info.ParentProcessId as usize, info.CreatingThreadId.UniqueProcess as usize, image,
            text(info.CommandLine, &mut b));
        if image.contains("virus") { info.CreationStatus = STATUS_ACCESS_DENIED; }
    }
}

unsafe extern "system" fn plain(parent: HANDLE, pid: HANDLE, create: BOOLEAN) {
    println!("plain {} {} {}", parent as usize, pid as usize, create);
}

unsafe extern "system" fn thread(pid: HANDLE, tid: HANDLE, create: BOOLEAN) {
    println!("thread {} {} {} in {}", pid as usize, tid as usize, create,
        unsafe { PsGetCurrentProcessId() } as usize);
}

unsafe extern "system" fn image(name: *mut UNICODE_STRING, pid: HANDLE, info: *mut IMAGE_INFO) {
    unsafe {
        let mut a = [0; 96];
        let name = text(name, &mut a).rsplit('\\\\').next().unwrap();
        println!(
            "image {} {} {:x} in {}",
            pid as usize, name, (*info).ImageSize, PsGetCurrentProcessId() as usize
        );
    }
}
"""

_NOTIFY = """
    assert!(PsSetCreateProcessNotifyRoutineEx(Some(process), 0) == 0);
    assert!(PsSetCreateProcessNotifyRoutineEx(Some(process), 0) == STATUS_INVALID_PARAMETER);
    assert!(PsSetCreateProcessNotifyRoutine(Some(plain), 1) == STATUS_PROCEDURE_NOT_FOUND);
    assert!(PsSetCreateThreadNotifyRoutine(Some(thread)) == 0);
    assert!(PsSetLoadImageNotifyRoutine(Some(image)) == 0);
"""
_FORGET = """
    assert!(PsSetCreateProcessNotifyRoutineEx(Some(process), 1) == 0);
    assert!(PsRemoveCreateThreadNotifyRoutine(Some(thread)) == 0);
    assert!(PsRemoveCreateThreadNotifyRoutine(Some(thread)) == STATUS_PROCEDURE_NOT_FOUND);
    assert!(PsRemoveLoadImageNotifyRoutine(Some(image)) == 0);
"""


@pytest.fixture
def watcher(target: Target, build_driver: Build) -> Driver:
    unused = "if false { unsafe { PsSetCreateProcessNotifyRoutine(Some(plain), 0); } }"
    image = build_driver(
        *("watcher", f"unsafe {{ {_NOTIFY} }} {unused}", f"unsafe {{ {_FORGET} }}", _EXTRA)
    ).sys
    return target.load(image)


def since(driver: Driver, start: int) -> list[str]:
    return list(driver.log.lines)[start:]


def test_a_programs_life_is_told(target: Target, watcher: Driver) -> None:
    """WDK: "PCREATE_PROCESS_NOTIFY_ROUTINE_EX callback function (ntddk.h)" and its kin."""
    client = next(p["pid"] for p in target.processes if p["name"] == "notebook.exe")
    program = target.spawn("notepad.exe", command_line="notepad x.txt")
    pid, first = program.pid, program.threads[0]
    path = r"\??\C:\Windows\System32\notepad.exe"
    assert since(watcher, 0) == [
        f"+ process {pid} of {client} by {client} {path} 'notepad x.txt'",
        f"thread {pid} {first} 1 in {client}",
        f"image {pid} notepad.exe 10000 in {pid}",
        f"image {pid} ntdll.dll 10000 in {pid}",
    ]
    start = len(watcher.log.lines)
    base = program.load_image("x.dll", 0x3000)
    assert base > 0
    second = program.start_thread()
    program.exit_thread(second)
    program.exit(3)
    assert since(watcher, start) == [
        f"image {pid} x.dll 3000 in {pid}",
        f"thread {pid} {second} 1 in {pid}",
        f"thread {pid} {second} 0 in {pid}",
        f"thread {pid} {first} 0 in {pid}",
        f"- process {pid} in {pid}",
    ]
    assert all(p["pid"] != pid for p in target.processes)
    with pytest.raises(NtStatusError) as caught:
        target.open_process(pid, 1)
    assert caught.value.name == "STATUS_INVALID_CID"
    watcher.unload()
    target.spawn("calc.exe").exit()
    assert len(watcher.log.lines) == start + 5


def test_a_driver_refuses_a_program(target: Target, watcher: Driver) -> None:
    """WDK: "PS_CREATE_NOTIFY_INFO structure (ntddk.h)": CreationStatus."""
    parent = target.spawn("cmd.exe")
    with pytest.raises(NtStatusError, match="STATUS_ACCESS_DENIED"):
        target.spawn(r"C:\Temp\virus.exe", parent=parent)
    lines = list(watcher.log.lines)
    assert any(
        rf" of {parent.pid} by" in line and r"\??\C:\Temp\virus.exe" in line for line in lines
    )
    assert [p["name"] for p in target.processes] == ["System", "notebook.exe", "cmd.exe"]


def test_drivers_and_their_threads_are_told_of_too(
    target: Target, watcher: Driver, build_driver: Build
) -> None:
    """WDK: "PLOAD_IMAGE_NOTIFY_ROUTINE callback function (ntddk.h)": a driver has process 0."""
    extra = """
    use core::ffi::c_void;
    use windows_kernel_rs::sys::*;
    unsafe extern "system" fn worker(_: *mut c_void) { println!("worker"); }
    """
    body = """unsafe {
        let mut handle: HANDLE = core::ptr::null_mut();
        let mut id: CLIENT_ID = core::mem::zeroed();
        PsCreateSystemThread(&mut handle, 0x1FFFFF, core::ptr::null(), core::ptr::null_mut(),
            &mut id, Some(worker), core::ptr::null_mut());
        ZwWaitForSingleObject(handle, 0, core::ptr::null());
        ZwClose(handle);
    }"""
    target.load(build_driver("other", body, extra=extra).sys).unload()
    lines = since(watcher, 0)
    assert lines[0].startswith("image 0 other.sys ")
    assert [line[:9] for line in lines[1:]] == ["thread 4 ", "thread 4 "]
    assert [line.split()[3] for line in lines[1:]] == ["1", "0"]
    assert lines[1].split()[2] == lines[2].split()[2]


_GUARD = """
static mut HANDLE_: *mut c_void = core::ptr::null_mut();

unsafe extern "system" fn pre(context: *mut c_void, info: *mut OB_PRE_OPERATION_INFORMATION)
    -> OB_PREOP_CALLBACK_STATUS {
    unsafe {
        let info = &mut *info;
        let p = &mut (*info.Parameters).CreateHandleInformation;
        println!("pre {} {} {:x}", info.Operation, context as usize, p.DesiredAccess);
        p.DesiredAccess = (p.DesiredAccess & !1) | 0x8;
        info.CallContext = 77 as _;
    }
    OB_PREOP_SUCCESS
}

unsafe extern "system" fn post(_: *mut c_void, info: *mut OB_POST_OPERATION_INFORMATION) {
    unsafe {
        let info = &*info;
        println!("post {} {:x}", info.CallContext as usize,
            (*info.Parameters).CreateHandleInformation.GrantedAccess);
    }
}

fn wide(text: &str, out: &mut [u16; 32]) -> UNICODE_STRING {
    let mut n = 0;
    for u in text.encode_utf16() { out[n] = u; n += 1; }
    UNICODE_STRING { Length: 2 * n as u16, MaximumLength: 2 * n as u16, Buffer: out.as_mut_ptr() }
}

fn register() -> NTSTATUS {
    unsafe {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        let name = wide("PsProcessType", &mut a);
        let mut operation: OB_OPERATION_REGISTRATION = core::mem::zeroed();
        operation.ObjectType = MmGetSystemRoutineAddress(&name).cast();
        operation.Operations = 3;
        operation.PreOperation = Some(pre);
        operation.PostOperation = Some(post);
        let mut registration: OB_CALLBACK_REGISTRATION = core::mem::zeroed();
        registration.Version = ObGetFilterVersion();
        registration.OperationRegistrationCount = 1;
        registration.Altitude = wide("321000", &mut b);
        registration.RegistrationContext = 5 as _;
        registration.OperationRegistration = &mut operation;
        ObRegisterCallbacks(&registration, &raw mut HANDLE_)
    }
}
"""


def test_rights_of_handles_are_taken_away(target: Target, build_driver: Build) -> None:
    """WDK: "ObRegisterCallbacks function (wdm.h)"; rights can only be taken away."""
    body = """
    println!("{}", register());
    println!("{:08x}", register() as u32);
    """
    extra = _GUARD.replace(
        "static mut HANDLE_",
        "use core::ffi::c_void;\nuse windows_kernel_rs::sys::*;\nstatic mut HANDLE_",
        1,
    )
    image = build_driver("guard", body, "unsafe { ObUnRegisterCallbacks(HANDLE_); }", extra).sys
    driver = target.load(image)
    program = target.spawn("notepad.exe")
    terminate, read = 0x1, 0x10
    assert program.open(terminate | read) == read
    driver.unload()
    assert program.open(terminate | read) == terminate | read
    assert list(driver.log.lines) == ["0", "c01c0011", "pre 1 5 11", "post 77 10"]
    assert target.violations == []


def test_a_driver_looks_up_and_ends_a_program(target: Target, build_driver: Build) -> None:
    """WDK: "PsLookupProcessByProcessId function (ntifs.h)", "ZwTerminateProcess function"."""
    extra = (
        _EXTRA.split("unsafe extern")[0]
        + """
    #[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
    unsafe extern "system" { fn PsGetProcessImageFileName(p: PEPROCESS) -> *const u8; }
    """
    )
    body = """unsafe {
        let pid = PID as HANDLE;
        let mut process: PEPROCESS = 0;
        println!("{:08x}", PsLookupProcessByProcessId(0x9998 as HANDLE, &mut process) as u32);
        println!("{}", PsLookupProcessByProcessId(pid, &mut process));
        println!("{}", PsGetProcessId(process) as usize == pid as usize);
        println!("{}", core::ffi::CStr::from_ptr(PsGetProcessImageFileName(process).cast())
            .to_str().unwrap());
        println!("{:x}", PsGetProcessExitStatus(process));
        let mut name = core::ptr::null_mut();
        SeLocateProcessImageName(process, &mut name);
        println!("{}", text(name, &mut [0; 96]));
        ExFreePool(name.cast());
        let (mut handle, mut oa, mut id): (HANDLE, OBJECT_ATTRIBUTES, CLIENT_ID) =
            core::mem::zeroed();
        oa.Length = 48; oa.Attributes = 0x200; id.UniqueProcess = pid;
        println!("{}", ZwOpenProcess(&mut handle, 1, &oa, &id));
        let mut basic: PROCESS_BASIC_INFORMATION = core::mem::zeroed();
        println!("{}", ZwQueryInformationProcess(handle, ProcessBasicInformation,
            (&raw mut basic).cast(), 48, core::ptr::null_mut()));
        println!("{} {}", basic.UniqueProcessId == pid as usize, basic.ExitStatus);
        println!("{}", ZwTerminateProcess(handle, 5));
        println!("{}", ZwWaitForSingleObject(handle, 0, core::ptr::null()));
        ZwClose(handle);
        println!("{}", PsGetProcessExitStatus(process));
        println!("{}", PsGetProcessCreateTimeQuadPart(process) > 0);
        ObfDereferenceObject(process as _);
    }"""
    program = target.spawn("a_rather_long_name.exe")
    driver = target.load(
        build_driver("killer", body.replace("PID", str(program.pid)), extra=extra).sys
    )
    driver.unload()
    assert list(driver.log.lines) == [
        *("c000000b", "0", "true", "a_rather_long_", "103"),
        r"\Device\HarddiskVolume1\Windows\System32\a_rather_long_name.exe",
        *("0", "0", "true 259", "0", "0", "5", "true", "bye"),
    ]
    assert all(p["pid"] != program.pid for p in target.processes)
    assert target.violations == []


def test_a_snapshot_has_registry_files_and_programs(target: Target) -> None:
    key, files = target.registry[r"HKLM\SOFTWARE\Lab"], target.files
    key["a"], files[r"C:\x"] = 1, b"1"
    program = target.spawn("notepad.exe")
    snapshot = target.snapshot()
    key["a"], files[r"C:\x"] = 2, b"22"
    program.exit()
    target.spawn("calc.exe")
    snapshot.restore()
    assert (key["a"], files[r"C:\x"]) == (1, b"1")
    assert [p["name"] for p in target.processes][2:] == ["notepad.exe"]
    assert target.open_process(program.pid, 1) == 1
