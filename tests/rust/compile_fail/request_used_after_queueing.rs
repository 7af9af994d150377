//! A request in a queue is the queue's: it may be cancelled at any moment.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Queue, Read, Request};

pub fn both(queue: &Queue<Read>, request: Request<Read>) -> usize {
    queue.push(request);
    request.len() //~ E0382
}
