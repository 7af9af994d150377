//! Lines from a capture driver: its records, read as they come. See `rust-template/dbgtap`.

use alloc::string::{String, ToString};
use core::sync::atomic::{AtomicU64, Ordering};

use crate::calls::{Answer, Failure};
use crate::json::{Json, object};
use crate::rt::{Condition, Mutex, ticks, wide};
use crate::win::{self, Handle, IoStatus, Overlapped};
use crate::{lines, out, rt, service};

/// The capture driver's service, and its device.
pub const SERVICE: &str = "kernellab-dbgtap";
const DEVICE: &str = r"\\.\kernellab-dbgtap";

const IO_PENDING: u32 = 997;
const OPERATION_ABORTED: u32 = 995;

/// Longest that a reply waits for the lines before it, 100 ns.
const PATIENCE: u64 = 5_000_000;

struct Reader {
    /// While somebody reads it.
    device: Option<Handle>,
    /// The driver's service is of this agent.
    installed: bool,
    ending: bool,
    /// How often somebody wanted all lines so far, and up to which of them that is done.
    asked: u64,
    done: u64,
    /// For `info`: empty, `missing`, `on`, or why not.
    state: String,
}

static READER: Mutex<Reader> = Mutex::new(Reader {
    device: None,
    installed: false,
    ending: false,
    asked: 0,
    done: 0,
    state: String::new(),
});
static TURN: Condition = Condition::new();
/// When the agent started, by the clock of the records.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// KUSER_SHARED_DATA.InterruptTime: the clock of the records, 100 ns.
fn interrupt_time() -> u64 {
    // SAFETY: always mapped.
    unsafe { core::ptr::read_volatile(0x7ffe_0008 as *const u64) }
}

/// The agent starts. `driver` is the capture driver's file, where there is to be one.
pub fn begin(driver: Option<&str>, wine: bool) {
    STARTED.store(interrupt_time(), Ordering::Relaxed);
    let Some(file) = driver else { return };
    let state = match open(DEVICE) {
        Ok(device) => {
            // One that an earlier agent left behind: with what was printed meanwhile.
            READER.lock().installed = service::is_marked(SERVICE);
            read(device)
        }
        Err(why) if !why.says_missing() => Err(why.text()), // another agent reads it
        Err(_) if !there(file) => Err("missing".to_string()),
        Err(_) if wine => Err("unsupported: Wine has no debug print callbacks".to_string()),
        Err(_) => install(file).and_then(|()| open(DEVICE)).map_err(Failure::text).and_then(read),
    };
    let mut reader = READER.lock();
    reader.state = match state {
        Ok(()) => "on".to_string(),
        Err(why) => why,
    };
}

/// How the capture is, for `info`.
pub fn state() -> String {
    READER.lock().state.clone()
}

fn there(file: &str) -> bool {
    // SAFETY: the name ends in NUL.
    let handle = unsafe {
        let name = wide(file);
        win::CreateFileW(name.as_ptr(), 0x80, 7, core::ptr::null(), 3, 0, 0)
    };
    // SAFETY: a handle of ours.
    handle != win::INVALID && unsafe { win::CloseHandle(handle) } != 0
}

fn install(file: &str) -> Result<(), Failure> {
    service::make(SERVICE, file, 3)?;
    READER.lock().installed = true;
    service::start_by_manager(SERVICE)
}

fn open(path: &str) -> Result<Handle, Failure> {
    let name = wide(path);
    // SAFETY: the name ends in NUL. FILE_FLAG_OVERLAPPED.
    let device = unsafe {
        win::CreateFileW(name.as_ptr(), 0x8000_0000, 7, core::ptr::null(), 3, 0x4000_0000, 0)
    };
    match device {
        win::INVALID => Err(Failure::last("the capture driver's device cannot be opened")),
        device => Ok(device),
    }
}

/// `capture`.
pub fn start(request: &Json) -> Answer {
    let device = open(request.get("device").text().unwrap_or(""))?;
    read(device).map(|()| object([])).map_err(Failure::usage)
}

