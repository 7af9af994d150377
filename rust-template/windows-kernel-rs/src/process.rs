//! Processes: [`Process`], and the numbers of processes and threads.
//!
//! ```no_run
//! use windows_kernel_rs::println;
//! use windows_kernel_rs::process::{Process, ProcessId};
//!
//! # fn f(id: ProcessId) -> windows_kernel_rs::Result<()> {
//! let process = Process::from_id(id)?;
//! println!("{id} is {}", process.image_path()?.display());
//! let same = process.attached(Process::current);
//! assert!(same == process);
//! # Ok(()) }
//! ```

use core::ffi::c_void;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr;

use windows_kernel_sys as sys;
use windows_kernel_sys::{HANDLE, KAPC_STATE, NTSTATUS, STATUS_PENDING};

use crate::error::{Result, check};
use crate::irql::{Irql, assert_at_most};
use crate::ob::ObjectRef;
use crate::string::{UnicodeStr, UnicodeString};
use crate::time::SystemTime;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(usize);

        impl $name {
            /// The identifier of this number. IRQL: any.
            #[must_use]
            pub const fn new(number: usize) -> Self {
                $name(number)
            }

            /// The number. IRQL: any.
            #[must_use]
            pub const fn get(self) -> usize {
                self.0
            }

            /// As kernel routines give it: a number in a `HANDLE`.
            #[must_use]
            pub fn from_raw(raw: HANDLE) -> Self {
                $name(raw.addr())
            }

            /// As kernel routines want it: a number in a `HANDLE`.
            #[must_use]
            pub fn as_raw(self) -> HANDLE {
                ptr::without_provenance_mut(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    )*};
}

ids! {
    /// The identifier of a process. Windows gives it to another one when the process is gone.
    ProcessId;
    /// The identifier of a thread. Windows gives it to another one when the thread is gone.
    ThreadId;
}

impl ProcessId {
    /// The process in which this runs. IRQL <= DISPATCH. WDK: "PsGetCurrentProcessId function
    /// (ntddk.h)".
    #[must_use]
    pub fn current() -> Self {
        // SAFETY: it has no precondition.
        Self::from_raw(unsafe { sys::PsGetCurrentProcessId() })
    }
}

impl ThreadId {
    /// The thread in which this runs. IRQL <= DISPATCH. WDK: "PsGetCurrentThreadId function
    /// (ntddk.h)".
    #[must_use]
    pub fn current() -> Self {
        // SAFETY: it has no precondition.
        Self::from_raw(unsafe { sys::PsGetCurrentThreadId() })
    }

    /// The process of a thread. IRQL <= APC. WDK: "PsLookupThreadByThreadId function (ntifs.h)".
    ///
    /// # Errors
    /// `STATUS_INVALID_CID` when there is no such thread.
    #[track_caller]
    pub fn process(self) -> Result<ProcessId> {
        assert_at_most(Irql::APC, "ThreadId::process");
        let mut thread = 0;
        // SAFETY: the place may be written.
        check(unsafe { sys::PsLookupThreadByThreadId(self.as_raw(), &raw mut thread) })?;
        // SAFETY: the routine made a reference for its caller.
        let kept = unsafe { ObjectRef::<Self>::from_referenced(object(thread)) };
        // SAFETY: `kept` keeps the thread.
        let process = unsafe { sys::PsGetThreadProcessId(thread) };
        drop(kept);
        Ok(ProcessId::from_raw(process))
    }
}

/// The bindings have PEPROCESS and PETHREAD as numbers.
fn object(address: isize) -> *mut c_void {
    ptr::with_exposed_provenance_mut(address as usize)
}

/// A process: a counted reference to its object, which may outlive the process.
///
/// WDK: "PsLookupProcessByProcessId function (ntifs.h)".
#[derive(Clone, Debug)]
pub struct Process {
    object: ObjectRef<Process>,
}

impl Process {
    /// The process in which this runs: that of the program which sent a request, often the system
    /// process. IRQL <= DISPATCH. WDK: "IoGetCurrentProcess function (wdm.h)".
    ///
    /// # Panics
    /// Never: there is a current process.
    #[must_use]
    pub fn current() -> Self {
        // SAFETY: it has no precondition, and the current process stays meanwhile.
        let object = unsafe { ObjectRef::reference(object(sys::IoGetCurrentProcess())) };
        Process { object: object.expect("a current process") }
    }

