//! kernellab's guest agent: the lab's protocol on standard input and output. See `docs/agent.md`.

#![no_std]
#![no_main]

extern crate alloc;

mod calls;
mod capture;
mod device;
mod files;
mod gaps;
mod host;
mod info;
mod json;
mod lines;
#[path = "../../windows-kernel-sys/src/memory.rs"]
mod memory;
mod out;
mod rt;
#[path = "../../windows-kernel-sys/src/runtime.rs"]
mod runtime;
mod service;
mod shared;
mod win;
mod wine;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use calls::{Answer, Failure};
use json::{Json, object};

/// Longest line that is accepted, bytes.
const MAX_LINE: usize = 8 << 20;

/// Seconds that a request may take unless it says so itself.
const TIMEOUT: f64 = 10.0;

/// What a machine that has stopped still answers.
const WHEN_STOPPED: [&str; 9] = [
    "hello",
    "info",
    "heartbeat",
    "status",
    "file_read",
    "file_list",
    "interrupt",
    "shutdown",
    "reboot",
];

/// The program's start: there is no C library to call a `main`.
#[unsafe(no_mangle)]
pub extern "system" fn start() -> ! {
    let line = command_line();
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |word: &str| {
        let at = words.iter().position(|w| *w == word)?;
        words.get(at + 1).copied()
    };
    let code = match after("--host") {
        Some(name) => host::run(name),
        None => serve(after("--folder"), words.contains(&"--wine"), after("--capture")),
    };
    // SAFETY: ends this process.
    unsafe { win::ExitProcess(code) }
}

fn command_line() -> String {
    // SAFETY: Windows gives a text that ends in NUL and stays.
    unsafe {
        let text = win::GetCommandLineW();
        let length = (0..).take_while(|&n| *text.add(n) != 0).count();
        String::from_utf16_lossy(core::slice::from_raw_parts(text, length))
    }
}

fn serve(folder: Option<&str>, wine: bool, capture: Option<&str>) -> u32 {
    if !files::start(folder) {
        rt::say("the agent's folder cannot be made\n");
        return 2;
    }
    if wine && !wine::start() {
        rt::say("Wine's ntoskrnl.exe cannot be started\n");
        files::end();
        return 2;
    }
    let started = rt::ticks();
    capture::begin(capture, wine);
    rt::spawn(calls::watch);
    rt::spawn(service::sweep);
    let mut input = Vec::new();
    let mut chunk = alloc::vec![0u8; 1 << 16];
    let mut seen = alloc::collections::VecDeque::new();
    'reading: loop {
        let mut got = 0;
        // SAFETY: the buffer is as long as said.
        let read = unsafe {
            let stream = win::GetStdHandle(-10i32 as u32);
            let to = chunk.as_mut_ptr();
            win::ReadFile(stream, to, chunk.len() as u32, &raw mut got, core::ptr::null_mut())
        };
        if read == 0 || got == 0 {
            break;
        }
        let searched = input.len();
        input.extend_from_slice(&chunk[..got as usize]);
        let mut from = 0;
        let mut look = searched;
        while let Some(n) = input[look..].iter().position(|&b| b == b'\n') {
            let line = &input[from..look + n];
            if !line.trim_ascii().is_empty() && !take(line, started, &mut seen) {
                break 'reading;
            }
            from = look + n + 1;
            look = from;
        }
        input.drain(..from);
        if input.len() > MAX_LINE {
            calls::answer(&Json::Int(0), Err(Failure::usage("a line that never ends")));
            break;
        }
    }
    service_end();
    0
}

/// Take away all that was made; not longer than a few seconds, whatever drivers do.
fn service_end() {
    use core::sync::atomic::{AtomicBool, Ordering};
    static DONE: AtomicBool = AtomicBool::new(false);
    rt::spawn(|| {
        if calls::stopped().is_empty() {
            device::close_all();
        }
        service::end();
        capture::end();
        DONE.store(true, Ordering::Release);
    });
    for _ in 0..300 {
        if DONE.load(Ordering::Acquire) {
            break;
        }
        // SAFETY: sleeps.
        unsafe { win::Sleep(10) };
    }
    out::flush();
    wine::end();
    files::end();
}

/// How many requests are remembered: more than can be under way.
const REMEMBERED: usize = 256;

