//! System threads: [`try_spawn`], and [`JoinHandle`] to wait for their end.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::ptr;
use core::time::Duration;

use windows_kernel_sys::{
    FALSE, IoCreateSystemThread, KeGetCurrentThread, KeQueryPriorityThread, KeSetPriorityThread,
    KernelMode, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, ObReferenceObjectByHandle, PKTHREAD,
    PsGetThreadId, THREAD_ALL_ACCESS, ZwWaitForSingleObject,
};

use super::assert_can_end;
use crate::error::{Error, Result, check};
use crate::irql::{self, Irql};
use crate::mem::arc::Arc;
use crate::mem::try_box;
use crate::module;
use crate::ob::{Handle, ObjectRef};
pub use crate::process::ThreadId;
use crate::sync::Waitable;
use crate::sync::wait::sealed::Object;

/// Runs a closure in a system thread of its own, which ends when it returns.
///
/// The thread's stack has 24 KB (12 KB on old systems), and the closure is moved there: keep large
/// values in boxes. The driver's image stays in memory until the thread has ended.
///
/// IRQL: PASSIVE. WDK: "IoCreateSystemThread function (wdm.h)".
///
/// # Errors
/// [`Error::INSUFFICIENT_RESOURCES`] when memory runs out; [`Error::DEVICE_NOT_READY`] in a
/// driver without a [`Driver`](crate::Driver); the closure is dropped.
///
/// ```no_run
/// use windows_kernel_rs::exec::thread;
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let numbers = [1, 2, 3];
/// let sum = thread::try_spawn(move || numbers.iter().sum::<i32>())?;
/// assert_eq!(sum.join()?, 6);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn try_spawn<F, T>(body: F) -> Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    irql::assert_at_most(Irql::PASSIVE, "exec::thread::try_spawn");
    let driver = module::object()?;
    let result = Arc::try_new(Slot(UnsafeCell::new(None)))?;
    let start = Box::into_raw(try_box(Start { body, result: result.clone() })?);
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        Attributes: OBJ_KERNEL_HANDLE,
        ..Default::default()
    };
    // SAFETY: the driver's own object; `main` of this type gets the box. The routine gives the
    // handle away.
    let handle = unsafe {
        Handle::open(|handle| {
            IoCreateSystemThread(
                driver.as_ptr().cast(),
                handle,
                THREAD_ALL_ACCESS,
                &raw const attributes,
                ptr::null_mut(),
                ptr::null_mut(),
                Some(main::<F, T>),
                start.cast(),
            )
        })
    };
    match handle {
        Ok(handle) => Ok(JoinHandle { object: into_object(&handle)?, result }),
        Err(error) => {
            // SAFETY: there is no thread: the box is still this function's.
            drop(unsafe { Box::from_raw(start) });
            Err(error)
        }
    }
}

/// What [`ObjectRef`] refers to here.
enum ThreadObject {}

/// The thread object of a handle. Where there is none, waits for the thread.
fn into_object(handle: &Handle) -> Result<ObjectRef<ThreadObject>> {
    let mut object = ptr::null_mut();
    // SAFETY: an open handle; a kernel-mode reference by a kernel handle needs no type.
    let status = unsafe {
        ObReferenceObjectByHandle(
            handle.as_raw(),
            THREAD_ALL_ACCESS,
            0,
            KernelMode as i8,
            &raw mut object,
            ptr::null_mut(),
        )
    };
    let found = check(status).and_then(|_| {
        // SAFETY: the reference that was made for this function.
        unsafe { ObjectRef::from_referenced(object) }.ok_or(Error::INVALID_HANDLE)
    });
    if found.is_err() {
        // SAFETY: an open handle of a thread.
        unsafe { ZwWaitForSingleObject(handle.as_raw(), FALSE, ptr::null()) };
    }
    found
}

/// What the thread gives back: written by it, read when it has ended.
struct Slot<T>(UnsafeCell<Option<T>>);

// SAFETY: the thread writes it, and the handle's owner reads it when the thread has ended.
unsafe impl<T: Send> Sync for Slot<T> {}

struct Start<F, T> {
    body: F,
    result: Arc<Slot<T>>,
}

unsafe extern "system" fn main<F, T>(start: *mut c_void)
where
    F: FnOnce() -> T,
{
    // SAFETY: the box that `try_spawn` gave away.
    let Start { body, result } = *unsafe { Box::from_raw(start.cast::<Start<F, T>>()) };
    let value = body();
    // SAFETY: nobody reads it before this thread has ended.
    unsafe { *result.0.get() = Some(value) };
    drop(result);
}

/// A thread of this driver; dropping it waits for its end. It is [`Waitable`]: signaled when the
/// thread has ended.
///
/// That is so because the thread may use what the driver is about to take down. Tell it to end
/// before, by a [`StopSource`](super::StopSource); a [`Worker`](super::Worker) does it by itself.
///
/// A thread that drops the handle of itself does not wait. IRQL <= APC, checked in release builds
/// too.
#[must_use = "dropping it waits for the thread"]
pub struct JoinHandle<T> {
    object: ObjectRef<ThreadObject>,
    result: Arc<Slot<T>>,
}