/// Read the device on a thread, which closes it.
fn read(device: Handle) -> Result<(), String> {
    let mut reader = READER.lock();
    if reader.device.is_some() || !rt::spawn(move || read_lines(device)) {
        // SAFETY: a handle of ours.
        unsafe { win::CloseHandle(device) };
        return Err("a capture driver is read already".to_string());
    }
    reader.device = Some(device);
    Ok(())
}

fn cancel(device: Handle) {
    let mut io = IoStatus { status: 0, information: 0 };
    // SAFETY: all requests of this handle.
    unsafe { win::NtCancelIoFileEx(device, core::ptr::null(), &raw mut io) };
}

fn read_lines(device: Handle) {
    let mut buffer = alloc::vec![0u8; 1 << 16];
    // SAFETY: an event without a name, which stays set until a read begins.
    let event = unsafe { win::CreateEventW(core::ptr::null(), 1, 0, core::ptr::null()) };
    loop {
        let asked = {
            let reader = READER.lock();
            if reader.ending {
                break;
            }
            reader.asked
        };
        let mut read = Overlapped { status: 0, information: 0, offset: 0, event };
        let mut got = 0;
        // SAFETY: buffer and OVERLAPPED live until the read has ended, below.
        let at_once = unsafe {
            let room = buffer.len() as u32;
            let nowhere = core::ptr::null_mut();
            win::ReadFile(device, buffer.as_mut_ptr(), room, nowhere, (&raw mut read).cast())
        };
        if at_once == 0 {
            // SAFETY: asks for a number.
            if unsafe { win::GetLastError() } != IO_PENDING {
                break;
            }
            // It waits: so there is no line that was printed before it began.
            out::flush();
            let mut reader = READER.lock();
            reader.done = asked;
            TURN.wake_all();
            if reader.ending || reader.asked != asked {
                cancel(device);
            }
        }
        // SAFETY: the read's own OVERLAPPED; waits for its end.
        if unsafe { win::GetOverlappedResult(device, &raw const read, &raw mut got, 1) } == 0 {
            // SAFETY: asks for a number.
            if unsafe { win::GetLastError() } != OPERATION_ABORTED {
                break;
            }
            continue;
        }
        if got == 0 {
            break;
        }
        tell(&buffer[..got as usize]);
    }
    out::flush();
    // SAFETY: handles of ours.
    unsafe {
        win::CloseHandle(device);
        win::CloseHandle(event);
    }
    READER.lock().device = None;
    TURN.wake_all();
}

/// Make events of records.
fn tell(mut rest: &[u8]) {
    let start = STARTED.load(Ordering::Relaxed);
    while rest.len() >= crate::shared::HEAD {
        let size = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        if size < crate::shared::HEAD || size > rest.len() {
            break;
        }
        // They are of any driver of the machine, not only of those that were loaded here.
        lines::tell(&rest[..size], start, |_| Some(String::new()));
        rest = &rest[size..];
    }
}

/// Wait until what was printed so far has been told; not long.
pub fn drain() {
    let mut reader = READER.lock();
    let Some(device) = reader.device else { return };
    reader.asked += 1;
    let (wanted, since) = (reader.asked, ticks());
    cancel(device);
    while reader.done < wanted && reader.device.is_some() && ticks() - since < PATIENCE {
        TURN.wait(&mut reader, 50);
    }
}

/// Read no more, and take the driver away where it is of this agent.
pub fn end() {
    let mut reader = READER.lock();
    reader.ending = true;
    let since = ticks();
    if let Some(device) = reader.device {
        cancel(device);
    }
    while reader.device.is_some() && ticks() - since < PATIENCE {
        TURN.wait(&mut reader, 50);
    }
    let installed = core::mem::take(&mut reader.installed);
    drop(reader);
    if installed {
        service::end_by_manager(SERVICE);
    }
}
