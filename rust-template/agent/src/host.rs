//! The process that drivers run in, in Wine: its ntoskrnl.exe, with what prints and bug checks
//! replaced by functions of ours.
//!
//! Wine runs drivers in a process (`winedevice.exe`) that loads its ntoskrnl.exe and calls
//! `wine_ntoskrnl_main_loop`. This one does the same, and is ours from its start.

use core::ffi::c_void;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicIsize, AtomicU32, AtomicUsize, Ordering};

use crate::rt::{ticks, wide};
use crate::shared::{FRAMES, HEAD, LOAD, RING, Shared, Stack, write_text};
use crate::win::{self, Context, ExceptionPointers, Handle, Status, UnicodeString};

static SHARED: AtomicUsize = AtomicUsize::new(0);
static LINES: AtomicIsize = AtomicIsize::new(0);
static CRASHED: AtomicIsize = AtomicIsize::new(0);
static FORMAT: AtomicUsize = AtomicUsize::new(0);
static LOAD_DRIVER: AtomicUsize = AtomicUsize::new(0);
static UNLOAD_DRIVER: AtomicUsize = AtomicUsize::new(0);
static WORKER: AtomicUsize = AtomicUsize::new(0);
/// Of the thread that crashed: its CONTEXT.
static CRASH_CONTEXT: AtomicUsize = AtomicUsize::new(0);
static CRASHING: AtomicBool = AtomicBool::new(false);
static RING_LOCK: AtomicBool = AtomicBool::new(false);
static LOST: AtomicU32 = AtomicU32::new(0);

fn shared() -> &'static Shared {
    // SAFETY: set once before anything else runs, never unmapped.
    unsafe { &*(SHARED.load(Ordering::Relaxed) as *const Shared) }
}

fn event(name: &str, part: &str) -> Handle {
    let name = wide(&alloc::format!("{name}-{part}"));
    // SAFETY: the name ends in NUL.
    unsafe { win::CreateEventW(core::ptr::null(), 0, 0, name.as_ptr()) }
}

/// Be the host of the agent that made the memory called `name`; ends with the process.
pub fn run(name: &str) -> u32 {
    let whole = wide(name);
    // SAFETY: names end in NUL; addresses are of functions with the types given.
    unsafe {
        let map = win::CreateFileMappingW(
            win::INVALID,
            core::ptr::null(),
            4,
            0,
            size_of::<Shared>() as u32,
            whole.as_ptr(),
        );
        let view = win::MapViewOfFile(map, 6, 0, 0, 0);
        if view.is_null() {
            return 2;
        }
        SHARED.store(view as usize, Ordering::Relaxed);
        LINES.store(event(name, "lines"), Ordering::Relaxed);
        CRASHED.store(event(name, "crashed"), Ordering::Relaxed);
        let ntdll = win::GetModuleHandleW(wide("ntdll.dll").as_ptr());
        let kernel = win::LoadLibraryW(wide("ntoskrnl.exe").as_ptr());
        let find = |module: Handle, name: &[u8]| win::GetProcAddress(module, name.as_ptr());
        FORMAT.store(find(ntdll, b"_vsnprintf\0"), Ordering::Relaxed);
        LOAD_DRIVER.store(find(kernel, b"ZwLoadDriver\0"), Ordering::Relaxed);
        UNLOAD_DRIVER.store(find(kernel, b"ZwUnloadDriver\0"), Ordering::Relaxed);
        let main_loop = find(kernel, b"wine_ntoskrnl_main_loop\0");
        let hooks = [
            (find(ntdll, b"vDbgPrintExWithPrefix\0"), print as *const () as usize),
            (find(kernel, b"KeBugCheckEx\0"), bug_check_ex as *const () as usize),
            (find(kernel, b"KeBugCheck\0"), bug_check as *const () as usize),
        ];
        let needed = [FORMAT.load(Ordering::Relaxed), LOAD_DRIVER.load(Ordering::Relaxed)];
        if main_loop == 0 || needed.contains(&0) || !hooks.iter().all(|&(at, to)| replace(at, to)) {
            shared().ready.store(2, Ordering::Release);
            return 2;
        }
        if !crate::gaps::fill(kernel, find(ntdll, b"LdrRegisterDllNotification\0")) {
            shared().ready.store(2, Ordering::Release);
            return 2;
        }
        win::SetUnhandledExceptionFilter(unhandled);
        let asked = event(name, "asked");
        let done = event(name, "done");
        let stop = win::CreateEventW(core::ptr::null(), 1, 0, core::ptr::null());
        crate::rt::spawn(move || look_after(asked, done));
        let agent = name.rsplit('-').next().and_then(|pid| pid.parse().ok()).unwrap_or(0);
        crate::rt::spawn(move || end_with(agent));
        shared().ready.store(1, Ordering::Release);
        win::SetEvent(done);
        let main_loop: extern "C" fn(Handle) -> Status = core::mem::transmute(main_loop);
        main_loop(stop) as u32
    }
}

