//! [`Queue`]: requests that wait, and that callers can cancel.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::marker::{PhantomData, PhantomPinned};
use core::pin::Pin;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicUsize, Ordering};

use windows_kernel_sys::{
    FILE_OBJECT, IO_CSQ, IRP, InitializeListHead, InsertTailList, IoCsqInitialize, IoCsqInsertIrp,
    IoCsqRemoveNextIrp, IoGetCurrentIrpStackLocation, KSPIN_LOCK, KeAcquireSpinLockRaiseToDpc,
    KeDelayExecutionThread, KeGetCurrentIrql, KeReleaseSpinLock, KernelMode, LIST_ENTRY,
    PASSIVE_LEVEL, RemoveEntryList,
};

use super::request::{Kind, Request, complete_irp};
use crate::error::{Error, Result};
use crate::mem::try_box;

/// Which open handle a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File(usize);

impl File {
    pub(crate) fn of(object: *const FILE_OBJECT) -> Self {
        File(object as usize)
    }
}

/// Requests in the order they came. One that its caller cancels, or whose thread ends, leaves the
/// queue by itself and is completed with [`Error::CANCELLED`].
///
/// What is still in it when the queue is dropped is completed with `CANCELLED` too.
///
/// WDK: "Cancel-Safe IRP Queues", "IoCsqInitialize function (wdm.h)".
///
/// ```no_run
/// # use windows_kernel_rs::io::{Queue, Read, Request};
/// fn wait(waiting: &Queue<Read>, request: Request<Read>) {
///     waiting.push(request);
/// }
/// fn answer(waiting: &Queue<Read>) {
///     if let Some(request) = waiting.pop() {
///         request.complete_with(b"here it is");
///     }
/// }
/// ```
pub struct Queue<K: Kind> {
    inner: Pin<Box<Inner>>,
    kind: PhantomData<fn() -> K>,
}

#[repr(C)]
struct Inner {
    // First: the callbacks get its address.
    csq: UnsafeCell<IO_CSQ>,
    lock: UnsafeCell<KSPIN_LOCK>,
    head: UnsafeCell<LIST_ENTRY>,
    /// Requests that are in the queue, or whose cancellation still uses it.
    live: AtomicUsize,
    pinned: PhantomPinned,
}

// SAFETY: everything inside is used through the IO_CSQ routines, which lock.
unsafe impl Send for Inner {}
// SAFETY: as for `Send`.
unsafe impl Sync for Inner {}

impl<K: Kind> Queue<K> {
    /// An empty queue. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out.
    pub fn try_new() -> Result<Self> {
        let inner = Box::into_pin(try_box(Inner {
            csq: UnsafeCell::default(),
            lock: UnsafeCell::new(0),
            head: UnsafeCell::default(),
            live: AtomicUsize::new(0),
            pinned: PhantomPinned,
        })?);
        // SAFETY: the parts are where they stay, and nobody else knows them yet.
        let status = unsafe {
            InitializeListHead(inner.head.get());
            IoCsqInitialize(
                inner.csq.get(),
                Some(insert),
                Some(remove),
                Some(peek),
                Some(acquire),
                Some(release),
                Some(complete_canceled),
            )
        };
        crate::check(status)?;
        Ok(Queue { inner, kind: PhantomData })
    }

    /// Puts a request at the end. One that was cancelled meanwhile is completed at once.
    ///
    /// IRQL <= DISPATCH. WDK: "IoCsqInsertIrp function (wdm.h)".
    pub fn push(&self, request: Request<K>) {
        self.inner.live.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the IRP is owned and given to the queue.
        unsafe {
            IoCsqInsertIrp(self.inner.csq.get(), request.into_irp().as_ptr(), ptr::null_mut());
        }
    }

    /// How many requests wait, or are just being cancelled: others may come and go meanwhile.
    /// IRQL: any.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.live.load(Ordering::Relaxed)
    }

    /// Whether none does. IRQL: any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the first request out. IRQL <= DISPATCH. WDK: "IoCsqRemoveNextIrp function (wdm.h)".
    pub fn pop(&self) -> Option<Request<K>> {
        self.next(ptr::null())
    }

    /// Takes the first request out that came through `file`. IRQL <= DISPATCH.
    pub fn pop_of(&self, file: File) -> Option<Request<K>> {
        self.next(file.0 as *const c_void)
    }

    /// Cancels all requests that came through `file`, as
    /// [`Operations::cleanup`](super::Operations::cleanup) should. IRQL <= DISPATCH.
    pub fn cancel(&self, file: File) {
        while let Some(request) = self.pop_of(file) {
            request.complete(Err(Error::CANCELLED));
        }
    }

    fn next(&self, context: *const c_void) -> Option<Request<K>> {
        // SAFETY: the queue is initialized.
        let irp = unsafe { IoCsqRemoveNextIrp(self.inner.csq.get(), context) };
        let irp = NonNull::new(irp)?;
        self.inner.live.fetch_sub(1, Ordering::Release);
        // SAFETY: only requests of this kind were pushed; it is ours again.
        Some(unsafe { Request::from_irp(irp) })
    }
}

