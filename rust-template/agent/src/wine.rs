//! The agent's side of Wine: the process that hosts drivers, its lines, its crashes.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::calls::{self, Failure};
use crate::json::{Json, object};
use crate::rt::{Mutex, printed, ticks, wide};
use crate::shared::{HEAD, Shared, Stack, read_text};
use crate::win::{self, Handle};
use crate::{lines, out};

struct Host {
    process: Handle,
    asked: Handle,
    done: Handle,
    lines: Handle,
    crashed: Handle,
}

static SHARED: AtomicUsize = AtomicUsize::new(0);
static HOST: Mutex<Host> = Mutex::new(Host { process: 0, asked: 0, done: 0, lines: 0, crashed: 0 });
static READING: Mutex<()> = Mutex::new(());
static LOADING: Mutex<()> = Mutex::new(());
static ENDED: AtomicUsize = AtomicUsize::new(0);
static STARTED: AtomicU64 = AtomicU64::new(0);

fn shared() -> Option<&'static Shared> {
    // SAFETY: set once, never unmapped.
    unsafe { (SHARED.load(Ordering::Acquire) as *const Shared).as_ref() }
}

/// Whether drivers run in a host of ours.
pub fn here() -> bool {
    shared().is_some()
}

/// Start the host; false where it does not come up.
pub fn start() -> bool {
    STARTED.store(ticks(), Ordering::Relaxed);
    // SAFETY: names end in NUL, structures have their sizes, handles are of here.
    let view = unsafe {
        let name = format!("kernellab-{}", win::GetCurrentProcessId());
        let map = win::CreateFileMappingW(
            win::INVALID,
            core::ptr::null(),
            4,
            0,
            size_of::<Shared>() as u32,
            wide(&name).as_ptr(),
        );
        let view = win::MapViewOfFile(map, 6, 0, 0, 0);
        if view.is_null() {
            return false;
        }
        let event = |part: &str| {
            let name = wide(&format!("{name}-{part}"));
            win::CreateEventW(core::ptr::null(), 0, 0, name.as_ptr())
        };
        let (asked, done) = (event("asked"), event("done"));
        let (lines, crashed) = (event("lines"), event("crashed"));
        let mut file = [0u16; 600];
        win::GetModuleFileNameW(0, file.as_mut_ptr(), 600);
        let mut line = wide(&format!("agent --host {name}"));
        let startup: win::StartupInfo =
            win::StartupInfo { size: size_of::<win::StartupInfo>() as u32, ..core::mem::zeroed() };
        let mut made: win::ProcessInfo = core::mem::zeroed();
        let null = core::ptr::null();
        if win::CreateProcessW(
            file.as_ptr(),
            line.as_mut_ptr(),
            null,
            null,
            0,
            0x8,
            null,
            null.cast(),
            &raw const startup,
            &raw mut made,
        ) == 0
        {
            return false;
        }
        win::WaitForMultipleObjects(2, [done, made.process].as_ptr(), 0, 15_000);
        let s = &*(view as *const Shared);
        if s.ready.load(Ordering::Acquire) != 1 {
            win::TerminateProcess(made.process, 1);
            return false;
        }
        *HOST.lock() = Host { process: made.process, asked, done, lines, crashed };
        view
    };
    SHARED.store(view as usize, Ordering::Release);
    crate::rt::spawn(watch);
    true
}

/// End the host, with whatever runs in it.
pub fn end() {
    ENDED.store(1, Ordering::SeqCst);
    let host = HOST.lock();
    if host.process != 0 {
        // SAFETY: a process of ours.
        unsafe { win::TerminateProcess(host.process, 0) };
    }
}

/// Have the host load or unload a driver: NTSTATUS, base and size of the image.
pub fn ask(command: u32, name: &str) -> Result<(win::Status, u64, u64), Failure> {
    let one = LOADING.lock();
    let s = shared().ok_or_else(|| Failure::new("internal", "there is no host"))?;
    let (asked, done) = {
        let host = HOST.lock();
        (host.asked, host.done)
    };
    let units: Vec<u16> = wide(name);
    for (to, from) in s.name.iter().zip(units.iter().take(127)) {
        to.store(u32::from(*from), Ordering::Relaxed);
    }
    s.command.store(command, Ordering::Release);
    // SAFETY: events of ours. A driver that hangs keeps this thread; the watch answers.
    unsafe {
        win::ResetEvent(done);
        win::SetEvent(asked);
        win::WaitForSingleObject(done, win::INFINITE);
    }
    drop(one);
    let status = s.status.load(Ordering::Acquire) as win::Status;
    Ok((status, s.base.load(Ordering::Relaxed), s.size.load(Ordering::Relaxed)))
}

fn watch() {
    let Some(s) = shared() else { return };
    let (lines, crashed, process) = {
        let host = HOST.lock();
        (host.lines, host.crashed, host.process)
    };
    loop {
        s.waiting.store(1, Ordering::SeqCst);
        if s.written.load(Ordering::Acquire) == s.read.load(Ordering::Acquire) {
            // SAFETY: handles of ours.
            let which = unsafe {
                let all = [crashed, process, lines];
                win::WaitForMultipleObjects(3, all.as_ptr(), 0, win::INFINITE)
            };
            if which == 0 && s.crash.state.load(Ordering::Acquire) == 2 {
                return tell_crash(&s.crash);
            }
            if ENDED.load(Ordering::SeqCst) != 0 {
                return;
            }
            if which == 1 {
                return tell_end(process);
            }
        }
        drain();
        out::flush();
    }
}

