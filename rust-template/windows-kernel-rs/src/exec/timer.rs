//! [`Timer`]: a closure that runs later, or again and again.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::time::Duration;

use windows_kernel_sys::{
    KDPC, KTIMER, KeCancelTimer, KeFlushQueuedDpcs, KeInitializeDpc, KeInitializeTimerEx,
    KeReadStateTimer, KeRemoveQueueDpc, KeSetTimerEx, SynchronizationTimer,
};

use super::assert_can_end;
use super::image::ImageHold;
use crate::error::{Error, Result};
use crate::irql::{self, AtDispatch, Irql};
use crate::mem::try_box;
use crate::sync::wait::relative;
use crate::sync::wait::sealed::Object;

/// A timer that runs a closure at DISPATCH_LEVEL each time it expires, and that threads can wait
/// for ([`Waitable`](crate::sync::Waitable)): for ever, if nothing starts it.
///
/// An expiry lets one waiting thread go, or else the next that waits. Where the closure still
/// runs at the next expiry it may run on two processors at once. Times are as exact as the
/// system's clock, 0.5 to 15.6 ms.
///
/// Dropping it cancels it, and waits for the closure where it runs; IRQL: PASSIVE. A timer that
/// its own closure drops (by the last [`Arc`](crate::mem::arc::Arc) to it) is a panic.
///
/// WDK: "Timer Objects and DPCs", "KeSetTimerEx function (wdm.h)".
///
/// ```no_run
/// use core::time::Duration;
/// use windows_kernel_rs::exec::Timer;
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let timer = Timer::try_new(|_| windows_kernel_rs::println!("tick"))?;
/// timer.start_periodic(Duration::from_millis(5), Duration::from_millis(100))?;
/// # Ok(()) }
/// ```
pub struct Timer {
    block: NonNull<Block<Routine>>,
    has_routine: bool,
    _image: ImageHold,
}

