//! Requests on threads of their own, each answered once, and the watch over those that hang.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::json::{Json, object};
use crate::out;
use crate::rt::{Condition, Mutex, ticks};
use crate::win;

/// Seconds that a call gets beyond its own limit before it counts as hung.
const GRACE: f64 = 0.4;

/// Why a request failed.
pub struct Failure {
    kind: &'static str,
    message: String,
    more: Vec<(String, Json)>,
}

/// What a command gives.
pub type Answer = Result<Json, Failure>;

impl Failure {
    /// A failure of a kind, in a sentence.
    pub fn new(kind: &'static str, message: impl ToString) -> Self {
        Self { kind, message: message.to_string(), more: Vec::new() }
    }

    /// The request itself is wrong.
    pub fn usage(message: impl ToString) -> Self {
        Self::new("usage", message)
    }

    /// With a further field.
    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.more.push((key.to_string(), value.into()));
        self
    }

    /// An NTSTATUS, with its Win32 code.
    pub fn status(kind: &'static str, status: win::Status, what: &str) -> Self {
        // SAFETY: a look in a table.
        let code = unsafe { win::RtlNtStatusToDosError(status) };
        Self::new(kind, alloc::format!("{what} {:#010x} (Win32 error {code})", status as u32))
            .with("status", status as u32)
            .with("win32", code)
    }

    /// A Win32 code, with an NTSTATUS.
    pub fn win32(code: u32, what: &str) -> Self {
        let status = crate::service::status_of(code);
        Self::new("ntstatus", alloc::format!("{what}: Win32 error {code} ({status:#010x})"))
            .with("status", status)
            .with("win32", code)
    }

    /// Whether there is no such file.
    pub fn says_missing(&self) -> bool {
        let code = self.more.iter().find(|(key, _)| key == "win32");
        code.and_then(|(_, code)| code.int()).is_some_and(|code| code == 2 || code == 3)
    }

    /// What went wrong, for people.
    pub fn text(self) -> String {
        self.message
    }

    /// The last Win32 error of this thread.
    pub fn last(what: &str) -> Self {
        // SAFETY: asks for a number.
        Self::win32(unsafe { win::GetLastError() }, what)
    }
}

/// A request that is being worked on.
pub struct Call {
    id: Json,
    limit: f64,
    since: u64,
    answered: AtomicBool,
}

type Work = Box<dyn FnOnce() + Send>;

struct Pool {
    queue: VecDeque<Work>,
    idle: usize,
    running: Vec<Arc<Call>>,
    stopped: String,
}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    queue: VecDeque::new(),
    idle: 0,
    running: Vec::new(),
    stopped: String::new(),
});
static WORK: Condition = Condition::new();
static WATCH: Condition = Condition::new();

/// Answer a request once: whoever comes first.
pub fn answer(id: &Json, answer: Answer) {
    let message = match answer {
        Ok(mut fields) => {
            fields.put("reply", id.clone());
            fields.put("ok", true);
            fields
        }
        Err(failure) => {
            let mut error =
                object([("kind", failure.kind.into()), ("message", failure.message.into())]);
            for (key, value) in failure.more {
                error.put(&key, value);
            }
            object([("reply", id.clone()), ("ok", false.into()), ("error", error)])
        }
    };
    out::reply(id.int(), &message);
}

/// Do `work` for a request on a thread, within its `limit` in seconds.
pub fn run(id: Json, limit: f64, work: impl FnOnce() -> Answer + Send + 'static) {
    let call = Arc::new(Call { id, limit, since: ticks(), answered: AtomicBool::new(false) });
    let mut pool = POOL.lock();
    pool.running.push(call.clone());
    if pool.running.len() == 1 {
        WATCH.wake();
    }
    pool.queue.push_back(Box::new(move || {
        let result = work();
        POOL.lock().running.retain(|each| !Arc::ptr_eq(each, &call));
        if !call.answered.swap(true, Ordering::SeqCst) {
            crate::wine::drain();
            crate::capture::drain();
            answer(&call.id, result);
        }
    }));
    if pool.idle >= pool.queue.len() {
        WORK.wake();
    } else if !crate::rt::spawn(worker) {
        pool.queue.pop_back();
    }
}

fn worker() {
    let mut pool = POOL.lock();
    loop {
        if let Some(work) = pool.queue.pop_front() {
            drop(pool);
            work();
            pool = POOL.lock();
        } else {
            pool.idle += 1;
            let woken = WORK.wait(&mut pool, 30_000);
            pool.idle -= 1;
            if !woken && pool.queue.is_empty() && pool.idle > 2 {
                return;
            }
        }
    }
}

/// How many calls are under way.
pub fn running() -> usize {
    POOL.lock().running.len()
}

/// Why the machine has stopped; empty while it runs.
pub fn stopped() -> String {
    POOL.lock().stopped.clone()
}

/// The machine has stopped: all calls under way end with `kind`.
pub fn stop(kind: &'static str, message: &str, frames: Vec<Json>) {
    let mut pool = POOL.lock();
    if pool.stopped.is_empty() {
        pool.stopped = message.to_string();
    }
    let all = core::mem::take(&mut pool.running);
    drop(pool);
    for call in all {
        if !call.answered.swap(true, Ordering::SeqCst) {
            answer(&call.id, Err(Failure::new(kind, message).with("frames", frames.clone())));
        }
    }
}

/// Stop what runs for the client's `interrupt`; nothing where nothing runs.
pub fn interrupt() {
    if running() > 0 {
        let frames = crate::wine::place();
        stop("interrupted", "interrupted while driver code ran", frames);
    }
}

/// Look for calls that hang, for ever.
pub fn watch() {
    loop {
        let mut pool = POOL.lock();
        while pool.running.is_empty() {
            WATCH.wait(&mut pool, win::INFINITE);
        }
        let late = pool
            .running
            .iter()
            .find(|call| (ticks() - call.since) as f64 / 1e7 > call.limit + GRACE)
            .map(|call| call.limit);
        drop(pool);
        if let Some(limit) = late {
            let frames = crate::wine::place();
            stop("timeout", &alloc::format!("driver code ran for more than {limit} s"), frames);
        }
        // SAFETY: sleeps.
        unsafe { win::Sleep(25) };
    }
}
