//! [`Dpc`]: a closure that runs at DISPATCH_LEVEL, soon.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};

use windows_kernel_sys::{
    HighImportance, KDPC, KDPC_IMPORTANCE, KeFlushQueuedDpcs, KeInitializeDpc, KeInsertQueueDpc,
    KeRemoveQueueDpc, KeSetImportanceDpc, KeSetTargetProcessorDpcEx, LowImportance,
    MediumHighImportance, MediumImportance,
};

use super::assert_can_end;
use super::image::ImageHold;
use super::processor::Processor;
use crate::error::{Result, check};
use crate::irql::{AtDispatch, Irql};
use crate::mem::try_box;

/// How soon a DPC runs; see WDK's "KeSetImportanceDpc function (wdm.h)".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Importance {
    /// At the end of the queue, and it can wait until the processor has more to do.
    Low,
    /// At the end of the queue.
    #[default]
    Medium,
    /// At the end of the queue; if that is of another processor, it is told at once.
    MediumHigh,
    /// At the head of the queue.
    High,
}

/// A deferred procedure call: the closure runs at DISPATCH_LEVEL on a processor that has nothing
/// more urgent to do, in the middle of whatever thread is there.
///
/// It may run on two processors at the same time, when it is queued again as soon as it has
/// begun; that is why the closure is `Sync`. The [`AtDispatch`] it gets is what
/// [`SpinLock::lock_at_dispatch`](crate::sync::SpinLock::lock_at_dispatch) asks for. It may not
/// wait, and should be done within 100 µs.
///
/// Dropping it takes it from the queue or waits until it has run; IRQL: PASSIVE. A DPC that drops
/// itself (by the last [`Arc`](crate::mem::arc::Arc) to it) would wait for its own end: that is a
/// panic.
///
/// WDK: "Introduction to DPCs", "KeInitializeDpc function (wdm.h)".
///
/// ```no_run
/// use core::sync::atomic::{AtomicUsize, Ordering};
/// use windows_kernel_rs::exec::Dpc;
/// use windows_kernel_rs::mem::arc::Arc;
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let calls = Arc::try_new(AtomicUsize::new(0))?;
/// let counted = calls.clone();
/// let dpc = Dpc::try_new(move |_| {
///     counted.fetch_add(1, Ordering::Relaxed);
/// })?;
/// dpc.queue();
/// drop(dpc);
/// assert!(calls.load(Ordering::Relaxed) <= 1);
/// # Ok(()) }
/// ```
pub struct Dpc {
    block: NonNull<Block<Routine>>,
    _image: ImageHold,
}

type Routine = dyn Fn(AtDispatch<'_>) + Send + Sync + 'static;

struct Block<F: ?Sized> {
    dpc: UnsafeCell<KDPC>,
    routine: F,
}

// SAFETY: the KDPC is used through kernel routines, which lock; the closure is `Send` and `Sync`.
unsafe impl Send for Dpc {}
// SAFETY: as for `Send`.
unsafe impl Sync for Dpc {}

impl Dpc {
    /// A DPC that is not queued.
    ///
    /// IRQL <= DISPATCH. WDK: "KeInitializeDpc function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when memory runs
    /// out; [`Error::DEVICE_NOT_READY`](crate::Error::DEVICE_NOT_READY) in a driver without a
    /// [`Driver`](crate::Driver).
    pub fn try_new<F>(routine: F) -> Result<Self>
    where
        F: Fn(AtDispatch<'_>) + Send + Sync + 'static,
    {
        let image = ImageHold::try_new()?;
        let block = Box::into_raw(try_box(Block { dpc: UnsafeCell::default(), routine })?);
        // SAFETY: the block is new, and stays where it is until the `Dpc` is dropped.
        unsafe { KeInitializeDpc((*block).dpc.get(), Some(run::<F>), block.cast()) };
        let block: *mut Block<Routine> = block;
        // SAFETY: from a box.
        Ok(Dpc { block: unsafe { NonNull::new_unchecked(block) }, _image: image })
    }

    fn raw(&self) -> *mut KDPC {
        // SAFETY: the block lives as long as `self`.
        unsafe { self.block.as_ref() }.dpc.get()
    }

    /// Has it run soon; `false` where it is queued already, and so runs once for both.
    ///
    /// IRQL: any. WDK: "KeInsertQueueDpc function (wdm.h)".
    pub fn queue(&self) -> bool {
        // SAFETY: the KDPC is initialized.
        unsafe { KeInsertQueueDpc(self.raw(), ptr::null(), ptr::null()) != 0 }
    }

    /// Takes it from the queue; `false` where it is in none. It may run at this moment.
    ///
    /// IRQL: any. WDK: "KeRemoveQueueDpc function (wdm.h)".
    pub fn cancel(&self) -> bool {
        // SAFETY: the KDPC is initialized.
        unsafe { KeRemoveQueueDpc(self.raw()) != 0 }
    }

    /// How soon it runs when it is queued next.
    ///
    /// IRQL: any. WDK: "KeSetImportanceDpc function (wdm.h)".
    pub fn set_importance(&mut self, importance: Importance) {
        let importance: KDPC_IMPORTANCE = match importance {
            Importance::Low => LowImportance,
            Importance::Medium => MediumImportance,
            Importance::MediumHigh => MediumHighImportance,
            Importance::High => HighImportance,
        };
        // SAFETY: the KDPC is initialized.
        unsafe { KeSetImportanceDpc(self.raw(), importance) };
    }

    /// On which processor it runs when it is queued next, rather than on the one that queues it.
    ///
    /// IRQL: any. WDK: "KeSetTargetProcessorDpcEx function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::INVALID_PARAMETER`](crate::Error::INVALID_PARAMETER) where the processor is gone.
    pub fn set_target(&mut self, processor: Processor) -> Result<()> {
        let number = processor.number();
        // SAFETY: the KDPC is initialized, the number on the stack.
        check(unsafe { KeSetTargetProcessorDpcEx(self.raw(), &raw const number) }).map(drop)
    }
}

impl Drop for Dpc {
    fn drop(&mut self) {
        assert_can_end(Irql::PASSIVE, "exec::Dpc");
        self.cancel();
        // SAFETY: PASSIVE. Nothing can queue it any more, so that when all that are queued have
        // run, the kernel does not know it. The block is from a box.
        unsafe {
            KeFlushQueuedDpcs();
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
