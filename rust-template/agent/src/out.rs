//! Lines to the client: replies, and events with their numbers.

use alloc::string::String;

use crate::json::Json;
use crate::rt::Mutex;
use crate::win;

struct Out {
    seq: i64,
    buffer: String,
}

static OUT: Mutex<Out> = Mutex::new(Out { seq: 0, buffer: String::new() });

/// Bytes of events that are gathered at most before they are written.
const GATHERED: usize = 1 << 15;

/// Queue one event. [`flush`] writes it, or a reply does.
pub fn event(kind: &str, fields: Json) {
    let mut out = OUT.lock();
    out.seq += 1;
    let mut whole = crate::json::object([("event", kind.into()), ("seq", out.seq.into())]);
    if let (Json::Object(all), Json::Object(more)) = (&mut whole, fields) {
        all.extend(more);
    }
    whole.write(&mut out.buffer);
    out.buffer.push('\n');
    if out.buffer.len() > GATHERED {
        write(&mut out);
    }
}

/// Write a reply, after all events so far.
pub fn reply(message: &Json) {
    let mut out = OUT.lock();
    message.write(&mut out.buffer);
    out.buffer.push('\n');
    write(&mut out);
}

/// Write what is queued.
pub fn flush() {
    write(&mut OUT.lock());
}

fn write(out: &mut Out) {
    let mut rest = out.buffer.as_bytes();
    while !rest.is_empty() {
        let mut put = 0;
        // SAFETY: the buffer is valid for its length.
        let done = unsafe {
            let stream = win::GetStdHandle(-11i32 as u32);
            let size = rest.len().min(1 << 16) as u32;
            win::WriteFile(stream, rest.as_ptr(), size, &raw mut put, core::ptr::null_mut())
        };
        if done == 0 {
            break; // the client is gone: the reader notices
        }
        rest = &rest[put as usize..];
    }
    out.buffer.clear();
}
