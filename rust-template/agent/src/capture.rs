//! Lines from a capture driver: its records, read as they come.

use crate::calls::{Answer, Failure};
use crate::json::{Json, object};
use crate::rt::{spawn, wide};
use crate::{lines, out, win};

/// KUSER_SHARED_DATA.InterruptTime: the clock of the records, 100 ns.
fn interrupt_time() -> u64 {
    // SAFETY: always mapped.
    unsafe { core::ptr::read_volatile(0x7ffe_0008 as *const u64) }
}

/// `capture`.
pub fn start(request: &Json) -> Answer {
    let path = request.get("device").text().unwrap_or("");
    let start = interrupt_time();
    // SAFETY: the name ends in NUL.
    let device = unsafe {
        let name = wide(path);
        win::CreateFileW(name.as_ptr(), 0x8000_0000, 7, core::ptr::null(), 3, 0, 0)
    };
    if device == win::INVALID {
        return Err(Failure::last("the capture driver's device cannot be opened"));
    }
    spawn(move || {
        let mut buffer = alloc::vec![0u8; 1 << 16];
        loop {
            let mut got = 0;
            // SAFETY: the buffer is as long as said.
            let done = unsafe {
                let (to, room) = (buffer.as_mut_ptr(), buffer.len() as u32);
                win::ReadFile(device, to, room, &raw mut got, core::ptr::null_mut())
            };
            if done == 0 || got == 0 {
                break;
            }
            let mut rest = &buffer[..got as usize];
            while rest.len() >= crate::shared::HEAD {
                let size = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
                if size < crate::shared::HEAD || size > rest.len() {
                    break;
                }
                lines::tell(&rest[..size], start, |_| None);
                rest = &rest[size..];
            }
            out::flush();
        }
        // SAFETY: a handle of ours.
        unsafe { win::CloseHandle(device) };
    });
    Ok(object([]))
}
