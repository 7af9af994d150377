//! A guard that is not kept guards nothing, a wait that timed out is not to be overlooked.
#![forbid(unsafe_code)]
use core::time::Duration;
use windows_kernel_rs::sync::{Event, Mutex, Rundown, SpinLock, Waitable};

pub fn nothing(spin: &SpinLock<u32>, mutex: &Mutex<u32>, rundown: &Rundown, event: &Event) {
    spin.lock(); //~ unused_must_use
    mutex.lock(); //~ unused_must_use
    rundown.acquire().unwrap(); //~ unused_must_use
    event.wait_for(Duration::ZERO); //~ unused_must_use
}
