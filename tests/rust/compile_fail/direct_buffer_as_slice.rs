//! A program's pages are not Rust's: no reference to them, and none outlives the request.
#![forbid(unsafe_code)]
use windows_kernel_rs::Result;
use windows_kernel_rs::io::{Input, Ioctl, Read, Request};

pub fn slice(input: Input<'_>) -> u8 {
    input[0] //~ E0608
}

pub fn after_completion(mut request: Request<Read>) -> Result<()> {
    let mut output = request.output()?;
    request.complete(Ok(0)); //~ E0505
    output.write_at(0, b"late")
}

pub fn both(mut request: Request<Ioctl>) -> Result<()> {
    let input = request.input()?;
    let mut output = request.output()?; //~ E0502
    output.write_at(0, &input.to_vec()?)
}