type Routine = dyn Fn(AtDispatch<'_>) + Send + Sync + 'static;

struct Block<F: ?Sized> {
    timer: UnsafeCell<KTIMER>,
    dpc: UnsafeCell<KDPC>,
    routine: F,
}

// SAFETY: timer and DPC are used through kernel routines, which lock; the closure is `Send` and
// `Sync`.
unsafe impl Send for Timer {}
// SAFETY: as for `Send`.
unsafe impl Sync for Timer {}

impl Timer {
    /// A timer that is not started.
    ///
    /// IRQL <= DISPATCH. WDK: "KeInitializeTimerEx function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out; [`Error::DEVICE_NOT_READY`] in a
    /// driver without a [`Driver`](crate::Driver).
    pub fn try_new<F>(routine: F) -> Result<Self>
    where
        F: Fn(AtDispatch<'_>) + Send + Sync + 'static,
    {
        Self::make(routine, true)
    }

    /// A timer that is only for waiting.
    ///
    /// IRQL <= DISPATCH.
    ///
    /// # Errors
    /// As [`try_new`](Self::try_new).
    pub fn try_plain() -> Result<Self> {
        Self::make(|_| (), false)
    }

    fn make<F>(routine: F, has_routine: bool) -> Result<Self>
    where
        F: Fn(AtDispatch<'_>) + Send + Sync + 'static,
    {
        let image = ImageHold::try_new()?;
        let block = Box::into_raw(try_box(Block {
            timer: UnsafeCell::default(),
            dpc: UnsafeCell::default(),
            routine,
        })?);
        // SAFETY: the block is new, and stays where it is until the `Timer` is dropped.
        unsafe {
            KeInitializeTimerEx((*block).timer.get(), SynchronizationTimer);
            KeInitializeDpc((*block).dpc.get(), Some(run::<F>), block.cast());
        }
        let block: *mut Block<Routine> = block;
        // SAFETY: from a box.
        let block = unsafe { NonNull::new_unchecked(block) };
        Ok(Timer { block, has_routine, _image: image })
    }

    fn block(&self) -> &Block<Routine> {
        // SAFETY: the block lives as long as `self`.
        unsafe { self.block.as_ref() }
    }

    /// Has it expire once, `after` this time from now. A timer that is started already starts
    /// anew; the return value says whether it was.
    ///
    /// IRQL <= DISPATCH. WDK: "KeSetTimerEx function (wdm.h)".
    #[track_caller]
    pub fn start(&self, after: Duration) -> bool {
        irql::assert_at_most(Irql::DISPATCH, "Timer::start");
        self.set(relative(after), 0)
    }

    /// Has it expire `after` this time from now, and then every `period`. A timer that is started
    /// already starts anew; the return value says whether it was.
    ///
    /// IRQL <= DISPATCH. WDK: "KeSetTimerEx function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::INVALID_PARAMETER`] when the period is not 1 to `i32::MAX` whole milliseconds.
    #[track_caller]
    pub fn start_periodic(&self, after: Duration, period: Duration) -> Result<bool> {
        irql::assert_at_most(Irql::DISPATCH, "Timer::start_periodic");
        Ok(self.set(relative(after), milliseconds(period)?))
    }

    fn set(&self, due: i64, period: i32) -> bool {
        let block = self.block();
        let dpc = if self.has_routine { block.dpc.get() } else { ptr::null_mut() };
        // SAFETY: timer and DPC are initialized and stay where they are.
        unsafe { KeSetTimerEx(block.timer.get(), due, period, dpc) != 0 }
    }

    /// Stops it; whether it was started and had not expired (a periodic one never has). The
    /// closure may run at this moment.
    ///
    /// IRQL <= DISPATCH. WDK: "KeCancelTimer function (wdm.h)".
    #[track_caller]
    pub fn cancel(&self) -> bool {
        irql::assert_at_most(Irql::DISPATCH, "Timer::cancel");
        // SAFETY: the timer is initialized.
        unsafe { KeCancelTimer(self.block().timer.get()) != 0 }
    }

    /// Whether it has expired, and no waiting thread was let go for it.
    ///
    /// IRQL <= DISPATCH. WDK: "KeReadStateTimer function (wdm.h)".
    #[must_use]
    #[track_caller]
    pub fn has_expired(&self) -> bool {
        irql::assert_at_most(Irql::DISPATCH, "Timer::has_expired");
        // SAFETY: the timer is initialized.
        unsafe { KeReadStateTimer(self.block().timer.get()) != 0 }
    }
}

// SAFETY: the timer is initialized, and stays where it is as long as `self`. A wait takes one
// expiry, no more.
unsafe impl Object for Timer {
    fn object(&self) -> *const c_void {
        self.block().timer.get().cast()
    }
}

fn milliseconds(period: Duration) -> Result<i32> {
    let count = period
        .as_secs()
        .checked_mul(1000)
        .and_then(|count| count.checked_add(period.subsec_millis().into()))
        .and_then(|count| i32::try_from(count).ok());
    match count {
        Some(count) if count > 0 && period.subsec_nanos() % 1_000_000 == 0 => Ok(count),
        _ => Err(Error::INVALID_PARAMETER),
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        assert_can_end(Irql::PASSIVE, "exec::Timer");
        let block = self.block();
        // SAFETY: PASSIVE. Nothing can start it any more: after this the kernel does not know
        // timer and DPC. The block is from a box.
        unsafe {
            KeCancelTimer(block.timer.get());
            if self.has_routine {
                KeRemoveQueueDpc(block.dpc.get());
                KeFlushQueuedDpcs();
            }
            drop(Box::from_raw(self.block.as_ptr()));
        }
    }
}

unsafe extern "system" fn run<F>(_: *mut KDPC, block: *mut c_void, _: *mut c_void, _: *mut c_void)
where
    F: Fn(AtDispatch<'_>) + Send + Sync + 'static,
{
    // SAFETY: the context of `KeInitializeDpc`: a block that lives until no DPC runs.
    let block = unsafe { &*block.cast::<Block<F>>() };
    // SAFETY: DPCs run at DISPATCH_LEVEL, and nothing in the closure can lower it.
    (block.routine)(unsafe { AtDispatch::new() });
}

#[cfg(test)]
mod tests {
    use super::milliseconds;
    use core::time::Duration;

    #[test]
    fn periods_are_whole_milliseconds() {
        assert_eq!(milliseconds(Duration::from_millis(1)), Ok(1));
        assert_eq!(milliseconds(Duration::new(3, 5_000_000)), Ok(3005));
        assert_eq!(milliseconds(Duration::from_millis(i32::MAX as u64)), Ok(i32::MAX));
        for bad in [
            Duration::ZERO,
            Duration::from_micros(1500),
            Duration::from_millis(i32::MAX as u64 + 1),
            Duration::MAX,
        ] {
            assert!(milliseconds(bad).is_err());
        }
    }
}