// SAFETY: the thread object is used through kernel routines; the value is `Send`, and only the
// owner of the handle gets at it.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: `&JoinHandle` does not reach the value.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// Waits for the thread to end, and gives back what its closure returned.
    ///
    /// IRQL <= APC. WDK: "KeWaitForSingleObject function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::POSSIBLE_DEADLOCK`] when a thread joins itself.
    #[track_caller]
    pub fn join(self) -> Result<T> {
        irql::assert_at_most(Irql::APC, "JoinHandle::join");
        if self.is_current() {
            return Err(Error::POSSIBLE_DEADLOCK);
        }
        self.wait();
        // SAFETY: the thread has ended, and nobody else reads it.
        unsafe { (*self.result.0.get()).take() }.ok_or(Error::INTERNAL_ERROR)
    }

    /// Whether the thread has ended. IRQL <= DISPATCH.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.wait_for(Duration::ZERO).is_signaled()
    }

    /// Its identifier. IRQL: any. WDK: "PsGetThreadId function (ntddk.h)".
    #[must_use]
    pub fn id(&self) -> ThreadId {
        // SAFETY: a thread object that is referenced.
        ThreadId::from_raw(unsafe { PsGetThreadId(self.raw()) })
    }

    /// Its priority. IRQL: PASSIVE. WDK: "KeQueryPriorityThread function (wdm.h)".
    #[must_use]
    #[track_caller]
    pub fn priority(&self) -> Priority {
        irql::assert_at_most(Irql::PASSIVE, "JoinHandle::priority");
        priority_of(self.raw())
    }

    /// Sets its priority; the one before. IRQL: PASSIVE. WDK: "KeSetPriorityThread function
    /// (wdm.h)".
    #[track_caller]
    pub fn set_priority(&self, priority: Priority) -> Priority {
        irql::assert_at_most(Irql::PASSIVE, "JoinHandle::set_priority");
        change_priority(self.raw(), priority)
    }

    fn raw(&self) -> PKTHREAD {
        self.object.as_raw() as PKTHREAD
    }

    fn is_current(&self) -> bool {
        // SAFETY: it has no precondition.
        self.raw() == unsafe { KeGetCurrentThread() }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        assert_can_end(Irql::APC, "exec::JoinHandle");
        if !self.is_current() {
            self.wait();
        }
    }
}

// SAFETY: a thread object, which `self` keeps; waiting for it changes nothing.
unsafe impl<T> Object for JoinHandle<T> {
    fn object(&self) -> *const c_void {
        self.object.as_raw()
    }
}

/// A thread's priority, 1 to 31: of two threads that can run, the higher one does.
///
/// WDK: "KeSetPriorityThread function (wdm.h)".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// The lowest.
    pub const LOWEST: Priority = Priority(1);
    /// That of a new system thread.
    pub const NORMAL: Priority = Priority(8);
    /// The lowest of those that Windows does not change by itself.
    pub const LOW_REALTIME: Priority = Priority(16);
    /// The highest; who keeps running at it stops the system.
    pub const HIGHEST: Priority = Priority(31);

    /// The priority of a number from 1 to 31.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if 1 <= level && level <= 31 { Some(Priority(level)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The priority of the thread that calls. IRQL: PASSIVE.
#[must_use]
#[track_caller]
pub fn current_priority() -> Priority {
    irql::assert_at_most(Irql::PASSIVE, "exec::thread::current_priority");
    // SAFETY: it has no precondition.
    priority_of(unsafe { KeGetCurrentThread() })
}

/// Sets the priority of the thread that calls; the one before. Dispatch routines run in threads
/// of programs: set it back. IRQL: PASSIVE. WDK: "KeSetPriorityThread function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::exec::thread::{self, Priority};
/// let before = thread::set_current_priority(Priority::LOW_REALTIME);
/// // What is urgent.
/// thread::set_current_priority(before);
/// ```
#[track_caller]
pub fn set_current_priority(priority: Priority) -> Priority {
    irql::assert_at_most(Irql::PASSIVE, "exec::thread::set_current_priority");
    // SAFETY: it has no precondition.
    change_priority(unsafe { KeGetCurrentThread() }, priority)
}

fn priority_of(thread: PKTHREAD) -> Priority {
    // SAFETY: a thread object that is referenced, or that of the current thread.
    clamp(unsafe { KeQueryPriorityThread(thread) })
}

fn change_priority(thread: PKTHREAD, priority: Priority) -> Priority {
    // SAFETY: as above; the priority is one that there is.
    clamp(unsafe { KeSetPriorityThread(thread, priority.0.into()) })
}

/// A priority that the kernel says; 0 is only that of the thread which zeroes pages.
fn clamp(priority: i32) -> Priority {
    Priority(priority.clamp(1, 31) as u8)
}
