//! A request that nobody answers is warned about; at run time it fails rather than hangs.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Queue, Read};

pub fn lose(queue: &Queue<Read>) {
    queue.pop().unwrap(); //~ unused_must_use
}
