//! [`Device`]: a named device that programs open, and [`Operations`], what it does.

use core::ops::Deref;
use core::ptr::{self, NonNull};

use windows_kernel_sys::{
    DEVICE_OBJECT, DO_BUFFERED_IO, DO_DEVICE_INITIALIZING, DO_DIRECT_IO, FILE_DEVICE_SECURE_OPEN,
    FILE_DEVICE_UNKNOWN, IoCreateDevice, IoCreateSymbolicLink, IoDeleteDevice,
    IoDeleteSymbolicLink,
};

use super::dispatch::{Extension, install};
use super::queue::File;
use super::request::{Flush, Ioctl, Read, Request, Write};
use super::security;
use crate::error::{Error, Result, check};
use crate::mem::arc::Arc;
use crate::module::Driver;
use crate::string::UnicodeString;

/// How reads and writes get at the caller's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// The I/O manager copies it to and from a buffer of its own: best for little data.
    Buffered,
    /// The caller's pages are locked and mapped: best for much data.
    Direct,
    /// The caller's pointer is passed on as it is; see [`mem::user`](crate::mem::user).
    Neither,
}

/// A program opens the device: what [`Operations::create`] gets.
pub struct Open<'a> {
    pub(crate) name: &'a [u16],
    pub(crate) file: File,
}

impl Open<'_> {
    /// What stands behind the device's name in the path that was opened, `\log` in
    /// `\\.\Echo\log`; often empty.
    pub fn name(&self) -> impl Iterator<Item = char> + '_ {
        char::decode_utf16(self.name.iter().copied())
            .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// The open handle, as [`Request::file`] has it.
    #[must_use]
    pub fn file(&self) -> File {
        self.file
    }
}

/// What a device does.
///
/// The functions take shared references: requests come from many threads at the same time, and a
/// device that keeps something to change guards it by a lock of its own. All are called at
/// IRQL PASSIVE. What a device does not implement is answered with
/// [`Error::INVALID_DEVICE_REQUEST`], as Windows does.
///
/// WDK: "Writing Dispatch Routines".
pub trait Operations: Send + Sync + Sized + 'static {
    /// What is kept for each open handle; `()` for nothing.
    type Handle: Send + Sync + 'static;

    /// How reads and writes get at the caller's data.
    const TRANSFER: Transfer = Transfer::Buffered;

    /// A program opens the device (`IRP_MJ_CREATE`).
    ///
    /// # Errors
    /// The open fails with the error.
    fn create(&self, open: &Open<'_>) -> Result<Self::Handle>;

    /// `IRP_MJ_READ`.
    fn read(&self, handle: &Self::Handle, request: Request<Read>) {
        let _ = handle;
        request.complete(Err(Error::INVALID_DEVICE_REQUEST));
    }

    /// `IRP_MJ_WRITE`.
    fn write(&self, handle: &Self::Handle, request: Request<Write>) {
        let _ = handle;
        request.complete(Err(Error::INVALID_DEVICE_REQUEST));
    }

    /// `IRP_MJ_DEVICE_CONTROL`: see [`Request::route`].
    fn ioctl(&self, handle: &Self::Handle, request: Request<Ioctl>) {
        let _ = handle;
        request.complete(Err(Error::INVALID_DEVICE_REQUEST));
    }

    /// `IRP_MJ_INTERNAL_DEVICE_CONTROL`, which only other drivers send.
    fn internal_ioctl(&self, handle: &Self::Handle, request: Request<Ioctl>) {
        let _ = handle;
        request.complete(Err(Error::INVALID_DEVICE_REQUEST));
    }

    /// `IRP_MJ_FLUSH_BUFFERS`.
    fn flush(&self, handle: &Self::Handle, request: Request<Flush>) {
        let _ = handle;
        request.complete(Err(Error::INVALID_DEVICE_REQUEST));
    }

    /// The program closed its last handle (`IRP_MJ_CLEANUP`): requests of this `file` that wait
    /// somewhere have to be completed now, [`Queue::cancel`](super::Queue::cancel) does it.
    fn cleanup(&self, handle: &Self::Handle, file: File) {
        let _ = (handle, file);
    }

    /// Nothing of the handle is left (`IRP_MJ_CLOSE`); its state is dropped next.
    fn close(&self, handle: &Self::Handle) {
        let _ = handle;
    }

    /// The system shuts down (`IRP_MJ_SHUTDOWN`).
    fn shutdown(&self) {}
}

