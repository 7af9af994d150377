//! Lines to the client: replies, and events with their numbers.

use alloc::collections::VecDeque;
use alloc::string::String;

use crate::json::Json;
use crate::rt::Mutex;
use crate::win;

struct Out {
    seq: i64,
    buffer: String,
    /// Replies that may be asked for again, with the numbers of their requests.
    replies: VecDeque<(i64, String)>,
}

static OUT: Mutex<Out> =
    Mutex::new(Out { seq: 0, buffer: String::new(), replies: VecDeque::new() });

/// How many replies are kept, and the longest of them, bytes.
const REPLIES: usize = 32;
const LONGEST: usize = 1 << 18;

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

/// How many events there were.
pub fn count() -> i64 {
    OUT.lock().seq
}

/// Write a reply, after all events so far.
pub fn reply(number: Option<i64>, message: &Json) {
    let mut out = OUT.lock();
    let start = out.buffer.len();
    message.write(&mut out.buffer);
    out.buffer.push('\n');
    let size = out.buffer.len() - start;
    if let (Some(number), true) = (number, size <= LONGEST) {
        let text = String::from(&out.buffer[start..]);
        if out.replies.len() == REPLIES {
            out.replies.pop_front();
        }
        out.replies.push_back((number, text));
    }
    write(&mut out);
}

/// Write the reply of a request once more, where it was written already and is known.
pub fn again(number: i64) {
    let mut out = OUT.lock();
    let known = out.replies.iter().find(|each| each.0 == number).map(|each| each.1.clone());
    if let Some(text) = known {
        out.buffer.push_str(&text);
        write(&mut out);
    }
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
