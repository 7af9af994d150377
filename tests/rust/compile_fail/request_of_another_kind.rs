//! A read has no input, and a queue of reads takes reads.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Queue, Read, Request, Write};

pub fn input(request: &Request<Read>) {
    let _ = request.input(); //~ E0599
}

pub fn push(queue: &Queue<Read>, request: Request<Write>) {
    queue.push(request); //~ E0308
}
