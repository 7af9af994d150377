//! [`Below`]: the device below a filter's, and how requests go there and come back.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use alloc::boxed::Box;

use windows_kernel_sys::{
    DEVICE_OBJECT, IRP, IoCopyCurrentIrpStackLocationToNext, IoDetachDevice,
    IoGetCurrentIrpStackLocation, IoSetCompletionRoutineEx, IofCallDriver, KEVENT,
    KeInitializeEvent, KeSetEvent, KeWaitForSingleObject, NTSTATUS,
    STATUS_MORE_PROCESSING_REQUIRED,
};

use super::Input;
use super::request::{Kind, Read, Request};
use super::user::taken;
use crate::error::{Error, Result, check};
use crate::irql::{Irql, assert_at_most};
use crate::mem::arc::Arc;
use crate::mem::try_box;
use crate::sync::{Rundown, RundownGuard};

/// The device below a filter's.
pub struct Below {
    pub(super) state: Arc<Position>,
}

/// Where a filter's device is in its stack.
pub(super) struct Position {
    pub(super) own: NonNull<DEVICE_OBJECT>,
    /// Null when it is not attached.
    pub(super) lower: AtomicPtr<DEVICE_OBJECT>,
    /// Who is in the device below, or will get a request back from it.
    pub(super) users: Rundown,
}

// SAFETY: both objects are used by kernel routines only, from any thread.
unsafe impl Send for Position {}
// SAFETY: as for `Send`.
unsafe impl Sync for Position {}

impl Position {
    /// The device below, that stays while the guard lives.
    pub(super) fn enter(&self) -> Result<(*mut DEVICE_OBJECT, RundownGuard<'_>)> {
        let guard = self.users.acquire().ok_or(Error::DELETE_PENDING)?;
        let lower = self.lower.load(Ordering::Acquire);
        if lower.is_null() { Err(Error::DELETE_PENDING) } else { Ok((lower, guard)) }
    }

    /// Whether `irp` is at this filter's stack location, with enough of them left for the rest.
    ///
    /// # Safety
    /// The IRP is the driver's, and `lower` a device.
    unsafe fn is_here(&self, irp: *mut IRP, lower: *mut DEVICE_OBJECT) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            (*IoGetCurrentIrpStackLocation(irp)).DeviceObject == self.own.as_ptr()
                && (*irp).CurrentLocation > (*lower).StackSize
        }
    }

    pub(super) fn detach(&self) {
        let lower = self.lower.swap(ptr::null_mut(), Ordering::AcqRel);
        if !lower.is_null() {
            // SAFETY: the device that this one was attached to, once.
            unsafe { IoDetachDevice(lower) };
        }
    }
}

impl Below {
    /// Sends a request down and has no more to do with it.
    ///
    /// A request that came another way than through this filter is completed with
    /// [`Error::INVALID_DEVICE_REQUEST`]. IRQL <= DISPATCH. WDK: "IofCallDriver function (wdm.h)".
    pub fn forward<K: Kind>(&self, request: Request<K>) {
        match self.state.enter() {
            // SAFETY: the request is owned.
            Ok((lower, guard)) if unsafe { self.state.is_here(request.as_irp(), lower) } => {
                let irp = request.into_irp().as_ptr();
                // SAFETY: the IRP was owned and has a location for the device below.
                unsafe {
                    IoCopyCurrentIrpStackLocationToNext(irp);
                    IofCallDriver(lower, irp);
                }
                drop(guard);
            }
            Ok(_) => request.complete(Err(Error::INVALID_DEVICE_REQUEST)),
            Err(error) => request.complete(Err(error)),
        }
    }

    /// Sends a request down, waits until it is completed there, and has it back with how many
    /// bytes were done, or why not.
    ///
    /// IRQL <= APC. Whoever cannot wait uses [`forward_then`](Self::forward_then).
    pub fn call<K: Kind>(&self, request: Request<K>) -> (Request<K>, Result<usize>) {
        assert_at_most(Irql::APC, "Below::call");
        let mut event = MaybeUninit::<KEVENT>::uninit();
        // SAFETY: the event is this function's, which waits until nobody uses it any more.
        unsafe { KeInitializeEvent(event.as_mut_ptr().cast(), 0, 0) };
        let (lower, _guard) = match self.state.enter() {
            Ok(entered) => entered,
            Err(error) => return (request, Err(error)),
        };
        // SAFETY: the request is owned; the event outlives the call.
        match unsafe { self.prepare(&request, lower, signal, event.as_mut_ptr().cast()) } {
            Ok(()) => {}
            Err(error) => return (request, Err(error)),
        }
        let irp = request.into_irp();
        // SAFETY: the IRP was owned and has a location for the device below; when the event is
        // signaled, the routine has taken it back.
        unsafe {
            IofCallDriver(lower, irp.as_ptr());
            KeWaitForSingleObject(event.as_mut_ptr().cast(), 0, 0, 0, ptr::null());
            returned(irp)
        }
    }

