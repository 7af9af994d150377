//! What an event tells is the kernel's again when the closure returns.
#![forbid(unsafe_code)]
use windows_kernel_rs::notify::{ProcessEvent, ProcessNotify};
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::string::UnicodeStr;

struct Seen(fn(&'static UnicodeStr));

fn watch(seen: Seen) -> Result<ProcessNotify> {
    ProcessNotify::try_new(move |event| {
        if let ProcessEvent::Create(new) = event {
            if let Some(name) = new.image_name() {
                (seen.0)(name); //~ "borrowed data escapes outside of closure"
            }
        }
        Ok(())
    })
}
