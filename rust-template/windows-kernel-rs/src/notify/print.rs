//! [`PrintNotify`]: text goes to the kernel's debug output.

use alloc::boxed::Box;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use windows_kernel_sys::{DbgSetDebugPrintCallback, PDEBUG_PRINT_CALLBACK, STRING};

use super::slots::Slots;
use super::thin;
use crate::error::{Result, check};
use crate::exec::Processor;
use crate::exec::image::ImageHold;
use crate::irql::{self, Irql, assert_at_most};
use crate::mem::try_box;

type Callback = Box<dyn Fn(&DebugPrint<'_>) + Send + Sync>;

static SLOTS: Slots<Callback> = Slots::new();

/// Where the kernel calls such routines at least: SYNCH_LEVEL of x86-64.
const SYNCH: u8 = 12;

/// Processors that are told apart; Windows has at most 2048.
const PROCESSORS: usize = 2048;

/// Processors on which a closure runs.
static INSIDE: [AtomicBool; PROCESSORS] = [const { AtomicBool::new(false) }; PROCESSORS];
/// Prints that came while one ran there.
static NESTED: AtomicU32 = AtomicU32::new(0);

/// One print.
pub struct DebugPrint<'a> {
    text: &'a [u8],
    component: u32,
    level: u32,
    irql: Irql,
    missed: u32,
}

impl DebugPrint<'_> {
    /// The text, at most 512 bytes of no certain encoding, the end of the line as it was printed.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.text
    }

    /// Of which component it is: `DPFLTR_…_ID`.
    #[must_use]
    pub fn component(&self) -> u32 {
        self.component
    }

    /// How important it is: up to 31 the number of a bit, above it a mask.
    #[must_use]
    pub fn level(&self) -> u32 {
        self.level
    }

    /// The IRQL of who printed. `None` for all that is not above SYNCH_LEVEL: Windows has raised it
    /// to that, and does not say from where.
    #[must_use]
    pub fn irql(&self) -> Option<Irql> {
        (self.irql != Irql::from_raw(SYNCH)).then_some(self.irql)
    }

    /// How many prints the closure was not called for since the last call: they came from an
    /// interrupt (or the closure itself) while it ran on the same processor.
    #[must_use]
    pub fn missed(&self) -> u32 {
        self.missed
    }
}

impl fmt::Debug for DebugPrint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugPrint")
            .field("component", &self.component)
            .field("level", &self.level)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// Has a closure called for each `DbgPrint` and its kind that the filter of Windows lets through,
/// of this driver and of all others. See the [module](super).
///
/// **The closure is called at SYNCH_LEVEL (12) or above**, in the middle of anything: it must not
/// wait, allocate, take another lock than a [`HighLock`](crate::sync::HighLock), or touch paged
/// memory; [`Dpc::queue`](crate::exec::Dpc::queue) is for the rest. What is printed while it runs on
/// the same processor is not given to it, and counted: [`DebugPrint::missed`]. (Windows would call
/// it again, for ever, where it prints itself.) During a bug check Windows does not call it.
///
/// Windows documents only that there is such a routine; what is said here is how it is seen to act
/// from Windows 7 to 11. WDK: "wdm.h", DbgSetDebugPrintCallback.
///
/// ```no_run
/// use core::sync::atomic::{AtomicUsize, Ordering};
/// use windows_kernel_rs::notify::PrintNotify;
///
/// static BYTES: AtomicUsize = AtomicUsize::new(0);
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let watch = PrintNotify::try_new(|print| {
///     BYTES.fetch_add(print.text().len(), Ordering::Relaxed);
/// })?;
/// # drop(watch); Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "dropping it unregisters the closure"]
pub struct PrintNotify {
    index: usize,
    // A registration that was forgotten does not outlive the code that it calls.
    _hold: ImageHold,
}

impl PrintNotify {
    /// Registers. IRQL: PASSIVE.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when this driver has
    /// [`MAX`](super::MAX) of them or memory runs out.
    #[track_caller]
    pub fn try_new<F>(callback: F) -> Result<Self>
    where
        F: Fn(&DebugPrint<'_>) + Send + Sync + 'static,
    {
        assert_at_most(Irql::PASSIVE, "PrintNotify::try_new");
        let hold = ImageHold::try_new()?;
        let index = SLOTS.put(thin::<Callback>(try_box(callback)?)?)?;
        // SAFETY: the routine has the signature that is wanted; its place is filled until it was
        // unregistered.
        match check(unsafe { DbgSetDebugPrintCallback(routine(index), 1) }) {
            Ok(_) => Ok(PrintNotify { index, _hold: hold }),
            Err(error) => {
                // SAFETY: it was not registered.
                drop(unsafe { SLOTS.take(index) });
                Err(error)
            }
        }
    }
}

impl Drop for PrintNotify {
    /// Unregisters, and waits for calls that run. IRQL: PASSIVE.
    fn drop(&mut self) {
        assert_at_most(Irql::PASSIVE, "PrintNotify::drop");
        // SAFETY: the routine is registered. The call waits until it runs nowhere.
        if check(unsafe { DbgSetDebugPrintCallback(routine(self.index), 0) }).is_ok() {
            // SAFETY: see above.
            drop(unsafe { SLOTS.take(self.index) });
        }
    }
}

// Another crate that inlined it would have its own copies, of other addresses, to unregister.
#[inline(never)]
fn routine(index: usize) -> PDEBUG_PRINT_CALLBACK {
    match index {
        0 => Some(notify::<0>),
        1 => Some(notify::<1>),
        2 => Some(notify::<2>),
        _ => Some(notify::<3>),
    }
}

unsafe extern "system" fn notify<const INDEX: usize>(
    output: *mut STRING,
    component: u32,
    level: u32,
) {
    // SAFETY: the kernel calls this between registering and unregistering, with a string that it
    // keeps meanwhile. Only its length is filled in everywhere, not its maximal one.
    let (callback, text) = unsafe {
        let Some(callback) = SLOTS.get(INDEX) else { return };
        let (start, len) = ((*output).Buffer, usize::from((*output).Length));
        if start.is_null() || len == 0 {
            return;
        }
        (callback, core::slice::from_raw_parts(start.cast::<u8>().cast_const(), len))
    };
    // It stays on this processor, wherever it was called from.
    let raised = irql::raise(Irql::DISPATCH);
    let Some(inside) = INSIDE.get(Processor::current().index() as usize) else { return };
    if inside.swap(true, Ordering::Relaxed) {
        NESTED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let missed = NESTED.swap(0, Ordering::Relaxed);
    callback(&DebugPrint { text, component, level, irql: irql::current(), missed });
    inside.store(false, Ordering::Relaxed);
    drop(raised);
}

const _: () = assert!(super::MAX == 4, "one routine a place");
