//! What the agent calls of Windows, by hand: a page of declarations instead of a dependency.

#![allow(missing_docs, clippy::upper_case_acronyms)]

use core::ffi::c_void;

pub type Handle = isize;
pub type Status = i32;

pub const INVALID: Handle = -1;
pub const PENDING: Status = 0x103;
pub const INFINITE: u32 = u32::MAX;

#[repr(C)]
pub struct UnicodeString {
    pub length: u16,
    pub maximum: u16,
    pub buffer: *mut u16,
}

#[repr(C)]
pub struct ObjectAttributes {
    pub length: u32,
    pub root: Handle,
    pub name: *const UnicodeString,
    pub attributes: u32,
    pub security: *const c_void,
    pub quality: *const c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct IoStatus {
    pub status: isize,
    pub information: usize,
}

#[repr(C)]
pub struct Overlapped {
    pub status: usize,
    pub information: usize,
    pub offset: u64,
    pub event: Handle,
}

#[repr(C)]
pub struct StartupInfo {
    pub size: u32,
    pub reserved: [usize; 3],
    pub numbers: [u32; 8],
    pub show: u16,
    pub more: u16,
    pub bytes: *mut u8,
    pub streams: [Handle; 3],
}

#[repr(C)]
pub struct ProcessInfo {
    pub process: Handle,
    pub thread: Handle,
    pub pid: u32,
    pub tid: u32,
}

#[repr(C)]
pub struct ExceptionRecord {
    pub code: u32,
    pub flags: u32,
    pub inner: *mut ExceptionRecord,
    pub address: usize,
    pub count: u32,
    pub parameters: [usize; 15],
}

/// CONTEXT of x86-64: 1232 bytes, of which the integer registers have names here.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct Context {
    pub homes: [u64; 6],
    pub flags: u32,
    pub mxcsr: u32,
    pub segments: [u16; 6],
    pub eflags: u32,
    pub debug: [u64; 6],
    /// rax rcx rdx rbx rsp rbp rsi rdi r8 … r15
    pub registers: [u64; 16],
    pub rip: u64,
    pub rest: [u8; 976],
}

#[repr(C)]
pub struct ExceptionPointers {
    pub record: *mut ExceptionRecord,
    pub context: *mut Context,
}

#[repr(C)]
pub struct FindData {
    pub attributes: u32,
    pub created: [u32; 2],
    pub accessed: [u32; 2],
    pub written: [u32; 2],
    pub size_high: u32,
    pub size_low: u32,
    pub reserved: [u32; 2],
    pub name: [u16; 260],
    pub short: [u16; 14],
}

#[repr(C)]
pub struct VersionInfo {
    pub size: u32,
    pub major: u32,
    pub minor: u32,
    pub build: u32,
    pub platform: u32,
    pub pack: [u16; 128],
}

#[repr(C)]
pub struct ThreadEntry {
    pub size: u32,
    pub usage: u32,
    pub thread: u32,
    pub process: u32,
    pub numbers: [u32; 3],
}

