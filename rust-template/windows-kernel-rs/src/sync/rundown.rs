//! [`Rundown`]: users come and go until somebody waits for the last one.

use core::cell::UnsafeCell;

use windows_kernel_sys::{
    EX_RUNDOWN_REF, EX_RUNDOWN_REF_0, ExAcquireRundownProtection, ExReInitializeRundownProtection,
    ExReleaseRundownProtection, ExRundownCompleted, ExWaitForRundownProtectionRelease,
};

use crate::irql::{self, Irql};

/// Protection of something that others use and that will go: they [`acquire`](Self::acquire) it
/// for each use; who takes it away calls [`wait`](Self::wait) first, which refuses new users and
/// waits for those that are there.
///
/// WDK: "Run-Down Protection", "ExAcquireRundownProtection function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::sync::Rundown;
/// use windows_kernel_rs::{Error, Result};
///
/// static UNLOADING: Rundown = Rundown::new();
///
/// fn request() -> Result<()> {
///     let _use = UNLOADING.acquire().ok_or(Error::DELETE_PENDING)?;
///     Ok(()) // nothing goes away before this returns
/// }
/// fn stop() {
///     UNLOADING.wait();
/// }
/// ```
pub struct Rundown {
    raw: UnsafeCell<EX_RUNDOWN_REF>,
}

// SAFETY: only the kernel's routines use it, from any thread.
unsafe impl Send for Rundown {}
// SAFETY: as for `Send`.
unsafe impl Sync for Rundown {}

impl Default for Rundown {
    fn default() -> Self {
        Self::new()
    }
}

impl Rundown {
    /// Without users. IRQL: any. WDK: "ExInitializeRundownProtection function (wdm.h)".
    #[must_use]
    pub const fn new() -> Self {
        let none = EX_RUNDOWN_REF { Anonymous: EX_RUNDOWN_REF_0 { Count: 0 } };
        Rundown { raw: UnsafeCell::new(none) }
    }

    /// One more user, until the guard is dropped; `None` when it is being taken away or gone.
    ///
    /// IRQL <= DISPATCH.
    #[track_caller]
    pub fn acquire(&self) -> Option<RundownGuard<'_>> {
        irql::assert_at_most(Irql::DISPATCH, "Rundown::acquire");
        // SAFETY: it is initialized; the guard releases it.
        let acquired = unsafe { ExAcquireRundownProtection(self.raw.get()) } != 0;
        acquired.then(|| RundownGuard { rundown: self })
    }

    /// Ends the use of a guard that was forgotten.
    ///
    /// # Safety
    /// There is one such guard for each call. IRQL <= DISPATCH.
    pub(crate) unsafe fn release(&self) {
        drop(RundownGuard { rundown: self });
    }

    /// Refuses new users, and waits until there are none. It may be called again: then there is
    /// nothing to wait for.
    ///
    /// IRQL <= APC. A thread that holds a guard itself waits for ever.
    /// WDK: "ExWaitForRundownProtectionRelease function (wdm.h)",
    /// "ExRundownCompleted function (wdm.h)".
    #[track_caller]
    pub fn wait(&self) {
        irql::assert_at_most(Irql::APC, "Rundown::wait");
        // SAFETY: it is initialized.
        unsafe {
            ExWaitForRundownProtectionRelease(self.raw.get());
            ExRundownCompleted(self.raw.get());
        }
    }

    /// Lets users in again, after [`wait`](Self::wait); `&mut self` says that there are none.
    ///
    /// IRQL <= DISPATCH. WDK: "ExReInitializeRundownProtection function (wdm.h)".
    pub fn restart(&mut self) {
        if self.acquire().is_none() {
            // SAFETY: it was run down, and nobody else knows of it.
            unsafe { ExReInitializeRundownProtection(self.raw.get()) };
        }
    }
}

/// A user of what a [`Rundown`] protects, until this is dropped, on any thread.
/// IRQL <= DISPATCH. WDK: "ExReleaseRundownProtection function (wdm.h)".
#[must_use = "the protection ends when this is dropped, at once if it is not kept"]
pub struct RundownGuard<'a> {
    rundown: &'a Rundown,
}

impl Drop for RundownGuard<'_> {
    fn drop(&mut self) {
        irql::assert_at_most(Irql::DISPATCH, "dropping a RundownGuard");
        // SAFETY: acquired when the guard was made.
        unsafe { ExReleaseRundownProtection(self.rundown.raw.get()) };
    }
}