    /// Sends a request down; when it is completed there, `f` gets it back, with how many bytes
    /// were done or why not. `f` may complete it, or keep it.
    ///
    /// IRQL <= DISPATCH; `f` runs at IRQL <= DISPATCH, on any thread. Where there is no memory for
    /// it, `f` is called at once with that error.
    pub fn forward_then<K, F>(&self, request: Request<K>, f: F)
    where
        K: Kind,
        F: FnOnce(Request<K>, Result<usize>) + Send + 'static,
    {
        let back = match try_box(Back { f: UnsafeCell::new(None::<F>), state: self.state.clone() })
        {
            Ok(back) => back,
            Err(error) => return f(request, Err(error)),
        };
        let (lower, guard) = match self.state.enter() {
            Ok(entered) => entered,
            Err(error) => return f(request, Err(error)),
        };
        let context = Box::into_raw(back);
        // SAFETY: the request is owned; the box is the routine's from the call on.
        let prepared = unsafe { self.prepare(&request, lower, give_back::<K, F>, context.cast()) };
        if let Err(error) = prepared {
            // SAFETY: made above, and not given to anybody.
            drop(unsafe { Box::from_raw(context) });
            return f(request, Err(error));
        }
        // The routine ends this use, when `f` has run.
        core::mem::forget(guard);
        // SAFETY: nobody else has the box before the call; the IRP was owned and has a location
        // for the device below.
        unsafe {
            *(*context).f.get() = Some(f);
            IofCallDriver(lower, request.into_irp().as_ptr());
        }
    }

    /// Copies the stack location, and has `routine` called on completion.
    ///
    /// # Safety
    /// `context` is what `routine` wants; `lower` is the device that is called next.
    unsafe fn prepare<K: Kind>(
        &self,
        request: &Request<K>,
        lower: *mut DEVICE_OBJECT,
        routine: Completion,
        context: *const c_void,
    ) -> Result<()> {
        let irp = request.as_irp();
        // SAFETY: the request is owned; there is a location for the device below.
        unsafe {
            if !self.state.is_here(irp, lower) {
                return Err(Error::INVALID_DEVICE_REQUEST);
            }
            IoCopyCurrentIrpStackLocationToNext(irp);
            // This variant keeps the driver's code until the routine has returned.
            check(IoSetCompletionRoutineEx(
                self.state.own.as_ptr(),
                irp,
                Some(routine),
                context,
                1,
                1,
                1,
            ))?;
        }
        Ok(())
    }
}

type Completion = unsafe extern "system" fn(*mut DEVICE_OBJECT, *mut IRP, *mut c_void) -> NTSTATUS;

/// What comes back with a request.
struct Back<F> {
    f: UnsafeCell<Option<F>>,
    state: Arc<Position>,
}

unsafe extern "system" fn signal(
    _: *mut DEVICE_OBJECT,
    _: *mut IRP,
    event: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the event of the thread that waits in `call`.
    unsafe { KeSetEvent(event.cast(), 0, 0) };
    STATUS_MORE_PROCESSING_REQUIRED
}

unsafe extern "system" fn give_back<K: Kind, F: FnOnce(Request<K>, Result<usize>)>(
    _: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the box of `forward_then`, given to this one call.
    let back = unsafe { Box::from_raw(context.cast::<Back<F>>()) };
    let Back { f, state } = *back;
    if let (Some(f), Some(irp)) = (f.into_inner(), NonNull::new(irp)) {
        // SAFETY: this routine takes the IRP back by its answer.
        let (request, result) = unsafe { returned(irp) };
        f(request, result);
    }
    // SAFETY: the use that `forward_then` began and forgot.
    unsafe { state.users.release() };
    STATUS_MORE_PROCESSING_REQUIRED
}

/// The request in an IRP that came back, and its outcome.
///
/// # Safety
/// The IRP is of kind `K` and the caller's again, at this driver's location, marked pending.
unsafe fn returned<K: Kind>(irp: NonNull<IRP>) -> (Request<K>, Result<usize>) {
    // SAFETY: the caller's promise.
    unsafe {
        let status = (*irp.as_ptr()).IoStatus.Anonymous.Status;
        let done = (*irp.as_ptr()).IoStatus.Information;
        taken(irp.as_ptr());
        (Request::from_irp(irp), check(status).map(|_| done))
    }
}

impl Request<Read> {
    /// What is in the caller's buffer: after the device [`Below`] has completed the request, what
    /// it put there.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when the caller's pages cannot be mapped.
    pub fn data(&self) -> Result<Input<'_>> {
        let (start, len) = self.span(self.len())?;
        // SAFETY: the buffer belongs to the owned IRP, whose borrow keeps it.
        Ok(unsafe { Input::new(start, len) })
    }
}