#[link(name = "kernel32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn GetStdHandle(which: u32) -> Handle;
    pub fn ReadFile(f: Handle, to: *mut u8, n: u32, got: *mut u32, o: *mut c_void) -> i32;
    pub fn WriteFile(f: Handle, from: *const u8, n: u32, put: *mut u32, o: *mut c_void) -> i32;
    pub fn GetOverlappedResult(f: Handle, o: *const Overlapped, got: *mut u32, wait: i32) -> i32;
    pub fn SetFilePointerEx(f: Handle, at: i64, now: *mut i64, how: u32) -> i32;
    pub fn GetFileSizeEx(f: Handle, size: *mut i64) -> i32;
    pub fn CreateFileW(
        name: *const u16,
        access: u32,
        share: u32,
        security: *const c_void,
        how: u32,
        flags: u32,
        template: Handle,
    ) -> Handle;
    pub fn DeleteFileW(name: *const u16) -> i32;
    pub fn MoveFileExW(old: *const u16, new: *const u16, flags: u32) -> i32;
    pub fn CreateDirectoryW(name: *const u16, security: *const c_void) -> i32;
    pub fn RemoveDirectoryW(name: *const u16) -> i32;
    pub fn FindFirstFileW(pattern: *const u16, data: *mut FindData) -> Handle;
    pub fn FindNextFileW(find: Handle, data: *mut FindData) -> i32;
    pub fn FindClose(find: Handle) -> i32;
    pub fn GetTempPathW(size: u32, to: *mut u16) -> u32;
    pub fn GetModuleFileNameW(module: Handle, to: *mut u16, size: u32) -> u32;
    pub fn GetCommandLineW() -> *const u16;
    pub fn GetComputerNameW(to: *mut u16, size: *mut u32) -> i32;
    pub fn GetProcessHeap() -> Handle;
    pub fn HeapAlloc(heap: Handle, flags: u32, size: usize) -> *mut u8;
    pub fn HeapReAlloc(heap: Handle, flags: u32, old: *mut u8, size: usize) -> *mut u8;
    pub fn HeapFree(heap: Handle, flags: u32, block: *mut u8) -> i32;
    pub fn ExitProcess(code: u32) -> !;
    pub fn TerminateProcess(process: Handle, code: u32) -> i32;
    pub fn GetExitCodeProcess(process: Handle, code: *mut u32) -> i32;
    pub fn GetCurrentProcessId() -> u32;
    pub fn GetCurrentThreadId() -> u32;
    pub fn GetLastError() -> u32;
    pub fn CreateThread(
        security: *const c_void,
        stack: usize,
        start: unsafe extern "system" fn(*mut c_void) -> u32,
        argument: *mut c_void,
        flags: u32,
        id: *mut u32,
    ) -> Handle;
    pub fn OpenProcess(access: u32, inherit: i32, id: u32) -> Handle;
    pub fn OpenThread(access: u32, inherit: i32, id: u32) -> Handle;
    pub fn SuspendThread(thread: Handle) -> u32;
    pub fn ResumeThread(thread: Handle) -> u32;
    pub fn GetThreadContext(thread: Handle, context: *mut Context) -> i32;
    pub fn CreateToolhelp32Snapshot(flags: u32, pid: u32) -> Handle;
    pub fn Thread32First(snapshot: Handle, entry: *mut ThreadEntry) -> i32;
    pub fn Thread32Next(snapshot: Handle, entry: *mut ThreadEntry) -> i32;
    pub fn CreateEventW(security: *const c_void, manual: i32, set: i32, name: *const u16)
    -> Handle;
    pub fn OpenEventW(access: u32, inherit: i32, name: *const u16) -> Handle;
    pub fn SetEvent(event: Handle) -> i32;
    pub fn ResetEvent(event: Handle) -> i32;
    pub fn WaitForSingleObject(what: Handle, ms: u32) -> u32;
    pub fn WaitForMultipleObjects(n: u32, what: *const Handle, all: i32, ms: u32) -> u32;
    pub fn CloseHandle(what: Handle) -> i32;
    pub fn Sleep(ms: u32);
    pub fn QueryPerformanceCounter(to: *mut i64) -> i32;
    pub fn QueryPerformanceFrequency(to: *mut i64) -> i32;
    pub fn GetTickCount64() -> u64;
    pub fn AcquireSRWLockExclusive(lock: *mut usize);
    pub fn ReleaseSRWLockExclusive(lock: *mut usize);
    pub fn SleepConditionVariableSRW(c: *mut usize, lock: *mut usize, ms: u32, flags: u32) -> i32;
    pub fn WakeConditionVariable(c: *mut usize);
    pub fn WakeAllConditionVariable(c: *mut usize);
    pub fn CreateFileMappingW(
        f: Handle,
        security: *const c_void,
        protect: u32,
        high: u32,
        low: u32,
        name: *const u16,
    ) -> Handle;
    pub fn MapViewOfFile(map: Handle, access: u32, high: u32, low: u32, n: usize) -> *mut c_void;
    pub fn CreateProcessW(
        application: *const u16,
        line: *mut u16,
        process: *const c_void,
        thread: *const c_void,
        inherit: i32,
        flags: u32,
        environment: *const c_void,
        folder: *const u16,
        startup: *const StartupInfo,
        made: *mut ProcessInfo,
    ) -> i32;
    pub fn LoadLibraryW(name: *const u16) -> Handle;
    pub fn GetModuleHandleW(name: *const u16) -> Handle;
    pub fn GetProcAddress(module: Handle, name: *const u8) -> usize;
    pub fn VirtualProtect(at: *mut c_void, n: usize, protect: u32, old: *mut u32) -> i32;
    pub fn SetUnhandledExceptionFilter(
        filter: unsafe extern "system" fn(*mut ExceptionPointers) -> i32,
    ) -> usize;
}

