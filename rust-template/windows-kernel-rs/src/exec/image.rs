//! What keeps the driver's code in memory.

use crate::error::{Error, Result};
use crate::module::{self, Driver};
use crate::ob::ObjectRef;

/// A reference to the driver object: the image stays as long as one is left, also after
/// `DriverUnload`. Values whose closures the kernel calls hold one.
///
/// It never gives the last reference back: whoever called the code that drops it (the I/O manager,
/// for a dispatch routine, a thread or a work item) has one as well.
///
/// WDK: "ObReferenceObject macro (wdm.h)"; "IoCreateSystemThread function (wdm.h)" does the same.
#[derive(Debug)]
pub(crate) struct ImageHold {
    _driver: ObjectRef<Driver>,
}

impl ImageHold {
    /// IRQL <= DISPATCH. Fails where the driver object is not known, see [`module::object`].
    pub(crate) fn try_new() -> Result<Self> {
        let driver = module::object()?;
        // SAFETY: the object lives as long as code of the driver runs.
        let driver = unsafe { ObjectRef::reference(driver.as_ptr().cast()) };
        driver.map(|driver| ImageHold { _driver: driver }).ok_or(Error::DEVICE_NOT_READY)
    }
}