/// Take in one request; false after `shutdown`. `seen` are the numbers of those before: one that is
/// marked as sent again, because nobody knew whether it had arrived, is not done twice.
fn take(line: &[u8], started: u64, seen: &mut alloc::collections::VecDeque<i64>) -> bool {
    let request = match json::parse(line) {
        Ok(request @ Json::Object(_)) => request,
        Ok(_) => return refuse("not an object"),
        Err(why) => return refuse(why),
    };
    let id = request.get("id").clone();
    if let Some(number) = id.int() {
        if matches!(request.get("again"), Json::Bool(true)) && seen.contains(&number) {
            out::again(number);
            return true;
        }
        if seen.len() == REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(number);
    }
    let Some(command) = request.get("command").text().map(ToString::to_string) else {
        return refuse("a request without a command");
    };
    let stopped = calls::stopped();
    if !stopped.is_empty() && !WHEN_STOPPED.contains(&command.as_str()) {
        calls::answer(&id, Err(Failure::new("stopped", stopped)));
        return true;
    }
    match command.as_str() {
        "hello" => calls::answer(&id, Ok(hello())),
        "info" => calls::answer(&id, Ok(info::all())),
        "heartbeat" => calls::answer(&id, Ok(heartbeat(&request, started))),
        "status" => calls::answer(&id, Ok(status(started))),
        "put" => calls::answer(&id, files::put(&request)),
        "interrupt" => {
            calls::interrupt();
            calls::answer(&id, Ok(object([])));
        }
        "shutdown" => {
            calls::answer(&id, Ok(object([])));
            return false;
        }
        _ => {
            let seconds = request.get("timeout").float().unwrap_or(TIMEOUT).clamp(0.0, 1e6);
            // What waits by itself says so when its time is up; its thread is not what hangs.
            let more = match command.as_str() {
                "read" | "write" | "ioctl" | "flush" => 1.5,
                "sleep" => request.get("seconds").float().unwrap_or(0.0),
                _ => 0.0,
            };
            calls::run(id, seconds + more, move || {
                let command = command.as_str();
                work(command, &request, seconds)
            });
        }
    }
    true
}

fn refuse(why: &str) -> bool {
    calls::answer(&Json::Int(0), Err(Failure::usage(why)));
    true
}

fn work(command: &str, request: &Json, seconds: f64) -> Answer {
    for asked in ["budget", "verifier"] {
        if !matches!(request.get(asked), Json::Null) {
            let why = alloc::format!("this target has no {asked}: leave it out, or use sim");
            return Err(Failure::new("unsupported", why));
        }
    }
    match command {
        "load" => service::load(request),
        "unload" => service::unload(request),
        "service_install" => service::install(request),
        "service_start" => service::start(request),
        "service_stop" => service::stop(request),
        "service_delete" => service::delete(request),
        "services" => service::list(),
        "open" => device::open(request),
        "close" => device::close(request),
        "read" | "write" | "ioctl" | "flush" => device::transfer(command, request, seconds),
        "poll" => device::poll(request),
        "result" => device::result(request, (seconds - 0.2).max(0.0)),
        "cancel" => device::cancel(request),
        "file_read" => files::read(request),
        "file_write" => files::write(request),
        "file_delete" => files::delete(request),
        "file_list" => files::list(request),
        "capture" => capture::start(request),
        "sleep" => {
            let seconds = request.get("seconds").float().unwrap_or(0.0);
            // SAFETY: sleeps.
            unsafe { win::Sleep(rt::milliseconds(seconds)) };
            Ok(object([]))
        }
        _ => Err(Failure::new("unsupported", alloc::format!("this target has no {command:?}"))),
    }
}

fn hello() -> Json {
    let features =
        ["async", "interrupt", "services", "info", "heartbeat", "files", "capture", "again"];
    object([
        ("protocol", 1i64.into()),
        ("endpoint", "agent".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("features", features.map(Json::from).to_vec().into()),
        ("info", info::all()),
    ])
}

fn machine_state() -> String {
    let stopped = calls::stopped();
    if stopped.is_empty() { "running".to_string() } else { stopped }
}

fn heartbeat(request: &Json, started: u64) -> Json {
    object([
        ("echo", request.get("echo").clone()),
        ("time", ((rt::ticks() - started) as f64 / 1e7).into()),
        ("boot_id", info::boot_id().into()),
        ("running", calls::running().into()),
        ("state", machine_state().into()),
        ("events", out::count().into()),
    ])
}

fn status(started: u64) -> Json {
    let drivers: Vec<Json> =
        service::running().into_iter().map(|name| object([("name", name.into())])).collect();
    object([
        ("state", machine_state().into()),
        ("time", ((rt::ticks() - started) as f64 / 1e7).into()),
        ("drivers", drivers.into()),
        ("devices", Vec::<Json>::new().into()),
        ("symbolic_links", object([])),
        ("pool", object([])),
        ("paged_pool", object([])),
    ])
}