#[link(name = "advapi32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn OpenSCManagerW(machine: *const u16, database: *const u16, access: u32) -> Handle;
    pub fn OpenServiceW(manager: Handle, name: *const u16, access: u32) -> Handle;
    pub fn CreateServiceW(
        manager: Handle,
        name: *const u16,
        shown: *const u16,
        access: u32,
        kind: u32,
        start: u32,
        errors: u32,
        path: *const u16,
        group: *const u16,
        tag: *mut u32,
        needs: *const u16,
        account: *const u16,
        password: *const u16,
    ) -> Handle;
    pub fn ChangeServiceConfig2W(service: Handle, level: u32, info: *const c_void) -> i32;
    pub fn QueryServiceConfig2W(s: Handle, level: u32, to: *mut u8, n: u32, need: *mut u32) -> i32;
    pub fn StartServiceW(service: Handle, count: u32, words: *const *const u16) -> i32;
    pub fn ControlService(service: Handle, what: u32, status: *mut u32) -> i32;
    pub fn QueryServiceStatus(service: Handle, to: *mut u32) -> i32;
    pub fn DeleteService(service: Handle) -> i32;
    pub fn CloseServiceHandle(service: Handle) -> i32;
    pub fn RegCreateKeyExW(
        root: Handle,
        path: *const u16,
        reserved: u32,
        class: *const u16,
        options: u32,
        access: u32,
        security: *const c_void,
        key: *mut Handle,
        made: *mut u32,
    ) -> u32;
    pub fn RegOpenKeyExW(root: Handle, path: *const u16, o: u32, a: u32, key: *mut Handle) -> u32;
    pub fn RegQueryValueExW(
        key: Handle,
        name: *const u16,
        reserved: *mut u32,
        kind: *mut u32,
        to: *mut u8,
        size: *mut u32,
    ) -> u32;
    pub fn RegSetValueExW(k: Handle, n: *const u16, r: u32, t: u32, d: *const u8, s: u32) -> u32;
    pub fn RegDeleteTreeW(key: Handle, path: *const u16) -> u32;
    pub fn RegEnumKeyExW(
        key: Handle,
        index: u32,
        name: *mut u16,
        size: *mut u32,
        reserved: *mut u32,
        class: *mut u16,
        class_size: *mut u32,
        time: *mut u64,
    ) -> u32;
    pub fn RegCloseKey(key: Handle) -> u32;
}

#[link(name = "ntdll.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    pub fn NtCreateFile(
        handle: *mut Handle,
        access: u32,
        attributes: *const ObjectAttributes,
        io: *mut IoStatus,
        size: *const i64,
        flags: u32,
        share: u32,
        how: u32,
        options: u32,
        ea: *const c_void,
        ea_size: u32,
    ) -> Status;
    pub fn NtReadFile(
        f: Handle,
        event: Handle,
        apc: usize,
        context: usize,
        io: *mut IoStatus,
        to: *mut u8,
        n: u32,
        at: *const i64,
        key: *const u32,
    ) -> Status;
    pub fn NtWriteFile(
        f: Handle,
        event: Handle,
        apc: usize,
        context: usize,
        io: *mut IoStatus,
        from: *const u8,
        n: u32,
        at: *const i64,
        key: *const u32,
    ) -> Status;
    pub fn NtDeviceIoControlFile(
        f: Handle,
        event: Handle,
        apc: usize,
        context: usize,
        io: *mut IoStatus,
        code: u32,
        input: *const u8,
        input_size: u32,
        output: *mut u8,
        output_size: u32,
    ) -> Status;
    pub fn NtFlushBuffersFile(f: Handle, io: *mut IoStatus) -> Status;
    pub fn NtCancelIoFileEx(f: Handle, which: *const IoStatus, io: *mut IoStatus) -> Status;
    pub fn NtClose(what: Handle) -> Status;
    pub fn NtLoadDriver(service: *const UnicodeString) -> Status;
    pub fn NtUnloadDriver(service: *const UnicodeString) -> Status;
    pub fn NtQuerySystemInformation(c: u32, to: *mut u8, n: u32, got: *mut u32) -> Status;
    pub fn RtlDosPathNameToNtPathName_U(
        path: *const u16,
        to: *mut UnicodeString,
        part: *mut usize,
        folder: *mut c_void,
    ) -> u8;
    pub fn RtlFreeUnicodeString(text: *mut UnicodeString);
    pub fn RtlNtStatusToDosError(status: Status) -> u32;
    pub fn RtlGetVersion(to: *mut VersionInfo) -> Status;
    pub fn RtlAdjustPrivilege(which: u32, on: u8, thread: u8, before: *mut u8) -> Status;
    pub fn RtlCaptureContext(to: *mut Context);
    pub fn RtlLookupFunctionEntry(pc: u64, base: *mut u64, history: *mut c_void) -> *const c_void;
    pub fn RtlVirtualUnwind(
        kind: u32,
        base: u64,
        pc: u64,
        function: *const c_void,
        context: *mut Context,
        data: *mut *mut c_void,
        frame: *mut u64,
        pointers: *mut c_void,
    ) -> usize;
    /// What functions with large frames call; the linker finds it here.
    pub fn __chkstk();
    pub fn LdrFindEntryForAddress(at: usize, entry: *mut *const u8) -> Status;
}