/// End with the agent, which may be killed: its drivers go with it.
fn end_with(agent: u32) {
    const SYNCHRONIZE: u32 = 0x10_0000;
    // SAFETY: handles of ours; ends this process.
    unsafe {
        let process = win::OpenProcess(SYNCHRONIZE, 0, agent);
        if process != 0 {
            win::WaitForSingleObject(process, u32::MAX);
            win::ExitProcess(0);
        }
    }
}

/// Make the function at `at` jump to `to`.
unsafe fn replace(at: usize, to: usize) -> bool {
    if at == 0 {
        return false;
    }
    let mut code = [0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0]; // mov rax, to; jmp rax
    code[2..10].copy_from_slice(&to.to_le_bytes());
    let mut old = 0;
    // SAFETY: the caller gives a function's address; nothing runs it yet.
    unsafe {
        if win::VirtualProtect(at as *mut c_void, code.len(), 0x40, &raw mut old) == 0 {
            return false;
        }
        core::ptr::copy_nonoverlapping(code.as_ptr(), at as *mut u8, code.len());
        win::VirtualProtect(at as *mut c_void, code.len(), old, &raw mut old) != 0
    }
}

// -- prints ---------------------------------------------------------------------------------------

unsafe extern "system" fn print(
    prefix: *const u8,
    component: u32,
    level: u32,
    format: *const u8,
    arguments: *const u8,
) -> Status {
    type Format = unsafe extern "C" fn(*mut u8, usize, *const u8, *const u8) -> i32;
    let mut text = [0u8; 512];
    let mut length = 0;
    // SAFETY: the driver gives C strings and what its format says; a fault is the driver's own.
    unsafe {
        while !prefix.is_null() && *prefix.add(length) != 0 && length < text.len() {
            text[length] = *prefix.add(length);
            length += 1;
        }
        let rest = text.len() - length;
        let format_text: Format = core::mem::transmute(FORMAT.load(Ordering::Relaxed));
        let written = format_text(text.as_mut_ptr().add(length), rest, format, arguments);
        length += usize::try_from(written).map_or(rest, |n| n.min(rest));
    }
    let mut context = captured();
    let caller = walk(&mut context, |pc| !is_system(pc));
    remember(caller);
    let level = if level < 32 { level } else { level.trailing_zeros() };
    let mut record = [0u8; HEAD + 512 + 8];
    let size = (HEAD + length).next_multiple_of(8);
    // SAFETY: asks for a number.
    let thread = unsafe { win::GetCurrentThreadId() };
    record[0..4].copy_from_slice(&(size as u32).to_le_bytes());
    record[8..16].copy_from_slice(&ticks().to_le_bytes());
    record[16..24].copy_from_slice(&caller.to_le_bytes());
    record[24..28].copy_from_slice(&thread.to_le_bytes());
    record[28..30].copy_from_slice(&(component as u16).to_le_bytes());
    record[30] = level as u8;
    record[32..34].copy_from_slice(&(length as u16).to_le_bytes());
    record[HEAD..HEAD + length].copy_from_slice(&text[..length]);
    while RING_LOCK.swap(true, Ordering::Acquire) {
        core::hint::spin_loop();
    }
    push(&mut record[..size]);
    RING_LOCK.store(false, Ordering::Release);
    if shared().waiting.swap(0, Ordering::SeqCst) != 0 {
        // SAFETY: an event of ours.
        unsafe { win::SetEvent(LINES.load(Ordering::Relaxed)) };
    }
    0
}

/// Append a record; waits for room for a while, then drops and counts it.
fn push(record: &mut [u8]) {
    let s = shared();
    let at = s.written.load(Ordering::Relaxed);
    let full = |s: &Shared| at - s.read.load(Ordering::Acquire) > (RING - record.len()) as u64;
    for _ in 0..2000 {
        if !full(s) {
            break;
        }
        // SAFETY: sleeps, and wakes the agent before.
        unsafe {
            win::SetEvent(LINES.load(Ordering::Relaxed));
            win::Sleep(1);
        }
    }
    if full(s) {
        LOST.fetch_add(1, Ordering::Relaxed);
        return;
    }
    record[4..8].copy_from_slice(&LOST.swap(0, Ordering::Relaxed).to_le_bytes());
    s.give(at, record);
    s.written.store(at + record.len() as u64, Ordering::Release);
}

