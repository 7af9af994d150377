//! Device handles and requests to them, by the native functions: exact NTSTATUS codes.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;

use crate::calls::{Answer, Failure};
use crate::json::{Json, base64, object, unbase64};
use crate::rt::{Mutex, milliseconds, ticks, wide};
use crate::win::{self, Handle, IoStatus, PENDING, Status};

struct Table {
    next: i64,
    handles: Vec<(i64, Handle)>,
    requests: Vec<(i64, Arc<Transfer>)>,
}

static TABLE: Mutex<Table> =
    Mutex::new(Table { next: 1, handles: Vec::new(), requests: Vec::new() });

/// A request to a device: Windows writes into its buffers until the event is set.
struct Transfer {
    handle: Handle,
    event: Handle,
    kind: Kind,
    io: UnsafeCell<IoStatus>,
    input: Vec<u8>,
    output: UnsafeCell<Vec<u8>>,
    first: Mutex<Status>,
}

// SAFETY: what Windows writes is read after the event only.
unsafe impl Send for Transfer {}
// SAFETY: as above.
unsafe impl Sync for Transfer {}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Read,
    Write,
    Ioctl,
    Flush,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        // SAFETY: an event of ours.
        unsafe { win::CloseHandle(self.event) };
    }
}

/// A field that has to be a whole number.
pub fn int(request: &Json, key: &str) -> Result<i64, Failure> {
    request.get(key).int().ok_or_else(|| Failure::usage(format!("{key:?} has to be a number")))
}

/// A field of bytes in base64; empty where it is missing.
pub fn bytes(request: &Json, key: &str) -> Result<Vec<u8>, Failure> {
    match request.get(key) {
        Json::Null => Ok(Vec::new()),
        value => value
            .text()
            .and_then(unbase64)
            .ok_or_else(|| Failure::usage(format!("{key:?} has to be base64"))),
    }
}

fn size(request: &Json, key: &str) -> Result<usize, Failure> {
    let n = request.get(key).int().unwrap_or(0);
    if (0..=64 << 20).contains(&n) {
        Ok(n as usize)
    } else {
        Err(Failure::usage(format!("{key:?} has to be between 0 and 64 MiB")))
    }
}

/// `open`.
pub fn open(request: &Json) -> Answer {
    let path = request.get("path").text().ok_or_else(|| Failure::usage("no path"))?;
    if matches!(request.get("admin"), Json::Bool(false)) {
        return Err(Failure::new("unsupported", "a target with an agent opens as who it runs as"));
    }
    let mut access = 0x10_0080; // SYNCHRONIZE, FILE_READ_ATTRIBUTES
    for c in request.get("access").text().unwrap_or("rw").chars() {
        access |= match c {
            'r' => 0x8000_0000,
            'w' => 0x4000_0000,
            _ => return Err(Failure::usage("access has to be of the letters r and w")),
        };
    }
    let mut share = 0;
    for c in request.get("share").text().unwrap_or("rwd").chars() {
        share |= match c {
            'r' => 1,
            'w' => 2,
            'd' => 4,
            _ => return Err(Failure::usage("share has to be of the letters r, w and d")),
        };
    }
    let dos = wide(path);
    let mut name = win::UnicodeString { length: 0, maximum: 0, buffer: core::ptr::null_mut() };
    let mut handle = 0;
    let mut io = IoStatus { status: 0, information: 0 };
    // SAFETY: all pointers are to locals, names end in NUL.
    let status = unsafe {
        let to = &raw mut name;
        if win::RtlDosPathNameToNtPathName_U(
            dos.as_ptr(),
            to,
            core::ptr::null_mut(),
            core::ptr::null_mut(),
        ) == 0
        {
            return Err(Failure::status("ntstatus", 0xc000_0033_u32 as Status, path));
        }
        let attributes = win::ObjectAttributes {
            length: size_of::<win::ObjectAttributes>() as u32,
            root: 0,
            name: &raw const name,
            attributes: 0x40,
            security: core::ptr::null(),
            quality: core::ptr::null(),
        };
        let status = win::NtCreateFile(
            &raw mut handle,
            access,
            &raw const attributes,
            &raw mut io,
            core::ptr::null(),
            0,
            share,
            1,
            0x40,
            core::ptr::null(),
            0,
        );
        win::RtlFreeUnicodeString(&raw mut name);
        status
    };
    if status < 0 {
        return Err(Failure::status("ntstatus", status, &format!("{path} cannot be opened:")));
    }
    let mut table = TABLE.lock();
    let number = table.next;
    table.next += 1;
    table.handles.push((number, handle));
    Ok(object([("handle", number.into())]))
}