fn tell_crash(crash: &Stack) {
    drain();
    let code = crash.code.load(Ordering::Relaxed);
    let mut parameters: Vec<u64> =
        crash.parameters.iter().map(|p| p.load(Ordering::Relaxed)).collect();
    let mut missing = String::new();
    read_text(&crash.text, &mut missing);
    let exception = crash.kind.load(Ordering::Relaxed) == 1;
    let message = match code {
        _ if !exception => String::new(),
        _ if !missing.is_empty() => format!("Wine does not have {missing}, which was called"),
        0xc000_0005 => {
            let what = match parameters[1] {
                0 => "read",
                1 => "wrote",
                _ => "executed",
            };
            format!("{what} {:#x}, where no memory is", parameters[2])
        }
        0xc000_0094 => "divided an integer by zero".into(),
        0xc000_001d => "executed an instruction that does not exist".into(),
        0xc000_00fd => "used up the kernel stack".into(),
        0x8000_0003 => "ran into a breakpoint, and no debugger is attached".into(),
        _ => format!("raised {code:#010x}, which nobody handled"),
    };
    if exception {
        parameters = alloc::vec![u64::from(code), parameters[0], parameters[1], parameters[2]];
    }
    let check = if exception { 0x1e } else { code };
    let names = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
        "r13", "r14", "r15", "rip",
    ];
    let mut registers = object([]);
    for (name, value) in names.iter().zip(&crash.registers) {
        registers.put(name, format!("{:#x}", value.load(Ordering::Relaxed)));
    }
    tell(check, parameters, &message, frames(crash), registers);
}

fn tell_end(process: Handle) {
    drain();
    let mut code = 0;
    // SAFETY: a process of ours.
    unsafe { win::GetExitCodeProcess(process, &raw mut code) };
    let message = format!("the process that Wine ran the driver in ended with {code:#010x}");
    let parameters = alloc::vec![u64::from(code), 0, 0, 0];
    tell(0x1e, parameters, &message, Vec::new(), object([]));
}

fn tell(code: u32, parameters: Vec<u64>, message: &str, frames: Vec<Json>, registers: Json) {
    let driver = frames
        .iter()
        .filter_map(|f| f.get("module").text())
        .find_map(|m| lines::driver_of(&format!("{m}.sys")))
        .unwrap_or_default();
    let texts = parameters.into_iter().map(|p| format!("{p:#x}").into()).collect::<Vec<Json>>();
    let fields = object([
        ("driver", driver.into()),
        ("code", format!("{code:#x}").into()),
        ("parameters", texts.into()),
        ("message", message.into()),
        ("frames", frames.into()),
        ("registers", registers),
    ]);
    out::event("bugcheck", fields);
    calls::stop("bugcheck", &format!("bug check {code:#x}: {message}"), Vec::new());
    out::flush();
    end();
}

/// Where a driver is now, as frames; none where there is no host, or no driver runs.
pub fn place() -> Vec<Json> {
    let Some(s) = shared() else { return Vec::new() };
    let asked = HOST.lock().asked;
    s.place.state.store(0, Ordering::Relaxed);
    s.command.store(crate::shared::UNLOAD + 1, Ordering::Release);
    // SAFETY: an event of ours.
    unsafe { win::SetEvent(asked) };
    for _ in 0..40 {
        if s.place.state.load(Ordering::Acquire) == 2 {
            return frames(&s.place);
        }
        // SAFETY: sleeps.
        unsafe { win::Sleep(10) };
    }
    Vec::new()
}

fn frames(stack: &Stack) -> Vec<Json> {
    let count = stack.count.load(Ordering::Relaxed) as usize;
    let mut out = Vec::new();
    for (n, frame) in stack.frames.iter().take(count).enumerate() {
        let address = frame.load(Ordering::Relaxed);
        let mut fields = object([("address", format!("{address:#x}").into())]);
        if let Some((name, base)) = module_of(address) {
            // The client looks for the call before each return address but the first address,
            // which is one too where a function of ours was called.
            let called = n == 0 && stack.kind.load(Ordering::Relaxed) == 2;
            fields.put("rva", (address - base - u64::from(called)) as i64);
            fields.put("module", lines::driver_of(&name).unwrap_or(name));
        }
        out.push(fields);
    }
    out
}

fn module_of(address: u64) -> Option<(String, u64)> {
    for module in &shared()?.modules {
        let base = module.base.load(Ordering::Acquire);
        if base != 0 && address.wrapping_sub(base) < module.size.load(Ordering::Relaxed) {
            let mut name = String::new();
            read_text(&module.name, &mut name);
            return Some((name, base));
        }
    }
    None
}

/// Make events of the lines in the ring.
pub fn drain() {
    let Some(s) = shared() else { return };
    let _one = READING.lock();
    loop {
        let at = s.read.load(Ordering::Relaxed);
        if at == s.written.load(Ordering::Acquire) {
            return;
        }
        let mut size = [0; 4];
        s.take(at, &mut size);
        let size = (u32::from_le_bytes(size) as usize).clamp(HEAD, 1 << 12);
        let mut record = alloc::vec![0; size];
        s.take(at, &mut record);
        s.read.store(at + size as u64, Ordering::Release);
        let start = STARTED.load(Ordering::Relaxed);
        lines::tell(&record, start, |pc| {
            module_of(pc).and_then(|(name, _)| lines::driver_of(&name))
        });
    }
}

/// A record's text.
pub fn text_of(record: &[u8]) -> String {
    let length = u16::from_le_bytes([record[32], record[33]]) as usize;
    printed(record.get(HEAD..HEAD + length).unwrap_or(&[]))
}
