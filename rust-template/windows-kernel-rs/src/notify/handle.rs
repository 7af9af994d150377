//! [`HandleNotify`]: handles of processes and threads are about to be made.

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use alloc::boxed::Box;

use windows_kernel_sys as sys;
use windows_kernel_sys::{
    OB_CALLBACK_REGISTRATION, OB_FLT_REGISTRATION_VERSION, OB_OPERATION_HANDLE_CREATE,
    OB_OPERATION_HANDLE_DUPLICATE, OB_OPERATION_REGISTRATION, OB_PRE_OPERATION_INFORMATION,
    OB_PREOP_CALLBACK_STATUS, OB_PREOP_SUCCESS, ObRegisterCallbacks, ObUnRegisterCallbacks,
    POBJECT_TYPE,
};

use super::thin;
use crate::error::{Error, Result, check};
use crate::exec::image::ImageHold;
use crate::irql::{Irql, assert_at_most};
use crate::mem::try_box;
use crate::process::{ProcessId, ThreadId};
use crate::string::AsUnicode;

type Callback = Box<dyn Fn(&mut HandleRequest<'_>) + Send + Sync>;

/// Whose handles are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handles {
    /// Those of processes.
    Processes,
    /// Those of threads.
    Threads,
    /// Both.
    Both,
}

/// What a handle is to be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleOf {
    /// A process.
    Process(ProcessId),
    /// A thread, and its process.
    Thread(ProcessId, ThreadId),
}

/// A handle that is about to be made.
#[derive(Debug)]
pub struct HandleRequest<'a> {
    target: HandleOf,
    kernel: bool,
    duplicate: bool,
    access: &'a mut u32,
    original: u32,
}

impl HandleRequest<'_> {
    /// What the handle is to be of.
    #[must_use]
    pub fn target(&self) -> HandleOf {
        self.target
    }

    /// Whether it is a kernel handle: those of drivers are.
    #[must_use]
    pub fn is_kernel(&self) -> bool {
        self.kernel
    }

    /// Whether another handle is copied, rather than an object opened.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// The rights that are asked for, `PROCESS_…` or `THREAD_…`, less what was taken away.
    #[must_use]
    pub fn access(&self) -> u32 {
        *self.access
    }

    /// The rights that were asked for first.
    #[must_use]
    pub fn original_access(&self) -> u32 {
        self.original
    }

    /// Takes rights away. The handle is made without them.
    pub fn remove(&mut self, rights: u32) {
        *self.access &= !rights;
    }
}

/// Has a closure called before handles of processes and threads are made. See the
/// [module](super).
///
/// The closure is called at PASSIVE, in any thread, often with APCs disabled.
///
/// On Windows the driver's image must be linked with `/INTEGRITYCHECK`, else registering fails.
///
/// WDK: "ObRegisterCallbacks function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::notify::{HandleNotify, HandleOf, Handles};
/// use windows_kernel_rs::process::ProcessId;
/// use windows_kernel_rs::{Result, u16str};
///
/// const PROCESS_TERMINATE: u32 = 1;
///
/// fn protect(id: ProcessId) -> Result<HandleNotify> {
///     HandleNotify::try_new(u16str!("321000"), Handles::Processes, move |request| {
///         if request.target() == HandleOf::Process(id) && !request.is_kernel() {
///             request.remove(PROCESS_TERMINATE);
///         }
///     })
/// }
/// ```
#[must_use = "dropping it unregisters the closure"]
pub struct HandleNotify {
    registration: NonNull<c_void>,
    // From a box; the kernel has the address.
    callback: NonNull<Callback>,
    // A registration that was forgotten does not outlive the code that it calls.
    _hold: ImageHold,
}

// SAFETY: the closure is `Send` and `Sync`, and is only dropped here.
unsafe impl Send for HandleNotify {}
// SAFETY: as for `Send`.
unsafe impl Sync for HandleNotify {}