fn find(request: &Json) -> Result<Handle, Failure> {
    let number = int(request, "handle")?;
    let table = TABLE.lock();
    let found = table.handles.iter().find(|(n, _)| *n == number);
    found.map(|(_, h)| *h).ok_or_else(|| Failure::usage(format!("there is no handle {number}")))
}

/// `close`.
pub fn close(request: &Json) -> Answer {
    let handle = find(request)?;
    TABLE.lock().handles.retain(|(_, h)| *h != handle);
    // SAFETY: a handle of ours, out of the table.
    let status = unsafe { win::NtClose(handle) };
    if status < 0 {
        return Err(Failure::status("ntstatus", status, "the handle cannot be closed:"));
    }
    Ok(object([]))
}

/// Close all handles.
pub fn close_all() {
    let all = core::mem::take(&mut TABLE.lock().handles);
    for (_, handle) in all {
        // SAFETY: a handle of ours, out of the table.
        unsafe { win::NtClose(handle) };
    }
}

/// `read write ioctl flush`.
pub fn transfer(command: &str, request: &Json, seconds: f64) -> Answer {
    let handle = find(request)?;
    let (kind, input, mut output) = match command {
        "read" => (Kind::Read, Vec::new(), alloc::vec![0; size(request, "length")?]),
        "write" => (Kind::Write, bytes(request, "data")?, Vec::new()),
        "flush" => (Kind::Flush, Vec::new(), Vec::new()),
        _ => (Kind::Ioctl, bytes(request, "data")?, alloc::vec![0; size(request, "out_size")?]),
    };
    if kind == Kind::Ioctl {
        let before = bytes(request, "output")?;
        if before.len() > output.len() {
            return Err(Failure::usage("'output' is longer than 'out_size'"));
        }
        output[..before.len()].copy_from_slice(&before);
    }
    let code = if kind == Kind::Ioctl { int(request, "code")? } else { 0 };
    let code = u32::try_from(code)
        .map_err(|_| Failure::usage(format!("{code} is not a 32-bit control code")))?;
    // SAFETY: an event with no name.
    let event = unsafe { win::CreateEventW(core::ptr::null(), 1, 0, core::ptr::null()) };
    let sent = Arc::new(Transfer {
        handle,
        event,
        kind,
        io: UnsafeCell::new(IoStatus { status: PENDING as isize, information: 0 }),
        input,
        output: UnsafeCell::new(output),
        first: Mutex::new(PENDING),
    });
    let status = begin(&sent, code, request.get("offset").int().unwrap_or(0));
    *sent.first.lock() = status;
    if matches!(request.get("asynchronous"), Json::Bool(true)) {
        let done = ended(&sent);
        let mut table = TABLE.lock();
        let number = table.next;
        table.next += 1;
        table.requests.push((number, sent));
        return Ok(object([("request", number.into()), ("done", done.into())]));
    }
    if !wait(&sent, seconds) {
        cancel_one(&sent);
        if !wait(&sent, 1.0) {
            core::mem::forget(sent); // Windows still has its buffers
        }
        let message = format!("the driver kept the request pending for {seconds} s");
        return Err(Failure::new("pending", message));
    }
    result_of(&sent)
}

