//! [`WorkItem`]: a closure that a thread of the system's runs, soon, at PASSIVE_LEVEL.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicIsize, AtomicU8, Ordering};

use windows_kernel_sys::{
    DelayedWorkQueue, Executive, FALSE, IO_NO_INCREMENT, IoInitializeWorkItem, IoQueueWorkItemEx,
    IoSizeofWorkItem, IoUninitializeWorkItem, KEVENT, KeGetCurrentThread, KeInitializeEvent,
    KeSetEvent, KeWaitForSingleObject, KernelMode, NotificationEvent, PIO_WORKITEM,
    PIO_WORKITEM_ROUTINE_EX,
};

use super::assert_can_end;
use super::image::ImageHold;
use crate::error::{Error, Result};
use crate::irql::{self, Irql};
use crate::mem::try_box;
use crate::module;

/// A closure that a system worker thread runs at PASSIVE_LEVEL each time it is queued, from
/// DISPATCH_LEVEL too.
///
/// It never runs twice at the same time, so the closure may be `FnMut`. Queued while it waits to
/// run, it runs once for both; queued while it runs, it runs once more. It should not wait for
/// long: the system's threads are few and for all. For that there are [threads](super::thread).
///
/// Dropping it waits until all that was queued has run; IRQL: PASSIVE. A work item may drop itself
/// (by the last [`Arc`](crate::mem::arc::Arc) to it): what it owns is then dropped when the
/// closure returns, and what was queued meanwhile does not run.
///
/// WDK: "System Worker Threads", "IoInitializeWorkItem function (wdm.h)", "IoQueueWorkItemEx
/// function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::exec::{Dpc, WorkItem};
/// use windows_kernel_rs::println;
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let mut runs = 0;
/// let work = WorkItem::try_new(move || {
///     runs += 1;
///     println!("run {runs}");
/// })?;
/// let dpc = Dpc::try_new(move |_| {
///     work.queue();
/// })?;
/// dpc.queue();
/// # Ok(()) }
/// ```
pub struct WorkItem {
    block: NonNull<Block<Routine>>,
    _image: ImageHold,
}

type Routine = dyn FnMut() + Send + 'static;

struct Block<F: ?Sized> {
    head: Head,
    routine: UnsafeCell<F>,
}

struct Head {
    item: Item,
    callback: PIO_WORKITEM_ROUTINE_EX,
    state: AtomicU8,
    /// The thread that runs the closure, 0 for none.
    runner: AtomicIsize,
    /// Set when an item that is [`WAITED`] for is idle: the callback's last use of the block.
    idle: UnsafeCell<KEVENT>,
}

// States. Only `queue` leaves IDLE, only the callback leaves QUEUED.
const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Running, and queued meanwhile.
const AGAIN: u8 = 3;
/// Dropped by its own closure.
const ORPHAN: u8 = 4;
/// Set beside one of the first four: the value is being dropped by another thread.
const WAITED: u8 = 0x80;

// SAFETY: the closure is `Send`, and runs on one thread at a time; all else is atomic or used
// through kernel routines.
unsafe impl Send for WorkItem {}
// SAFETY: as for `Send`: `&WorkItem` does not reach the closure.
unsafe impl Sync for WorkItem {}

/// Memory with an IO_WORKITEM, whose size only the kernel knows.
struct Item {
    raw: PIO_WORKITEM,
    _memory: Vec<u64>,
}

impl Item {
    fn try_new() -> Result<Self> {
        let driver = module::object()?;
        // SAFETY: it has no precondition.
        let size = unsafe { IoSizeofWorkItem() } as usize;
        let mut memory = Vec::<u64>::new();
        memory.try_reserve_exact(size.div_ceil(size_of::<u64>())).map_err(Error::from)?;
        let raw = memory.as_mut_ptr() as PIO_WORKITEM;
        // SAFETY: nonpaged memory of that size, which stays where it is; the driver's own object.
        unsafe { IoInitializeWorkItem(driver.as_ptr().cast(), raw) };
        Ok(Item { raw, _memory: memory })
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        // SAFETY: initialized, and not queued any more.
        unsafe { IoUninitializeWorkItem(self.raw) };
    }
}