// -- stacks and modules ---------------------------------------------------------------------------

#[inline(always)] // the frame that is unwound first must be one that stays
fn captured() -> Context {
    // SAFETY: all zero is a CONTEXT, which is written then.
    unsafe {
        let mut context: Context = core::mem::zeroed();
        win::RtlCaptureContext(&raw mut context);
        context
    }
}

/// Unwind from `context`: the first return address that `wanted` takes, or 0.
fn walk(context: &mut Context, mut wanted: impl FnMut(u64) -> bool) -> u64 {
    for _ in 0..FRAMES {
        if wanted(context.rip) {
            return context.rip;
        }
        let (low, high) = (context.registers[4], context.registers[4] + (1 << 20));
        let mut base = 0;
        // SAFETY: the stack is a thread's that is alive; addresses come from its own frames.
        unsafe {
            let function = win::RtlLookupFunctionEntry(context.rip, &raw mut base, null_mut());
            if function.is_null() {
                if low == 0 || low & 7 != 0 {
                    return 0;
                }
                // A leaf's return address is on top; Wine's stubs have no unwind data, and a few
                // words of their own there.
                let slot = (0..8u64).map(|n| low + 8 * n).find(|&slot| {
                    let mut entry = core::ptr::null();
                    win::LdrFindEntryForAddress(*(slot as *const usize), &raw mut entry) >= 0
                });
                let Some(slot) = slot else { return 0 };
                context.rip = *(slot as *const u64);
                context.registers[4] = slot + 8;
            } else {
                let (mut data, mut frame) = (null_mut(), 0);
                win::RtlVirtualUnwind(
                    0,
                    base,
                    context.rip,
                    function,
                    context,
                    &raw mut data,
                    &raw mut frame,
                    null_mut(),
                );
            }
        }
        let now = context.registers[4];
        if context.rip == 0 || now <= low || now > high {
            return 0;
        }
    }
    0
}

/// Whether an address belongs to the modules that every host has.
fn is_system(pc: u64) -> bool {
    static RANGES: [AtomicUsize; 6] = [const { AtomicUsize::new(0) }; 6];
    for (n, name) in ["", "ntdll.dll", "ntoskrnl.exe"].into_iter().enumerate() {
        if RANGES[2 * n + 1].load(Ordering::Acquire) == 0 {
            let whole = wide(name);
            let named = if name.is_empty() { core::ptr::null() } else { whole.as_ptr() };
            // SAFETY: the name ends in NUL.
            let base = unsafe { win::GetModuleHandleW(named) } as usize;
            RANGES[2 * n].store(base, Ordering::Relaxed);
            // SAFETY: a module's headers stay.
            let size = unsafe { image_size(base) };
            RANGES[2 * n + 1].store(size, Ordering::Release);
        }
        let base = RANGES[2 * n].load(Ordering::Relaxed);
        if (pc as usize).wrapping_sub(base) < RANGES[2 * n + 1].load(Ordering::Relaxed) {
            return true;
        }
    }
    false
}

unsafe fn image_size(base: usize) -> usize {
    // SAFETY: the caller gives the address of an image's headers.
    unsafe {
        let headers = base + *((base + 0x3c) as *const u32) as usize;
        *((headers + 0x50) as *const u32) as usize
    }
}

/// Put the module of an address among the shared ones.
fn remember(pc: u64) {
    let modules = &shared().modules;
    let inside = |m: &crate::shared::Module| {
        let base = m.base.load(Ordering::Acquire);
        base != 0 && pc.wrapping_sub(base) < m.size.load(Ordering::Relaxed)
    };
    if pc == 0 || modules.iter().any(inside) {
        return;
    }
    let mut entry = core::ptr::null();
    // SAFETY: the loader's entry stays while its module is loaded, which code of it runs in.
    unsafe {
        if win::LdrFindEntryForAddress(pc as usize, &raw mut entry) < 0 {
            return;
        }
        let base = *entry.add(0x30).cast::<u64>();
        let size = *entry.add(0x40).cast::<u32>();
        let length = *entry.add(0x58).cast::<u16>() as usize / 2;
        let name = core::slice::from_raw_parts(*entry.add(0x60).cast::<*const u16>(), length);
        let Some(free) = modules.iter().find(|m| m.base.load(Ordering::Relaxed) == 0) else {
            return;
        };
        write_text(&free.name, name.iter().map(|&c| c as u8));
        free.size.store(u64::from(size), Ordering::Relaxed);
        free.base.store(base, Ordering::Release);
    }
}