fn begin(sent: &Arc<Transfer>, code: u32, offset: i64) -> Status {
    let t = &**sent;
    let io = t.io.get();
    // SAFETY: the buffers live as long as the transfer, which stays until its end.
    unsafe {
        let output = &mut *t.output.get();
        let (to, room) = (output.as_mut_ptr(), output.len() as u32);
        let (from, length) = (t.input.as_ptr(), t.input.len() as u32);
        let (h, e, at, key) = (t.handle, t.event, &raw const offset, core::ptr::null());
        match t.kind {
            Kind::Read => win::NtReadFile(h, e, 0, 0, io, to, room, at, key),
            Kind::Write => win::NtWriteFile(h, e, 0, 0, io, from, length, at, key),
            Kind::Ioctl => win::NtDeviceIoControlFile(h, e, 0, 0, io, code, from, length, to, room),
            Kind::Flush => win::NtFlushBuffersFile(h, io),
        }
    }
}

fn ended(sent: &Transfer) -> bool {
    wait(sent, 0.0)
}

fn wait(sent: &Transfer, seconds: f64) -> bool {
    if *sent.first.lock() != PENDING {
        return true;
    }
    // SAFETY: an event of ours.
    unsafe { win::WaitForSingleObject(sent.event, milliseconds(seconds)) == 0 }
}

fn result_of(sent: &Transfer) -> Answer {
    let first = *sent.first.lock();
    // SAFETY: it has ended.
    let io = unsafe { *sent.io.get() };
    let status = if first == PENDING { io.status as Status } else { first };
    if status < 0 {
        let what = match sent.kind {
            Kind::Read => "the read failed:",
            Kind::Write => "the write failed:",
            Kind::Ioctl => "the control code failed:",
            Kind::Flush => "the flush failed:",
        };
        return Err(Failure::status("ntstatus", status, what));
    }
    let mut reply = object([("information", io.information.into())]);
    if matches!(sent.kind, Kind::Read | Kind::Ioctl) {
        // SAFETY: it has ended.
        let output = unsafe { &*sent.output.get() };
        reply.put("data", base64(&output[..io.information.min(output.len())]));
    }
    Ok(reply)
}

fn numbered(request: &Json) -> Result<Arc<Transfer>, Failure> {
    let number = int(request, "request")?;
    let table = TABLE.lock();
    let found = table.requests.iter().find(|(n, _)| *n == number);
    found
        .map(|(_, t)| t.clone())
        .ok_or_else(|| Failure::usage(format!("there is no request {number}")))
}

/// `poll`.
pub fn poll(request: &Json) -> Answer {
    Ok(object([("done", ended(&*numbered(request)?).into())]))
}

/// `result`.
pub fn result(request: &Json, seconds: f64) -> Answer {
    let sent = numbered(request)?;
    if !wait(&sent, seconds) {
        let message = format!("the driver kept the request pending for {seconds} s");
        return Err(Failure::new("pending", message));
    }
    TABLE.lock().requests.retain(|(_, t)| !Arc::ptr_eq(t, &sent));
    result_of(&sent)
}

/// `cancel`.
pub fn cancel(request: &Json) -> Answer {
    let sent = numbered(request)?;
    if ended(&sent) {
        return Ok(object([("cancelled", false.into())]));
    }
    cancel_one(&sent);
    // Its driver decides when it ends; most do at once.
    let since = ticks();
    while !ended(&sent) && ticks() - since < 500_000 {
        wait(&sent, 0.005);
    }
    Ok(object([("cancelled", true.into())]))
}

fn cancel_one(sent: &Transfer) {
    let mut io = IoStatus { status: 0, information: 0 };
    // SAFETY: the request's own status block names it.
    unsafe { win::NtCancelIoFileEx(sent.handle, sent.io.get(), &raw mut io) };
}
