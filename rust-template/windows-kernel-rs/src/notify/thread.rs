//! [`ThreadNotify`]: threads are created and exit.

use alloc::boxed::Box;

use windows_kernel_sys::{
    HANDLE, PCREATE_THREAD_NOTIFY_ROUTINE, PsRemoveCreateThreadNotifyRoutine,
    PsSetCreateThreadNotifyRoutine,
};

use super::slots::Slots;
use super::thin;
use crate::error::{Result, check};
use crate::exec::image::ImageHold;
use crate::irql::{Irql, assert_at_most};
use crate::mem::try_box;
use crate::process::{ProcessId, ThreadId};

type Callback = Box<dyn Fn(&ThreadEvent) + Send + Sync>;

static SLOTS: Slots<Callback> = Slots::new();

/// What happens to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadEvent {
    /// One was created.
    Create {
        /// The process it belongs to.
        process: ProcessId,
        /// The thread.
        thread: ThreadId,
    },
    /// One exits.
    Exit {
        /// The process it belongs to.
        process: ProcessId,
        /// The thread.
        thread: ThreadId,
    },
}

/// Has a closure called when threads are created and exit. See the [module](super).
///
/// The closure is called at PASSIVE (at APC when a thread exits), in the creating or the exiting
/// thread.
///
/// WDK: "PsSetCreateThreadNotifyRoutine function (ntddk.h)".
///
/// ```no_run
/// use windows_kernel_rs::notify::{ThreadEvent, ThreadNotify};
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let watch = ThreadNotify::try_new(|event| windows_kernel_rs::println!("{event:?}"))?;
/// # drop(watch); Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "dropping it unregisters the closure"]
pub struct ThreadNotify {
    index: usize,
    // A registration that was forgotten does not outlive the code that it calls.
    _hold: ImageHold,
}

impl ThreadNotify {
    /// Registers. IRQL: PASSIVE.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when this driver has
    /// [`MAX`](super::MAX) of them or Windows has all that it takes.
    #[track_caller]
    pub fn try_new<F>(callback: F) -> Result<Self>
    where
        F: Fn(&ThreadEvent) + Send + Sync + 'static,
    {
        assert_at_most(Irql::PASSIVE, "ThreadNotify::try_new");
        let hold = ImageHold::try_new()?;
        let index = SLOTS.put(thin::<Callback>(try_box(callback)?)?)?;
        // SAFETY: the routine has the signature that is wanted; its place is filled until it was
        // unregistered.
        match check(unsafe { PsSetCreateThreadNotifyRoutine(routine(index)) }) {
            Ok(_) => Ok(ThreadNotify { index, _hold: hold }),
            Err(error) => {
                // SAFETY: it was not registered.
                drop(unsafe { SLOTS.take(index) });
                Err(error)
            }
        }
    }
}

impl Drop for ThreadNotify {
    /// Unregisters, and waits for calls that run. IRQL: PASSIVE. WDK:
    /// "PsRemoveCreateThreadNotifyRoutine function (ntddk.h)".
    fn drop(&mut self) {
        assert_at_most(Irql::PASSIVE, "ThreadNotify::drop");
        // SAFETY: the routine is registered. The call waits until it runs nowhere.
        if check(unsafe { PsRemoveCreateThreadNotifyRoutine(routine(self.index)) }).is_ok() {
            // SAFETY: see above.
            drop(unsafe { SLOTS.take(self.index) });
        }
    }
}

// Another crate that inlined it would have its own copies, of other addresses, to unregister.
#[inline(never)]
fn routine(index: usize) -> PCREATE_THREAD_NOTIFY_ROUTINE {
    match index {
        0 => Some(notify::<0>),
        1 => Some(notify::<1>),
        2 => Some(notify::<2>),
        _ => Some(notify::<3>),
    }
}

unsafe extern "system" fn notify<const INDEX: usize>(process: HANDLE, thread: HANDLE, new: u8) {
    // SAFETY: the kernel calls this between registering and unregistering.
    let Some(callback) = (unsafe { SLOTS.get(INDEX) }) else { return };
    let (process, thread) = (ProcessId::from_raw(process), ThreadId::from_raw(thread));
    callback(&match new {
        0 => ThreadEvent::Exit { process, thread },
        _ => ThreadEvent::Create { process, thread },
    });
}

const _: () = assert!(super::MAX == 4, "one routine a place");