/// How a device is made; see [`Device::try_new`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceOptions<'a> {
    /// Its name in the `\Device` folder; one without a name can only be reached by attaching.
    pub name: Option<&'a str>,
    /// The name that programs open, `Echo` for `\\.\Echo`.
    pub link: Option<&'a str>,
    /// Whether only one handle may be open at a time.
    pub exclusive: bool,
    /// `FILE_DEVICE_…`; 0 for `FILE_DEVICE_UNKNOWN`.
    pub kind: u32,
    /// Who may open it.
    pub access: Openers,
}

/// Who may open a device by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Openers {
    /// Whoever the system lets open a device of its kind: of most kinds, everybody.
    #[default]
    Default,
    /// Administrators and the system itself: `D:P(A;;GA;;;SY)(A;;GA;;;BA)` in the language of
    /// security descriptors. For a device that can do harm.
    Administrators,
}

/// A device of this driver. Dropping it takes its names away and deletes it; `T` is dropped when
/// the last handle is closed.
///
/// WDK: "Introduction to Device Objects", "IoCreateDevice function (wdm.h)".
///
/// ```no_run
/// use windows_kernel_rs::io::{Device, DeviceOptions, Open, Operations, Read, Request};
/// use windows_kernel_rs::{Driver, Result};
///
/// struct Greeter;
///
/// impl Operations for Greeter {
///     type Handle = ();
///     fn create(&self, _: &Open<'_>) -> Result<()> { Ok(()) }
///     fn read(&self, _: &(), request: Request<Read>) { request.complete_with(b"hello") }
/// }
///
/// fn make(driver: &Driver) -> Result<Device<Greeter>> {
///     Device::try_new(driver, &DeviceOptions::named("Greeter"), Greeter)
/// }
/// ```
pub struct Device<T: Operations> {
    object: NonNull<DEVICE_OBJECT>,
    inner: Arc<T>,
    link: Option<UnicodeString>,
}

// SAFETY: the object is used through kernel routines, which may be called from any thread.
unsafe impl<T: Operations> Send for Device<T> {}
// SAFETY: as for `Send`; `T` is `Sync`.
unsafe impl<T: Operations> Sync for Device<T> {}

impl<'a> DeviceOptions<'a> {
    /// A device `\Device\NAME` that programs open as `\\.\NAME`.
    #[must_use]
    pub const fn named(name: &'a str) -> Self {
        DeviceOptions {
            name: Some(name),
            link: Some(name),
            exclusive: false,
            kind: 0,
            access: Openers::Default,
        }
    }

    /// The same, for administrators only.
    #[must_use]
    pub const fn administrators(mut self) -> Self {
        self.access = Openers::Administrators;
        self
    }

    /// The same, open for one handle at a time.
    #[must_use]
    pub const fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }
}

