//! The caller's buffer is gone with the request's completion.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::io::{Read, Request};

pub fn late(mut request: Request<Read>) -> Result<()> {
    let mut output = request.output()?;
    request.complete(Ok(4)); //~ E0505
    output.write_at(0, b"late")
}