fn tell(stack: &Stack, context: &Context) {
    for (to, from) in stack.registers.iter().zip(context.registers.iter().chain([&context.rip])) {
        to.store(*from, Ordering::Relaxed);
    }
    let mut count = 0;
    let mut copy = *context;
    walk(&mut copy, |pc| {
        stack.frames[count].store(pc, Ordering::Relaxed);
        count += 1;
        stack.count.store(count as u32, Ordering::Relaxed);
        remember(pc);
        count == FRAMES
    });
}

// -- crashes --------------------------------------------------------------------------------------

unsafe extern "system" fn bug_check(code: u32) -> ! {
    // SAFETY: as for this function.
    unsafe { bug_check_ex(code, 0, 0, 0, 0) }
}

unsafe extern "system" fn bug_check_ex(code: u32, a: u64, b: u64, c: u64, d: u64) -> ! {
    let mut context = captured();
    // The first frame is who called.
    let own = walk(&mut context, |pc| !is_system(pc));
    if own == 0 {
        context = captured();
    }
    crash(2, code, [a, b, c, d], &context)
}

unsafe extern "system" fn unhandled(pointers: *mut ExceptionPointers) -> i32 {
    // SAFETY: Windows gives both.
    let (record, context) = unsafe { (&*(*pointers).record, &*(*pointers).context) };
    let [first, second, ..] = record.parameters;
    if record.code == 0x8000_0100 && first != 0 {
        // EXCEPTION_WINE_STUB: a DLL's name, and a function's name or number.
        // SAFETY: both are C strings of Wine's.
        unsafe {
            let dll = core::ffi::CStr::from_ptr(first as *const i8).to_bytes();
            let text = shared().crash.text.as_slice();
            if second > 0xffff {
                let name = core::ffi::CStr::from_ptr(second as *const i8).to_bytes();
                write_text(text, dll.iter().chain(b"!").chain(name).copied());
            } else {
                let name = alloc::format!("#{second}");
                write_text(text, dll.iter().chain(b"!").chain(name.as_bytes()).copied());
            }
        }
    }
    crash(1, record.code, [record.address as u64, first as u64, second as u64, 0], context)
}

/// Leave word of a crash and stay here: the agent ends this process.
fn crash(kind: u32, code: u32, parameters: [u64; 4], context: &Context) -> ! {
    if !CRASHING.swap(true, Ordering::SeqCst) {
        let stack = &shared().crash;
        stack.state.store(1, Ordering::Relaxed);
        stack.kind.store(kind, Ordering::Relaxed);
        stack.code.store(code, Ordering::Relaxed);
        for (to, from) in stack.parameters.iter().zip(parameters) {
            to.store(from, Ordering::Relaxed);
        }
        CRASH_CONTEXT.store(core::ptr::from_ref(context) as usize, Ordering::SeqCst);
        // SAFETY: events and threads of ours.
        unsafe {
            // There may be little stack left here: the other thread unwinds.
            win::SetEvent(WORKER.load(Ordering::Relaxed) as Handle);
        }
    }
    loop {
        // SAFETY: sleeps.
        unsafe { win::Sleep(win::INFINITE) };
    }
}

// -- the thread that looks after crashes, and the one that loads ------------------------------------

fn look_after(asked: Handle, done: Handle) {
    // SAFETY: an event of ours.
    let wake = unsafe { win::CreateEventW(core::ptr::null(), 0, 0, core::ptr::null()) };
    WORKER.store(wake as usize, Ordering::Relaxed);
    crate::rt::spawn(move || serve(asked, done));
    loop {
        // SAFETY: the context is on the crashed thread's stack, which stays.
        unsafe {
            win::WaitForSingleObject(wake, win::INFINITE);
            let s = shared();
            match CRASH_CONTEXT.load(Ordering::SeqCst) {
                0 => {
                    find_place(&s.place);
                    s.place.state.store(2, Ordering::Release);
                    win::SetEvent(CRASHED.load(Ordering::Relaxed));
                }
                at => {
                    tell(&s.crash, &*(at as *const Context));
                    s.crash.state.store(2, Ordering::Release);
                    win::SetEvent(CRASHED.load(Ordering::Relaxed));
                    win::Sleep(win::INFINITE);
                }
            }
        }
    }
}