impl WorkItem {
    /// A work item that is not queued.
    ///
    /// IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out; [`Error::DEVICE_NOT_READY`] in a
    /// driver without a [`Driver`](crate::Driver).
    #[track_caller]
    pub fn try_new<F>(routine: F) -> Result<Self>
    where
        F: FnMut() + Send + 'static,
    {
        irql::assert_at_most(Irql::DISPATCH, "WorkItem::try_new");
        let image = ImageHold::try_new()?;
        let head = Head {
            item: Item::try_new()?,
            callback: Some(run::<F>),
            state: AtomicU8::new(IDLE),
            runner: AtomicIsize::new(0),
            idle: UnsafeCell::default(),
        };
        let routine = UnsafeCell::new(routine);
        let block = Box::into_raw(try_box(Block { head, routine })?);
        // SAFETY: the block is new, and stays where it is until it is freed.
        unsafe { KeInitializeEvent((*block).head.idle.get(), NotificationEvent, FALSE) };
        let block: *mut Block<Routine> = block;
        // SAFETY: from a box.
        Ok(WorkItem { block: unsafe { NonNull::new_unchecked(block) }, _image: image })
    }

    fn head(&self) -> &Head {
        // SAFETY: the block lives as long as `self`. The closure may be borrowed by the callback:
        // only what is beside it is borrowed here.
        unsafe { &(*self.block.as_ptr()).head }
    }

    /// Has it run soon; `false` where it waits to run already.
    ///
    /// IRQL <= DISPATCH. WDK: "IoQueueWorkItemEx function (wdm.h)".
    #[track_caller]
    pub fn queue(&self) -> bool {
        irql::assert_at_most(Irql::DISPATCH, "WorkItem::queue");
        let head = self.head();
        let next = |state| match state {
            IDLE => Some(QUEUED),
            RUNNING => Some(AGAIN),
            // Nobody else has it while it is dropped; its own closure may, until it returns.
            _ => None,
        };
        match head.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) {
            Ok(IDLE) => {
                let (item, callback) = (head.item.raw, head.callback);
                let block = self.block.as_ptr().cast::<c_void>();
                // SAFETY: it was idle: only who makes it QUEUED queues it. The item is
                // initialized, and the block is not freed before it has run.
                unsafe { IoQueueWorkItemEx(item, callback, DelayedWorkQueue, block) };
                true
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }
}

impl Drop for WorkItem {
    fn drop(&mut self) {
        assert_can_end(Irql::PASSIVE, "exec::WorkItem");
        let head = self.head();
        // SAFETY: it has no precondition.
        if head.runner.load(Ordering::Acquire) == unsafe { KeGetCurrentThread() } {
            // Its own closure runs: the callback frees the block when that returns.
            head.state.store(ORPHAN, Ordering::Release);
            return;
        }
        if head.state.fetch_or(WAITED, Ordering::AcqRel) != IDLE {
            let event = head.idle.get().cast();
            // SAFETY: PASSIVE; setting the event is the callback's last use of the block.
            unsafe {
                KeWaitForSingleObject(event, Executive, KernelMode as i8, FALSE, ptr::null())
            };
        }
        // SAFETY: idle, and nobody can queue it. The block is from a box.
        drop(unsafe { Box::from_raw(self.block.as_ptr()) });
    }
}

unsafe extern "system" fn run<F>(_: *mut c_void, context: *mut c_void, _: PIO_WORKITEM)
where
    F: FnMut() + Send + 'static,
{
    let block = context.cast::<Block<F>>();
    // SAFETY: a block that was queued is not freed before its item is idle.
    let head = unsafe { &(*block).head };
    // QUEUED becomes RUNNING, beside WAITED.
    head.state.fetch_add(RUNNING - QUEUED, Ordering::AcqRel);
    // SAFETY: it has no precondition.
    head.runner.store(unsafe { KeGetCurrentThread() }, Ordering::Release);
    // SAFETY: only the callback uses the closure, and runs once at a time.
    unsafe { (*(*block).routine.get())() };
    head.runner.store(0, Ordering::Release);
    let (item, callback) = (head.item.raw, head.callback);
    let after = |state| match state & !WAITED {
        ORPHAN => None,
        AGAIN => Some(QUEUED | state & WAITED),
        _ => Some(IDLE | state & WAITED),
    };
    // From here on the block may be gone, but where the state says that it is not.
    match head.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, after) {
        // SAFETY: from a box; its owner left it to this.
        Err(_) => drop(unsafe { Box::from_raw(block) }),
        // SAFETY: just made QUEUED, by this, which does not use the block any more.
        Ok(state) if state & !WAITED == AGAIN => unsafe {
            IoQueueWorkItemEx(item, callback, DelayedWorkQueue, context);
        },
        // SAFETY: the owner waits for the event. It is not used after that.
        Ok(state) if state & WAITED != 0 => unsafe {
            KeSetEvent(head.idle.get(), IO_NO_INCREMENT as i32, FALSE);
        },
        Ok(_) => (),
    }
}
