//! [`Semaphore`]: so many of a thing.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::marker::PhantomPinned;
use core::pin::Pin;

use windows_kernel_sys::{
    FALSE, IO_NO_INCREMENT, KSEMAPHORE, KeInitializeSemaphore, KeReadStateSemaphore,
    KeReleaseSemaphore, STATUS_SEMAPHORE_LIMIT_EXCEEDED,
};

use super::spin_lock::SpinLock;
use super::wait::{Waitable, sealed::Object};
use crate::error::{Error, Result};
use crate::irql::{self, Irql};
use crate::mem::try_box;

/// A counter that waiting takes one from, and waits while there is none.
///
/// Those who produce call [`release`](Self::release) and those who consume wait
/// ([`Waitable`]); or [`acquire`](Self::acquire) takes one and gives it back.
///
/// IRQL <= DISPATCH, of waiting <= APC. WDK: "Semaphore Objects",
/// "KeReleaseSemaphore function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::Result;
/// use windows_kernel_rs::sync::Semaphore;
///
/// fn at_most_two() -> Result<Semaphore> {
///     Semaphore::try_new(2, 2)
/// }
/// fn one_of_two(slots: &Semaphore) {
///     let _slot = slots.acquire();
///     // at most two threads are here
/// }
/// ```
pub struct Semaphore {
    inner: Pin<Box<Inner>>,
}

struct Inner {
    semaphore: UnsafeCell<KSEMAPHORE>,
    limit: u32,
    /// Held while the count is raised: the kernel raises an exception above the limit.
    releasing: SpinLock<()>,
    _pinned: PhantomPinned,
}

// SAFETY: only the kernel's routines use the semaphore, from any thread.
unsafe impl Send for Semaphore {}
// SAFETY: as for `Send`.
unsafe impl Sync for Semaphore {}

// SAFETY: the semaphore is boxed and initialized.
unsafe impl Object for Semaphore {
    fn object(&self) -> *const c_void {
        self.inner.semaphore.get().cast()
    }
}

impl Semaphore {
    /// A semaphore that `count` waits can pass, and that never lets more than `limit` pass at a
    /// time. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INVALID_PARAMETER`] when the limit is zero, above `i32::MAX`, or below the count;
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out.
    pub fn try_new(count: u32, limit: u32) -> Result<Self> {
        if limit == 0 || limit > i32::MAX as u32 || count > limit {
            return Err(Error::INVALID_PARAMETER);
        }
        let inner = Box::into_pin(try_box(Inner {
            semaphore: UnsafeCell::default(),
            limit,
            releasing: SpinLock::new(()),
            _pinned: PhantomPinned,
        })?);
        // SAFETY: it is where it stays, in nonpaged memory, and nobody knows it yet.
        unsafe { KeInitializeSemaphore(inner.semaphore.get(), count as i32, limit as i32) };
        Ok(Semaphore { inner })
    }

    /// Adds `more`: so many waits can pass. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// `STATUS_SEMAPHORE_LIMIT_EXCEEDED` when there would be more than the limit; nothing is
    /// added then.
    #[track_caller]
    pub fn release(&self, more: u32) -> Result<()> {
        irql::assert_at_most(Irql::DISPATCH, "Semaphore::release");
        // Only who holds the lock makes the count larger, so that the check is still true below.
        let _releasing = self.inner.releasing.lock();
        if more > self.inner.limit - self.count() {
            return Err(Error::from_kernel_errno(STATUS_SEMAPHORE_LIMIT_EXCEEDED));
        }
        if more != 0 {
            let semaphore = self.inner.semaphore.get();
            // SAFETY: it is initialized, and the count stays within the limit.
            unsafe { KeReleaseSemaphore(semaphore, IO_NO_INCREMENT as i32, more as i32, FALSE) };
        }
        Ok(())
    }

    /// How many waits can pass now. IRQL <= DISPATCH.
    /// WDK: "KeReadStateSemaphore function (wdm.h)".
    #[must_use]
    pub fn count(&self) -> u32 {
        // SAFETY: it is initialized. The count is never negative.
        unsafe { KeReadStateSemaphore(self.inner.semaphore.get()) as u32 }
    }

    /// Waits for one, and gives it back when the [`Permit`] is dropped. IRQL <= APC.
    #[track_caller]
    pub fn acquire(&self) -> Permit<'_> {
        self.wait();
        Permit { semaphore: self }
    }
}

/// One of a [`Semaphore`], given back when this is dropped, on any thread. IRQL <= DISPATCH.
#[must_use = "it is given back when this is dropped, at once if it is not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Permit<'_> {
    /// Keeps it for ever: the semaphore has one less.
    pub fn forget(self) {
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // If somebody else has released more than was taken, the limit is reached already.
        let _ = self.semaphore.release(1);
    }
}