/// The stack of a thread that is in a driver's code.
fn find_place(stack: &Stack) {
    // SAFETY: handles are of this process's threads, and closed here.
    unsafe {
        let own = win::GetCurrentThreadId();
        let process = win::GetCurrentProcessId();
        let snapshot = win::CreateToolhelp32Snapshot(4, 0);
        let mut entry: win::ThreadEntry = core::mem::zeroed();
        entry.size = size_of::<win::ThreadEntry>() as u32;
        let mut more = win::Thread32First(snapshot, &raw mut entry);
        while more != 0 {
            if entry.process == process && entry.thread != own {
                let thread = win::OpenThread(0x1f_ffff, 0, entry.thread);
                let mut context: Context = core::mem::zeroed();
                context.flags = 0x10_000f;
                win::SuspendThread(thread);
                let known = win::GetThreadContext(thread, &raw mut context);
                // Before it is unwound, which takes locks that the thread may hold.
                win::ResumeThread(thread);
                win::CloseHandle(thread);
                let mut copy = context;
                if known != 0 && walk(&mut copy, is_driver) != 0 {
                    stack.count.store(0, Ordering::Relaxed);
                    tell(stack, &context);
                    break;
                }
            }
            more = win::Thread32Next(snapshot, &raw mut entry);
        }
        win::CloseHandle(snapshot);
    }
}

fn is_driver(pc: u64) -> bool {
    remember(pc);
    shared().modules.iter().any(|m| {
        let base = m.base.load(Ordering::Acquire);
        let inside = base != 0 && pc.wrapping_sub(base) < m.size.load(Ordering::Relaxed);
        let mut name = alloc::string::String::new();
        crate::shared::read_text(&m.name, &mut name);
        inside && name.to_ascii_lowercase().ends_with(".sys")
    })
}

fn serve(asked: Handle, done: Handle) {
    let s = shared();
    loop {
        // SAFETY: events of ours.
        unsafe { win::WaitForSingleObject(asked, win::INFINITE) };
        let command = s.command.load(Ordering::Acquire);
        if command == crate::shared::UNLOAD + 1 {
            // SAFETY: the event of the thread beside this one.
            unsafe { win::SetEvent(WORKER.load(Ordering::Relaxed) as Handle) };
            continue;
        }
        let name: alloc::vec::Vec<u16> = s
            .name
            .iter()
            .map(|c| c.load(Ordering::Relaxed) as u16)
            .take_while(|&c| c != 0)
            .collect();
        let shown = alloc::string::String::from_utf16_lossy(&name);
        // Loading can hang in a driver; the next request finds another thread here.
        crate::rt::spawn(move || {
            let status = call_driver(command, &shown);
            let s = shared();
            s.status.store(status as u32, Ordering::Release);
            // SAFETY: an event of ours.
            unsafe { win::SetEvent(done) };
        });
    }
}

fn call_driver(command: u32, name: &str) -> Status {
    let s = shared();
    let path =
        wide(&alloc::format!("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{name}"));
    let length = (path.len() - 1) * 2;
    let service = UnicodeString {
        length: length as u16,
        maximum: length as u16 + 2,
        buffer: path.as_ptr().cast_mut(),
    };
    let file = wide(&alloc::format!("{name}.sys"));
    let function = if command == LOAD { &LOAD_DRIVER } else { &UNLOAD_DRIVER };
    // SAFETY: both functions take a UNICODE_STRING and give an NTSTATUS.
    let function: extern "system" fn(*const UnicodeString) -> Status =
        unsafe { core::mem::transmute(function.load(Ordering::Relaxed)) };
    let status = function(&raw const service);
    if command == LOAD {
        // SAFETY: a loaded module's headers.
        unsafe {
            let base = win::GetModuleHandleW(file.as_ptr()) as usize;
            s.base.store(base as u64, Ordering::Relaxed);
            s.size.store(if base == 0 { 0 } else { image_size(base) } as u64, Ordering::Relaxed);
        }
    }
    if command != LOAD || status < 0 {
        for module in &s.modules {
            let mut known = alloc::string::String::new();
            crate::shared::read_text(&module.name, &mut known);
            if known.eq_ignore_ascii_case(&alloc::format!("{name}.sys")) {
                module.base.store(0, Ordering::Release);
            }
        }
    }
    status
}
