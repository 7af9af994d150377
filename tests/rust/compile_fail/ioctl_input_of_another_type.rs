//! A control code's types are those of what answers it, and are made of plain bytes.
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Access, Ioctl, IoctlCode, Request};
use windows_kernel_rs::Result;
use zerocopy as _;

const ADD: IoctlCode<[u32; 2], u32> = IoctlCode::buffered(0x8000, 0x800, Access::Any);
const POINTER: IoctlCode<&'static u32> = IoctlCode::buffered(0x8000, 0x801, Access::Any);

pub fn ioctl(request: Request<Ioctl>) {
    request
        .route()
        .answer(ADD, |_| -> Result<u64> { Ok(1) }) //~ E0271
        .answer(ADD, |[_, _, _]| Ok(1u32)) //~ E0527
        .answer(POINTER, |pointer| { //~ E0277
            let _ = pointer;
            Ok(())
        })
        .end();
}