impl<K: Kind> Drop for Queue<K> {
    fn drop(&mut self) {
        while let Some(request) = self.pop() {
            request.complete(Err(Error::CANCELLED));
        }
        // A cancellation on another processor may have taken a request and still be at work.
        while self.inner.live.load(Ordering::Acquire) != 0 {
            pause();
        }
    }
}

/// Lets others run for a moment.
fn pause() {
    // SAFETY: it has no precondition.
    if u32::from(unsafe { KeGetCurrentIrql() }) == PASSIVE_LEVEL {
        let interval: i64 = -10_000; // 1 ms
        // SAFETY: PASSIVE; the interval is on the stack.
        unsafe { KeDelayExecutionThread(KernelMode as i8, 0, &raw const interval) };
    } else {
        core::hint::spin_loop();
    }
}

// -- the callbacks of IO_CSQ: each is called with the queue's lock held, but for the last --------

unsafe fn inner<'a>(csq: *mut IO_CSQ) -> &'a Inner {
    // SAFETY: the IO_CSQ is the first field of an `Inner`, which outlives its use by the kernel.
    unsafe { &*csq.cast::<Inner>() }
}

fn entry_of(irp: *mut IRP) -> *mut LIST_ENTRY {
    // SAFETY: only the address is computed; a queued IRP's list entry is its owner's to use.
    unsafe { &raw mut (*irp).Tail.Overlay.Anonymous2.ListEntry }
}

fn irp_of(entry: *mut LIST_ENTRY) -> *mut IRP {
    let offset = core::mem::offset_of!(IRP, Tail.Overlay.Anonymous2.ListEntry);
    entry.cast::<u8>().wrapping_sub(offset).cast()
}

unsafe extern "system" fn insert(csq: *mut IO_CSQ, irp: *mut IRP) {
    // SAFETY: called with the lock held, with an IRP that is in no list.
    unsafe { InsertTailList(inner(csq).head.get(), entry_of(irp)) };
}

unsafe extern "system" fn remove(_: *mut IO_CSQ, irp: *mut IRP) {
    // SAFETY: called with the lock held, with an IRP of the list.
    unsafe { RemoveEntryList(entry_of(irp)) };
}

unsafe extern "system" fn peek(csq: *mut IO_CSQ, irp: *mut IRP, wanted: *mut c_void) -> *mut IRP {
    // SAFETY: called with the lock held; the list's entries are of IRPs that are in it.
    unsafe {
        let head = inner(csq).head.get();
        let mut entry = if irp.is_null() { (*head).Flink } else { (*entry_of(irp)).Flink };
        while entry != head {
            let found = irp_of(entry);
            let location = IoGetCurrentIrpStackLocation(found);
            if wanted.is_null() || (*location).FileObject.cast() == wanted {
                return found;
            }
            entry = (*entry).Flink;
        }
    }
    ptr::null_mut()
}

unsafe extern "system" fn acquire(csq: *mut IO_CSQ, irql: *mut u8) {
    // SAFETY: the lock is initialized, `irql` is where the caller wants the old IRQL.
    unsafe { *irql = KeAcquireSpinLockRaiseToDpc(inner(csq).lock.get()) };
}

unsafe extern "system" fn release(csq: *mut IO_CSQ, irql: u8) {
    // SAFETY: the lock is held, since `acquire`.
    unsafe { KeReleaseSpinLock(inner(csq).lock.get(), irql) };
}

unsafe extern "system" fn complete_canceled(csq: *mut IO_CSQ, irp: *mut IRP) {
    // SAFETY: the IRP has left the queue and is given to this routine to complete.
    unsafe { complete_irp(irp, Error::CANCELLED.to_kernel_errno(), 0) };
    // SAFETY: the queue waits for this before it goes; the kernel does not use it after this call.
    unsafe { inner(csq) }.live.fetch_sub(1, Ordering::Release);
}
