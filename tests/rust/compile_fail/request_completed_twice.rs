//! A request is completed once: completing takes it.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Read, Request};

pub fn twice(request: Request<Read>) {
    request.complete(Ok(0));
    request.complete(Ok(0)); //~ E0382
}
