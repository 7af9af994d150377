//! [`ImageNotify`]: programs, DLLs and drivers are mapped.

use core::marker::PhantomData;

use alloc::boxed::Box;

use windows_kernel_sys::{
    HANDLE, IMAGE_INFO, PLOAD_IMAGE_NOTIFY_ROUTINE, PsRemoveLoadImageNotifyRoutine,
    PsSetLoadImageNotifyRoutine, UNICODE_STRING,
};

use super::slots::Slots;
use super::thin;
use crate::error::{Result, check};
use crate::exec::image::ImageHold;
use crate::irql::{Irql, assert_at_most};
use crate::mem::try_box;
use crate::process::ProcessId;
use crate::string::UnicodeStr;

type Callback = Box<dyn Fn(&Image<'_>) + Send + Sync>;

static SLOTS: Slots<Callback> = Slots::new();

/// An image that was just mapped.
#[derive(Debug)]
pub struct Image<'a> {
    name: Option<&'a UnicodeStr>,
    process: HANDLE,
    info: *const IMAGE_INFO,
    valid: PhantomData<&'a IMAGE_INFO>,
}

impl Image<'_> {
    /// `SystemModeImage` in the properties: bit 8.
    const SYSTEM_MODE: u32 = 1 << 8;

    fn info(&self) -> &IMAGE_INFO {
        // SAFETY: the kernel's structure, valid and unchanged during the call.
        unsafe { &*self.info }
    }

    /// The path of its file, if it is known.
    #[must_use]
    pub fn name(&self) -> Option<&UnicodeStr> {
        self.name
    }

    /// Where it is mapped: `None` for a driver.
    #[must_use]
    pub fn process(&self) -> Option<ProcessId> {
        (!self.process.is_null()).then(|| ProcessId::from_raw(self.process))
    }

    /// Whether it is a driver.
    #[must_use]
    pub fn is_driver(&self) -> bool {
        // SAFETY: both views of the union are the same bits.
        unsafe { self.info().Anonymous.Properties & Self::SYSTEM_MODE != 0 }
    }

    /// Its first address, in the address space of its process.
    #[must_use]
    pub fn base(&self) -> usize {
        self.info().ImageBase.addr()
    }

    /// Its size in memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.info().ImageSize
    }
}

/// Has a closure called when images are mapped. See the [module](super).
///
/// The closure is called at PASSIVE, in the process of the image, with locks held: it must not
/// load, map or unmap anything.
///
/// WDK: "PsSetLoadImageNotifyRoutine function (ntddk.h)".
///
/// ```no_run
/// use windows_kernel_rs::notify::ImageNotify;
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let watch = ImageNotify::try_new(|image| {
///     windows_kernel_rs::println!("{:#x}, {} bytes", image.base(), image.size());
/// })?;
/// # drop(watch); Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "dropping it unregisters the closure"]
pub struct ImageNotify {
    index: usize,
    // A registration that was forgotten does not outlive the code that it calls.
    _hold: ImageHold,
}

impl ImageNotify {
    /// Registers. IRQL: PASSIVE.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`](crate::Error::INSUFFICIENT_RESOURCES) when this driver has
    /// [`MAX`](super::MAX) of them or Windows has all that it takes.
    #[track_caller]
    pub fn try_new<F>(callback: F) -> Result<Self>
    where
        F: Fn(&Image<'_>) + Send + Sync + 'static,
    {
        assert_at_most(Irql::PASSIVE, "ImageNotify::try_new");
        let hold = ImageHold::try_new()?;
        let index = SLOTS.put(thin::<Callback>(try_box(callback)?)?)?;
        // SAFETY: the routine has the signature that is wanted; its place is filled until it was
        // unregistered.
        match check(unsafe { PsSetLoadImageNotifyRoutine(routine(index)) }) {
            Ok(_) => Ok(ImageNotify { index, _hold: hold }),
            Err(error) => {
                // SAFETY: it was not registered.
                drop(unsafe { SLOTS.take(index) });
                Err(error)
            }
        }
    }
}

impl Drop for ImageNotify {
    /// Unregisters, and waits for calls that run. IRQL: PASSIVE. WDK:
    /// "PsRemoveLoadImageNotifyRoutine function (ntddk.h)".
    fn drop(&mut self) {
        assert_at_most(Irql::PASSIVE, "ImageNotify::drop");
        // SAFETY: the routine is registered. The call waits until it runs nowhere.
        if check(unsafe { PsRemoveLoadImageNotifyRoutine(routine(self.index)) }).is_ok() {
            // SAFETY: see above.
            drop(unsafe { SLOTS.take(self.index) });
        }
    }
}

// Another crate that inlined it would have its own copies, of other addresses, to unregister.
#[inline(never)]
fn routine(index: usize) -> PLOAD_IMAGE_NOTIFY_ROUTINE {
    match index {
        0 => Some(notify::<0>),
        1 => Some(notify::<1>),
        2 => Some(notify::<2>),
        _ => Some(notify::<3>),
    }
}

unsafe extern "system" fn notify<const INDEX: usize>(
    name: *mut UNICODE_STRING,
    process: HANDLE,
    info: *mut IMAGE_INFO,
) {
    // SAFETY: the kernel calls this between registering and unregistering, with null or a string
    // that it keeps meanwhile.
    let (callback, name) = unsafe { (SLOTS.get(INDEX), UnicodeStr::from_raw(name)) };
    if let Some(callback) = callback {
        callback(&Image { name, process, info, valid: PhantomData });
    }
}

const _: () = assert!(super::MAX == 4, "one routine a place");