impl HandleNotify {
    /// Registers. `altitude` says where among others: a decimal number as text, the highest is
    /// called first; Microsoft hands them out. IRQL <= APC.
    ///
    /// # Errors
    /// `STATUS_FLT_INSTANCE_ALTITUDE_COLLISION` when somebody has this altitude,
    /// [`Error::ACCESS_DENIED`] for an image without `/INTEGRITYCHECK`,
    /// [`Error::INSUFFICIENT_RESOURCES`].
    #[track_caller]
    pub fn try_new<F>(altitude: impl AsUnicode, what: Handles, callback: F) -> Result<Self>
    where
        F: Fn(&mut HandleRequest<'_>) + Send + Sync + 'static,
    {
        assert_at_most(Irql::APC, "HandleNotify::try_new");
        let hold = ImageHold::try_new()?;
        let callback = Box::into_raw(thin::<Callback>(try_box(callback)?)?);
        let entry = |kind| OB_OPERATION_REGISTRATION {
            ObjectType: kind,
            Operations: OB_OPERATION_HANDLE_CREATE | OB_OPERATION_HANDLE_DUPLICATE,
            PreOperation: Some(notify),
            PostOperation: None,
        };
        let mut both = [entry(process_type()), entry(thread_type())];
        let (first, count) = match what {
            Handles::Processes => (0, 1),
            Handles::Threads => (1, 1),
            Handles::Both => (0, 2),
        };
        let mut registration = ptr::null_mut();
        let status = altitude.with_unicode(|altitude| {
            let wanted = OB_CALLBACK_REGISTRATION {
                Version: OB_FLT_REGISTRATION_VERSION as u16,
                OperationRegistrationCount: count,
                // SAFETY: a valid string, which the routine only reads.
                Altitude: unsafe { *altitude.as_raw() },
                RegistrationContext: callback.cast(),
                OperationRegistration: both[first..].as_mut_ptr(),
            };
            // SAFETY: all is valid and copied; the closure lives until it was unregistered.
            unsafe { ObRegisterCallbacks(&raw const wanted, &raw mut registration) }
        });
        let made = status.and_then(check).and_then(|_| {
            let registration = NonNull::new(registration).ok_or(Error::INTERNAL_ERROR)?;
            let callback = NonNull::new(callback).ok_or(Error::INTERNAL_ERROR)?;
            Ok(HandleNotify { registration, callback, _hold: hold })
        });
        if made.is_err() {
            // SAFETY: from a box; it was not registered.
            drop(unsafe { Box::from_raw(callback) });
        }
        made
    }
}

impl Drop for HandleNotify {
    /// Unregisters, and waits for calls that run. IRQL <= APC. WDK: "ObUnRegisterCallbacks
    /// function (wdm.h)".
    fn drop(&mut self) {
        assert_at_most(Irql::APC, "HandleNotify::drop");
        // SAFETY: the registration is this value's own. The call waits until the routine runs
        // nowhere, so that the box is nobody's then.
        unsafe {
            ObUnRegisterCallbacks(self.registration.as_ptr());
            drop(Box::from_raw(self.callback.as_ptr()));
        }
    }
}

/// Where the kernel keeps the type of processes.
fn process_type() -> *mut POBJECT_TYPE {
    // Only the address of the kernel's variable is taken.
    (&raw const sys::PsProcessType).cast_mut()
}

/// Where the kernel keeps the type of threads.
fn thread_type() -> *mut POBJECT_TYPE {
    // Only the address of the kernel's variable is taken.
    (&raw const sys::PsThreadType).cast_mut()
}

unsafe extern "system" fn notify(
    context: *mut c_void,
    information: *mut OB_PRE_OPERATION_INFORMATION,
) -> OB_PREOP_CALLBACK_STATUS {
    // SAFETY: the closure that was registered, which lives until it was unregistered; the kernel's
    // structures are valid during the call, and the access is the routine's to change. The object
    // is of the type that it says, and kept meanwhile.
    unsafe {
        let callback = &*context.cast_const().cast::<Callback>();
        let object = (*information).Object.expose_provenance() as isize;
        let of_process = (*information).ObjectType == *process_type();
        let target = if of_process {
            HandleOf::Process(ProcessId::from_raw(sys::PsGetProcessId(object)))
        } else {
            let process = ProcessId::from_raw(sys::PsGetThreadProcessId(object));
            HandleOf::Thread(process, ThreadId::from_raw(sys::PsGetThreadId(object)))
        };
        let duplicate = (*information).Operation == OB_OPERATION_HANDLE_DUPLICATE;
        // Both structures begin with the two masks.
        let parameters = &raw mut (*(*information).Parameters).CreateHandleInformation;
        let original = (*parameters).OriginalDesiredAccess;
        callback(&mut HandleRequest {
            target,
            kernel: (*information).Anonymous.Flags & 1 != 0,
            duplicate,
            access: &mut (*parameters).DesiredAccess,
            original,
        });
    }
    OB_PREOP_SUCCESS
}
