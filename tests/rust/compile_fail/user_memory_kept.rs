//! User memory is the request's: gone with it, on its thread only, and read once.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Ioctl, Request};
use windows_kernel_rs::mem::user::{UserReader, UserSlice};
use windows_kernel_rs::{Error, Result};

pub fn after_completion(mut request: Request<Ioctl>) -> Result<()> {
    let mut input = request.user_input()?;
    request.complete(Ok(0)); //~ E0505
    input.read(&mut [0; 4])
}

pub fn kept(mut request: Request<Ioctl>) -> Result<UserReader<'static>> {
    request.user_input() //~ E0515
}

pub fn read_twice(slice: UserSlice<'_>) -> Result<()> {
    slice.reader().read(&mut [0; 4])?;
    slice.reader().read(&mut [0; 4]) //~ E0382
}

pub fn copied(reader: &UserReader<'_>) -> Result<()> {
    reader.clone().read(&mut [0; 4]) //~ E0596
}

pub fn to_another_thread(mut request: Request<Ioctl>) -> Result<()> {
    fn send<T: Send>(_: T) -> Result<()> {
        Err(Error::INVALID_DEVICE_STATE)
    }
    send(request.user_output()?) //~ E0277
}
