//! [`ProcessNotify`]: processes are created and exit.

use core::marker::PhantomData;

use alloc::boxed::Box;

use windows_kernel_sys::{
    HANDLE, PCREATE_PROCESS_NOTIFY_ROUTINE_EX, PS_CREATE_NOTIFY_INFO,
    PsSetCreateProcessNotifyRoutineEx,
};

use super::slots::Slots;
use super::thin;
#[allow(unused_imports, reason = "for the documentation")]
use crate::error::Error;
use crate::error::{Result, check};
use crate::exec::image::ImageHold;
use crate::irql::{Irql, assert_at_most};
use crate::mem::try_box;
use crate::process::{Process, ProcessId, ThreadId};
use crate::string::UnicodeStr;

type Callback = Box<dyn Fn(&ProcessEvent<'_>) -> Result<()> + Send + Sync>;

static SLOTS: Slots<Callback> = Slots::new();

/// What happens to a process.
#[derive(Debug)]
pub enum ProcessEvent<'a> {
    /// One was created; its first thread has not run yet. `Err` refuses it, and is what its
    /// creator gets.
    Create(NewProcess<'a>),
    /// One exits: its last thread ends. The answer does not matter.
    Exit(Process),
}

/// A process that was just created.
#[derive(Debug)]
pub struct NewProcess<'a> {
    process: Process,
    info: *const PS_CREATE_NOTIFY_INFO,
    valid: PhantomData<&'a ()>,
}

impl NewProcess<'_> {
    fn info(&self) -> &PS_CREATE_NOTIFY_INFO {
        // SAFETY: the kernel's structure, valid during the call, which `'a` does not outlive.
        // `CreationStatus` is written when the closure has returned.
        unsafe { &*self.info }
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> ProcessId {
        self.process.id()
    }

    /// From whom it inherits: not always who creates it.
    #[must_use]
    pub fn parent(&self) -> ProcessId {
        ProcessId::from_raw(self.info().ParentProcessId)
    }

    /// Who creates it.
    #[must_use]
    pub fn creator(&self) -> (ProcessId, ThreadId) {
        let id = &self.info().CreatingThreadId;
        (ProcessId::from_raw(id.UniqueProcess), ThreadId::from_raw(id.UniqueThread))
    }

    /// The program's file, if it is known; whether this is the whole path the WDK leaves open.
    #[must_use]
    pub fn image_name(&self) -> Option<&UnicodeStr> {
        // SAFETY: null or a string that the kernel keeps during the call.
        unsafe { UnicodeStr::from_raw(self.info().ImageFileName) }
    }

    /// The command line, if it is known.
    #[must_use]
    pub fn command_line(&self) -> Option<&UnicodeStr> {
        // SAFETY: null or a string that the kernel keeps during the call.
        unsafe { UnicodeStr::from_raw(self.info().CommandLine) }
    }
}

/// Has a closure called when processes are created and exit. See the [module](super).
///
/// The closure is called at PASSIVE, in the creating or the exiting thread.
///
/// On Windows the driver's image must be linked with `/INTEGRITYCHECK`, else registering fails.
///
/// WDK: "PsSetCreateProcessNotifyRoutineEx function (ntddk.h)".
#[derive(Debug)]
#[must_use = "dropping it unregisters the closure"]
pub struct ProcessNotify {
    index: usize,
    // A registration that was forgotten does not outlive the code that it calls.
    _hold: ImageHold,
}

impl ProcessNotify {
    /// Registers. IRQL: PASSIVE.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when this driver has [`MAX`](super::MAX) of them,
    /// [`Error::INVALID_PARAMETER`] when Windows has all that it takes, [`Error::ACCESS_DENIED`]
    /// for an image without `/INTEGRITYCHECK`.
    #[track_caller]
    pub fn try_new<F>(callback: F) -> Result<Self>
    where
        F: Fn(&ProcessEvent<'_>) -> Result<()> + Send + Sync + 'static,
    {
        assert_at_most(Irql::PASSIVE, "ProcessNotify::try_new");
        let hold = ImageHold::try_new()?;
        let index = SLOTS.put(thin::<Callback>(try_box(callback)?)?)?;
        // SAFETY: the routine has the signature that is wanted; its place is filled until it was
        // unregistered.
        match check(unsafe { PsSetCreateProcessNotifyRoutineEx(routine(index), 0) }) {
            Ok(_) => Ok(ProcessNotify { index, _hold: hold }),
            Err(error) => {
                // SAFETY: it was not registered.
                drop(unsafe { SLOTS.take(index) });
                Err(error)
            }
        }
    }
}

impl Drop for ProcessNotify {
    /// Unregisters, and waits for calls that run. IRQL: PASSIVE.
    fn drop(&mut self) {
        assert_at_most(Irql::PASSIVE, "ProcessNotify::drop");
        // SAFETY: the routine is registered. The call waits until it runs nowhere.
        if check(unsafe { PsSetCreateProcessNotifyRoutineEx(routine(self.index), 1) }).is_ok() {
            // SAFETY: see above.
            drop(unsafe { SLOTS.take(self.index) });
        }
    }
}

// Another crate that inlined it would have its own copies, of other addresses, to unregister.
#[inline(never)]
fn routine(index: usize) -> PCREATE_PROCESS_NOTIFY_ROUTINE_EX {
    match index {
        0 => Some(notify::<0>),
        1 => Some(notify::<1>),
        2 => Some(notify::<2>),
        _ => Some(notify::<3>),
    }
}

unsafe extern "system" fn notify<const INDEX: usize>(
    process: isize,
    _: HANDLE,
    info: *mut PS_CREATE_NOTIFY_INFO,
) {
    // SAFETY: the kernel calls this between registering and unregistering, with a process that it
    // keeps meanwhile.
    let (callback, process) = unsafe { (SLOTS.get(INDEX), Process::reference(process)) };
    let (Some(callback), Some(process)) = (callback, process) else { return };
    if info.is_null() {
        // Nobody asks whether a process may exit.
        let _ = callback(&ProcessEvent::Exit(process));
        return;
    }
    let new = NewProcess { process, info, valid: PhantomData };
    if let Err(error) = callback(&ProcessEvent::Create(new)) {
        // SAFETY: the structure is the callback's to change; nothing borrows it any more.
        unsafe { (*info).CreationStatus = error.to_kernel_errno() };
    }
}

const _: () = assert!(super::MAX == 4, "one routine a place");
