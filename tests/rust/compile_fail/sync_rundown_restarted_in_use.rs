//! Rundown protection starts again when nobody uses it.
#![forbid(unsafe_code)]
use windows_kernel_rs::sync::Rundown;

pub fn restart(rundown: &mut Rundown) {
    let user = rundown.acquire();
    rundown.restart(); //~ E0502
    drop(user);
}
