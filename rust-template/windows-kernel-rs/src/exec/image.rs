//! What keeps the driver's code in memory.

use core::ptr::NonNull;

use windows_kernel_sys::{DRIVER_OBJECT, ObfDereferenceObject, ObfReferenceObject};

use crate::error::Result;
use crate::module;

/// A reference to the driver object: the image stays as long as one is left, also after
/// `DriverUnload`. Values whose closures the kernel calls hold one.
///
/// WDK: "ObReferenceObject macro (wdm.h)", "IoCreateSystemThread function (wdm.h)" (of its own).
pub(super) struct ImageHold {
    driver: NonNull<DRIVER_OBJECT>,
}

// SAFETY: the count is changed by kernel routines, from any thread.
unsafe impl Send for ImageHold {}
// SAFETY: as for `Send`.
unsafe impl Sync for ImageHold {}

impl ImageHold {
    /// IRQL <= DISPATCH. Fails where the driver object is not known, see [`module::object`].
    pub(super) fn try_new() -> Result<Self> {
        let driver = module::object()?;
        // SAFETY: the object lives as long as code of the driver runs.
        unsafe { ObfReferenceObject(driver.as_ptr().cast()) };
        Ok(ImageHold { driver })
    }
}

impl Drop for ImageHold {
    fn drop(&mut self) {
        // SAFETY: the reference is this value's. It is not the last: whoever called the code that
        // runs now (the I/O manager, for a dispatch routine, a thread or a work item) has another.
        unsafe { ObfDereferenceObject(self.driver.as_ptr().cast()) };
    }
}
