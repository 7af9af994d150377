//! Waiting for kernel objects: [`Waitable`], [`wait_any`], [`wait_all`].

use core::ffi::c_void;
use core::time::Duration;

use windows_kernel_sys::{
    Executive, FALSE, KWAIT_BLOCK, KeWaitForMultipleObjects, KeWaitForSingleObject, KernelMode,
    NTSTATUS, STATUS_TIMEOUT, WAIT_TYPE, WaitAll, WaitAny,
};

use crate::irql::{self, Irql};

/// How a wait with a time-out ended.
#[must_use = "the time may have run out"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitResult {
    /// What was waited for has happened.
    Signaled,
    /// The time ran out.
    TimedOut,
}

impl WaitResult {
    /// Whether it has happened.
    #[must_use]
    pub fn is_signaled(self) -> bool {
        self == WaitResult::Signaled
    }

    /// Whether the time ran out.
    #[must_use]
    pub fn is_timed_out(self) -> bool {
        self == WaitResult::TimedOut
    }
}

pub(crate) mod sealed {
    use core::ffi::c_void;

    /// What has a kernel object to wait for.
    ///
    /// # Safety
    /// `object` is a dispatcher object (an event, thread, timer …) that is valid, and does not
    /// move, as long as `self` is borrowed. Waiting for it changes nothing that a Rust value
    /// stands for, as it would with a mutex, which the wait takes.
    pub unsafe trait Object {
        /// The address of the object.
        fn object(&self) -> *const c_void;
    }
}

/// What can be waited for: an [`Event`](super::Event), a [`Semaphore`](super::Semaphore) and
/// other kernel objects of this crate.
///
/// WDK: "Defining and Using a Kernel Dispatcher Object",
/// "KeWaitForSingleObject function (wdm.h)".
pub trait Waitable: sealed::Object {
    /// Waits until it is signaled. IRQL <= APC.
    #[track_caller]
    fn wait(&self) {
        irql::assert_at_most(Irql::APC, "wait");
        // SAFETY: the object is valid as long as `self` is borrowed.
        unsafe { wait_single(self.object(), None) };
    }

    /// Waits until it is signaled, at most `timeout`; not at all if that is zero.
    ///
    /// IRQL <= APC, or <= DISPATCH with a time-out of zero.
    #[track_caller]
    fn wait_for(&self, timeout: Duration) -> WaitResult {
        irql::assert_at_most(highest(timeout), "wait_for");
        // SAFETY: the object is valid as long as `self` is borrowed.
        result(unsafe { wait_single(self.object(), Some(timeout)) })
    }
}

impl<T: sealed::Object + ?Sized> Waitable for T {}

/// Waits until one of the objects is signaled, and says which: the first one that is.
///
/// IRQL <= APC. At most 64 objects. WDK: "KeWaitForMultipleObjects function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::sync::{Event, Semaphore, wait_any};
///
/// fn serve(stop: &Event, work: &Semaphore) {
///     while wait_any([stop, work]) != 0 {
///         // one piece of work
///     }
/// }
/// ```
#[track_caller]
pub fn wait_any<const N: usize>(objects: [&dyn Waitable; N]) -> usize {
    irql::assert_at_most(Irql::APC, "wait_any");
    wait_multiple(objects, WaitAny, None) as usize
}

/// As [`wait_any`], at most `timeout`: `None` when the time ran out.
///
/// IRQL <= APC, or <= DISPATCH with a time-out of zero.
#[track_caller]
pub fn wait_any_for<const N: usize>(
    objects: [&dyn Waitable; N],
    timeout: Duration,
) -> Option<usize> {
    irql::assert_at_most(highest(timeout), "wait_any_for");
    let status = wait_multiple(objects, WaitAny, Some(timeout));
    (status != STATUS_TIMEOUT).then_some(status as usize)
}

/// Waits until all objects are signaled at the same time.
///
/// IRQL <= APC. At most 64 objects. WDK: "KeWaitForMultipleObjects function (wdm.h)".
#[track_caller]
pub fn wait_all<const N: usize>(objects: [&dyn Waitable; N]) {
    irql::assert_at_most(Irql::APC, "wait_all");
    wait_multiple(objects, WaitAll, None);
}

/// As [`wait_all`], at most `timeout`.
///
/// IRQL <= APC, or <= DISPATCH with a time-out of zero.
#[track_caller]
pub fn wait_all_for<const N: usize>(objects: [&dyn Waitable; N], timeout: Duration) -> WaitResult {
    irql::assert_at_most(highest(timeout), "wait_all_for");
    result(wait_multiple(objects, WaitAll, Some(timeout)))
}

fn highest(timeout: Duration) -> Irql {
    if timeout.is_zero() { Irql::DISPATCH } else { Irql::APC }
}

fn result(status: NTSTATUS) -> WaitResult {
    if status == STATUS_TIMEOUT { WaitResult::TimedOut } else { WaitResult::Signaled }
}

/// A time from now as the kernel wants it: negative, in units of 100 ns, never too early.
pub(crate) fn relative(time: Duration) -> i64 {
    -i64::try_from(time.as_nanos().div_ceil(100)).unwrap_or(i64::MAX)
}

/// # Safety
/// `object` is a dispatcher object that stays valid until this returns.
unsafe fn wait_single(object: *const c_void, timeout: Option<Duration>) -> NTSTATUS {
    let timeout = timeout.map(relative);
    let timeout = timeout.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    // SAFETY: the caller's promise; not alertable and in kernel mode, so nothing else ends it.
    unsafe { KeWaitForSingleObject(object, Executive, KernelMode as i8, FALSE, timeout) }
}

fn wait_multiple<const N: usize>(
    objects: [&dyn Waitable; N],
    kind: WAIT_TYPE,
    timeout: Option<Duration>,
) -> NTSTATUS {
    const { assert!(N > 0 && N <= 64, "between 1 and MAXIMUM_WAIT_OBJECTS objects") };
    let addresses = objects.map(|object| object.object());
    let timeout = timeout.map(relative);
    let timeout = timeout.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let mut blocks = [const { core::mem::MaybeUninit::<KWAIT_BLOCK>::uninit() }; N];
    // SAFETY: N objects, valid as long as they are borrowed, and as many wait blocks, which the
    // kernel initializes and does not use after the wait.
    unsafe {
        KeWaitForMultipleObjects(
            N as u32,
            addresses.as_ptr(),
            kind,
            Executive,
            KernelMode as i8,
            FALSE,
            timeout,
            blocks.as_mut_ptr().cast(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::relative;
    use core::time::Duration;

    #[test]
    fn times() {
        assert_eq!(relative(Duration::ZERO), 0);
        assert_eq!(relative(Duration::from_nanos(1)), -1);
        assert_eq!(relative(Duration::from_millis(2)), -20_000);
        assert_eq!(relative(Duration::MAX), -i64::MAX);
    }
}
