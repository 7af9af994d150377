//! A request has one owner.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Read, Request};

pub fn copy(request: &Request<Read>) -> Request<Read> {
    request.clone() //~ E0308
}