    /// The process of an identifier. IRQL <= APC.
    ///
    /// # Errors
    /// `STATUS_INVALID_CID` when there is none.
    #[track_caller]
    pub fn from_id(id: ProcessId) -> Result<Self> {
        assert_at_most(Irql::APC, "Process::from_id");
        let mut process = 0;
        // SAFETY: the place may be written.
        check(unsafe { sys::PsLookupProcessByProcessId(id.as_raw(), &raw mut process) })?;
        // SAFETY: the routine made a reference for its caller.
        let object = unsafe { ObjectRef::from_referenced(object(process)) };
        Ok(Process { object: object.ok_or(crate::Error::NOT_FOUND)? })
    }

    /// One more reference to a process.
    ///
    /// # Safety
    /// `process` is a process that somebody keeps meanwhile.
    pub(crate) unsafe fn reference(process: isize) -> Option<Self> {
        // SAFETY: the caller's promise.
        let object = unsafe { ObjectRef::reference(object(process)) }?;
        Some(Process { object })
    }

    /// The object, a `PEPROCESS`, for `windows-kernel-sys`. IRQL: any.
    #[must_use]
    pub fn as_raw(&self) -> isize {
        self.object.as_raw().expose_provenance() as isize
    }

    /// Its identifier. IRQL: any. WDK: "PsGetProcessId function (ntddk.h)".
    #[must_use]
    pub fn id(&self) -> ProcessId {
        // SAFETY: the process is kept.
        ProcessId::from_raw(unsafe { sys::PsGetProcessId(self.as_raw()) })
    }

    /// The whole path of its program: `\Device\HarddiskVolume1\Windows\notepad.exe`. IRQL: PASSIVE.
    /// WDK: "SeLocateProcessImageName function (ntddk.h)".
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES).
    #[track_caller]
    pub fn image_path(&self) -> Result<UnicodeString> {
        assert_at_most(Irql::PASSIVE, "Process::image_path");
        let mut name = ptr::null_mut();
        // SAFETY: the process is kept, the place may be written.
        check(unsafe { sys::SeLocateProcessImageName(self.as_raw(), &raw mut name) })?;
        // SAFETY: the routine gave a valid string, which is the caller's and stays until it is
        // freed.
        let copy = match unsafe { UnicodeStr::from_raw(name) } {
            Some(name) => name.try_to_owned(),
            None => UnicodeString::try_new(&[]),
        };
        if !name.is_null() {
            // SAFETY: the caller frees the string, once.
            unsafe { sys::ExFreePool(name.cast()) };
        }
        copy
    }

    /// When it was created. IRQL: any. WDK: "PsGetProcessCreateTimeQuadPart function (ntddk.h)".
    #[must_use]
    pub fn created(&self) -> SystemTime {
        // SAFETY: the process is kept.
        SystemTime::from_raw(unsafe { sys::PsGetProcessCreateTimeQuadPart(self.as_raw()) })
    }

    /// What it exited with; `None` while it runs. IRQL <= APC. WDK: "PsGetProcessExitStatus
    /// function (ntddk.h)".
    #[must_use]
    #[track_caller]
    pub fn exit_status(&self) -> Option<NTSTATUS> {
        assert_at_most(Irql::APC, "Process::exit_status");
        // SAFETY: the process is kept.
        let status = unsafe { sys::PsGetProcessExitStatus(self.as_raw()) };
        (status != STATUS_PENDING).then_some(status)
    }

    /// Runs `f` in the process's address space: user addresses mean there what they mean to it.
    ///
    /// A function rather than a guard: the kernel ties what it saves into lists and wants it back
    /// in the reverse order, so it can neither move nor be forgotten. IRQL <= APC, and `f` must
    /// come back at the same IRQL. Handles that are not kernel handles, and the current process in
    /// general, are another process's meanwhile: keep `f` short, and wait for nothing in it.
    ///
    /// WDK: "KeStackAttachProcess function (ntifs.h)".
    #[track_caller]
    pub fn attached<R>(&self, f: impl FnOnce() -> R) -> R {
        assert_at_most(Irql::APC, "Process::attached");
        let mut state = MaybeUninit::<KAPC_STATE>::zeroed();
        // SAFETY: the process is kept, and the state stays where it is until it is given back, in
        // order: whatever `f` attaches it detaches before it returns, and a panic does not unwind.
        unsafe { sys::KeStackAttachProcess(self.as_raw(), state.as_mut_ptr()) };
        let result = f();
        // SAFETY: as above.
        unsafe { sys::KeUnstackDetachProcess(state.as_ptr()) };
        result
    }
}

/// The same process.
impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        self.as_raw() == other.as_raw()
    }
}

impl Eq for Process {}