impl<T: Operations> Device<T> {
    /// Makes a device; programs can open it when this returns.
    ///
    /// IRQL: PASSIVE. WDK: "IoCreateDevice function (wdm.h)", "IoCreateSymbolicLink function
    /// (wdm.h)".
    ///
    /// # Errors
    /// [`Error::OBJECT_NAME_COLLISION`] when a name is taken, [`Error::OBJECT_NAME_INVALID`] when
    /// one is empty or holds a backslash or NUL, [`Error::INSUFFICIENT_RESOURCES`].
    pub fn try_new(driver: &Driver, options: &DeviceOptions<'_>, operations: T) -> Result<Self> {
        let name = options.name.map(|name| path("\\Device\\", name)).transpose()?;
        let link = options.link.map(|link| path("\\??\\", link)).transpose()?;
        if link.is_some() && name.is_none() {
            return Err(Error::OBJECT_NAME_INVALID);
        }
        let inner = Arc::try_new(operations)?;
        // SAFETY: the driver object is this driver's own.
        unsafe { install(driver) };
        let object = create(driver, options, name.as_ref())?;
        // SAFETY: nobody can reach the new device before DO_DEVICE_INITIALIZING is cleared; its
        // extension has the size of `Extension`.
        unsafe {
            let device = object.as_ptr();
            if (*device).Size == 0 {
                // Wine 8 leaves it empty; Windows never does.
                (*device).Size = (size_of::<DEVICE_OBJECT>() + size_of::<Extension>()) as u16;
            }
            (*device).Flags |= match T::TRANSFER {
                Transfer::Buffered => DO_BUFFERED_IO,
                Transfer::Direct => DO_DIRECT_IO,
                Transfer::Neither => 0,
            };
            (*device).DeviceExtension.cast::<Extension>().write(Extension::new(inner.clone()));
        }
        let mut device = Device { object, inner, link: None };
        if options.access == Openers::Administrators {
            // Nobody can open the device yet.
            // SAFETY: the device was made above.
            unsafe { security::administrators(object) }?;
        }
        if let (Some(name), Some(link)) = (&name, link) {
            // SAFETY: both are valid strings.
            let status = name
                .with_raw(|name| link.with_raw(|link| unsafe { IoCreateSymbolicLink(link, name) }));
            // On failure, `device` is dropped and takes the object with it.
            check(status)?;
            device.link = Some(link);
        }
        // SAFETY: the flag is the driver's to clear, when the device is ready.
        unsafe { (*object.as_ptr()).Flags &= !DO_DEVICE_INITIALIZING };
        Ok(device)
    }

    /// The device object, for `windows-kernel-sys`.
    #[must_use]
    pub fn as_raw(&self) -> *mut DEVICE_OBJECT {
        self.object.as_ptr()
    }
}

impl<T: Operations> Deref for Device<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: Operations> Drop for Device<T> {
    /// IRQL: PASSIVE. WDK: "IoDeleteDevice function (wdm.h)".
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // SAFETY: a valid string.
            link.with_raw(|link| unsafe { IoDeleteSymbolicLink(link) });
        }
        // SAFETY: the object is this value's own; its extension was written by `try_new`. No
        // open finds `T` after `close`, and the handles that are open own it as well.
        unsafe {
            let extension = (*self.object.as_ptr()).DeviceExtension.cast::<Extension>();
            drop((*extension).close::<T>());
            IoDeleteDevice(self.object.as_ptr());
        }
    }
}

fn path(folder: &str, name: &str) -> Result<UnicodeString> {
    if name.is_empty() || name.contains(['\\', '\0']) {
        return Err(Error::OBJECT_NAME_INVALID);
    }
    UnicodeString::try_new(&[folder, name])
}

fn create(
    driver: &Driver,
    options: &DeviceOptions<'_>,
    name: Option<&UnicodeString>,
) -> Result<NonNull<DEVICE_OBJECT>> {
    let mut object = ptr::null_mut();
    let kind = if options.kind == 0 { FILE_DEVICE_UNKNOWN } else { options.kind };
    let mut make = |name| {
        // SAFETY: the driver object is valid, the name null or valid; the extension's size is
        // that of `Extension`.
        unsafe {
            IoCreateDevice(
                driver.as_raw(),
                size_of::<Extension>() as u32,
                name,
                kind,
                FILE_DEVICE_SECURE_OPEN,
                options.exclusive.into(),
                &raw mut object,
            )
        }
    };
    let status = match name {
        Some(name) => name.with_raw(make),
        None => make(ptr::null()),
    };
    check(status)?;
    NonNull::new(object).ok_or(Error::NO_SUCH_DEVICE)
}
