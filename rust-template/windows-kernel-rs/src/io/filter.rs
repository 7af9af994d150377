//! Filters: a device that sits above another one and gets its requests first.
//!
//! A [`FilterDevice`] is attached to a device by name. What a [`Filter`] does not look at goes down
//! as it came, opening and closing, Plug and Play and power requests among it. A request that it
//! looks at is its own, as everywhere: it completes it, keeps it, or sends it to the device
//! [`Below`], and may get it back from there.
//!
//! WDK: "Attaching the Filter Device Object to the Target Device Object", "Passing IRPs down the
//! Driver Stack", "Using IRP Completion Routines".

use core::ffi::c_void;
use core::ptr::{self, NonNull};
use core::sync::atomic::AtomicPtr;

use windows_kernel_sys::{
    DEVICE_OBJECT, DO_BUFFERED_IO, DO_DEVICE_INITIALIZING, DO_DIRECT_IO, DO_POWER_PAGABLE,
    DRIVER_OBJECT, FILE_READ_ATTRIBUTES, IRP, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL,
    IRP_MJ_FLUSH_BUFFERS, IRP_MJ_INTERNAL_DEVICE_CONTROL, IRP_MJ_PNP, IRP_MJ_POWER, IRP_MJ_READ,
    IRP_MJ_WRITE, IRP_MN_REMOVE_DEVICE, IoAttachDeviceToDeviceStackSafe, IoCreateDevice,
    IoDeleteDevice, IoGetCurrentIrpStackLocation, IoGetDeviceObjectPointer, IoMarkIrpPending,
    IoSkipCurrentIrpStackLocation, IofCallDriver, NTSTATUS, ObfDereferenceObject, PoCallDriver,
    PoStartNextPowerIrp, STATUS_PENDING,
};

use super::below::{Below, Position};
use super::device::Open;
use super::dispatch::{Extension, clear, finish, install, opened};
use super::queue::File;
use super::request::{Flush, Ioctl, Kind, Read, Request, Write};
use super::user::not_taken;
use crate::error::{Error, Result, check};
use crate::irql::{Irql, assert_at_most};
use crate::mem::arc::Arc;
use crate::module::Driver;
use crate::string::AsUnicode;
use crate::sync::Rundown;

/// What a filter does with the requests of the device below; each goes down as it came unless the
/// function is there.
///
/// Called at IRQL PASSIVE, or <= DISPATCH where another driver sends the request so; from many
/// threads at the same time. Whose handle it is, only the device below knows.
pub trait Filter: Send + Sync + Sized + 'static {
    /// A program opens the device (`IRP_MJ_CREATE`).
    ///
    /// # Errors
    /// The open fails with the error, and the device below does not see it.
    fn create(&self, open: &Open<'_>) -> Result<()> {
        let _ = open;
        Ok(())
    }

    /// `IRP_MJ_READ`.
    fn read(&self, request: Request<Read>, below: &Below) {
        below.forward(request);
    }

    /// `IRP_MJ_WRITE`.
    fn write(&self, request: Request<Write>, below: &Below) {
        below.forward(request);
    }

    /// `IRP_MJ_DEVICE_CONTROL`.
    fn ioctl(&self, request: Request<Ioctl>, below: &Below) {
        below.forward(request);
    }

    /// `IRP_MJ_INTERNAL_DEVICE_CONTROL`.
    fn internal_ioctl(&self, request: Request<Ioctl>, below: &Below) {
        below.forward(request);
    }

    /// `IRP_MJ_FLUSH_BUFFERS`.
    fn flush(&self, request: Request<Flush>, below: &Below) {
        below.forward(request);
    }
}

/// A device of this driver that sits above another driver's. Dropping it waits for the requests
/// that are below and are to come back, and takes it out of the stack.
///
/// ```no_run
/// use windows_kernel_rs::io::{Below, Filter, FilterDevice, Read, Request};
/// use windows_kernel_rs::{Driver, Result, println};
///
/// struct Watch;
///
/// impl Filter for Watch {
///     fn read(&self, request: Request<Read>, below: &Below) {
///         below.forward_then(request, |request, result| {
///             println!("a read came back: {result:?}");
///             request.complete(result);
///         });
///     }
/// }
///
/// fn attach(driver: &Driver) -> Result<FilterDevice> {
///     FilterDevice::attach(driver, r"\Device\Echo", Watch)
/// }
/// ```
pub struct FilterDevice {
    state: Arc<Position>,
    close: unsafe fn(&Extension),
}

/// What the device extension owns.
struct State<T: Filter> {
    filter: T,
    below: Below,
}

impl FilterDevice {
    /// Attaches a filter above all that is attached to the device `target` already.
    ///
    /// IRQL: PASSIVE. WDK: "IoAttachDeviceToDeviceStackSafe function (ntddk.h)".
    ///
    /// # Errors
    /// [`Error::OBJECT_NAME_NOT_FOUND`] when there is no such device, or the error with which it
    /// refuses to be opened, [`Error::INSUFFICIENT_RESOURCES`],
    /// [`Error::NO_SUCH_DEVICE`] when it is going away.
    pub fn attach<T: Filter>(driver: &Driver, target: impl AsUnicode, filter: T) -> Result<Self> {
        assert_at_most(Irql::PASSIVE, "FilterDevice::attach");
        // SAFETY: the driver object is this driver's own.
        unsafe { install(driver) };
        let (mut file, mut top) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the name is valid, both places are this function's.
        let status = target.with_unicode(|name| unsafe {
            IoGetDeviceObjectPointer(
                name.as_raw(),
                FILE_READ_ATTRIBUTES,
                &raw mut file,
                &raw mut top,
            )
        })?;
        check(status)?;
        // SAFETY: the reference that was just given; it keeps `top`.
        let _file = Referenced(unsafe { NonNull::new_unchecked(file) }.cast());
        // SAFETY: the driver object is valid, `top` a device.
        let own = unsafe { create(driver.as_raw(), top) }?;
        let state = Arc::try_new(Position {
            own,
            lower: AtomicPtr::new(ptr::null_mut()),
            users: Rundown::new(),
        });
        let made = state.and_then(|state| {
            let below = Below { state: state.clone() };
            Ok((state, Arc::try_new(State { filter, below })?))
        });
        let (state, inner) = match made {
            Ok(made) => made,
            Err(error) => {
                // SAFETY: made above, and not used by anybody.
                unsafe { IoDeleteDevice(own.as_ptr()) };
                return Err(error);
            }
        };
        // SAFETY: nobody can reach the new device before it is attached; its extension has the
        // size of `Extension`.
        unsafe {
            let extension = (*own.as_ptr()).DeviceExtension.cast::<Extension>();
            extension.write(Extension::with(inner.into_raw(), dispatch::<T>));
        }
        let device = FilterDevice { state, close: close::<T> };
        // SAFETY: both are devices; the place for the lower one is written before a request comes.
        unsafe {
            // On failure `device` is dropped and takes the object with it.
            check(IoAttachDeviceToDeviceStackSafe(own.as_ptr(), top, device.state.lower.as_ptr()))?;
            (*own.as_ptr()).Flags &= !DO_DEVICE_INITIALIZING;
        }
        Ok(device)
    }

    /// The device object, for `windows-kernel-sys`.
    #[must_use]
    pub fn as_raw(&self) -> *mut DEVICE_OBJECT {
        self.state.own.as_ptr()
    }
}

/// A reference to a kernel object, given back when dropped.
struct Referenced(NonNull<c_void>);

impl Drop for Referenced {
    fn drop(&mut self) {
        // SAFETY: the one reference that this stands for.
        unsafe { ObfDereferenceObject(self.0.as_ptr()) };
    }
}

impl Drop for FilterDevice {
    /// IRQL: PASSIVE. WDK: "IoDetachDevice function (wdm.h)".
    fn drop(&mut self) {
        self.state.detach();
        self.state.users.wait();
        // SAFETY: the object is this value's own, with the extension that `attach` wrote; no
        // request comes any more, and none is to come back.
        unsafe {
            let own = self.state.own.as_ptr();
            (self.close)(&*(*own).DeviceExtension.cast::<Extension>());
            IoDeleteDevice(own);
        }
    }
}

/// # Safety
/// The extension was made for `T`.
unsafe fn close<T: Filter>(extension: &Extension) {
    // SAFETY: the caller's promise.
    drop(unsafe { extension.close::<State<T>>() });
}

/// A device without a name, of the kind of `top`.
///
/// # Safety
/// Both are valid.
unsafe fn create(
    driver: *const DRIVER_OBJECT,
    top: *const DEVICE_OBJECT,
) -> Result<NonNull<DEVICE_OBJECT>> {
    let mut object = ptr::null_mut();
    // SAFETY: the caller's promise.
    unsafe {
        check(IoCreateDevice(
            driver,
            size_of::<Extension>() as u32,
            ptr::null(),
            (*top).DeviceType,
            (*top).Characteristics,
            0,
            &raw mut object,
        ))?;
        let object = NonNull::new(object).ok_or(Error::NO_SUCH_DEVICE)?;
        // How the I/O manager passes data is asked of the device on top.
        let same = DO_BUFFERED_IO | DO_DIRECT_IO | DO_POWER_PAGABLE;
        (*object.as_ptr()).Flags |= (*top).Flags & same;
        Ok(object)
    }
}

/// # Safety
/// `extension` was made for `T`; the IRP is the driver's.
unsafe fn dispatch<T: Filter>(extension: &Extension, irp: NonNull<IRP>) -> NTSTATUS {
    let raw = irp.as_ptr();
    // SAFETY: the caller's promise, for all calls below.
    unsafe {
        let Some(state) = extension.operations::<State<T>>() else {
            return finish(raw, Err(Error::DELETE_PENDING));
        };
        let location = &*IoGetCurrentIrpStackLocation(raw);
        let (filter, below) = (&state.filter, &state.below);
        match u32::from(location.MajorFunction) {
            IRP_MJ_CREATE => {
                let name = opened(location.FileObject);
                let open = Open { name, file: File::of(location.FileObject) };
                return match filter.create(&open) {
                    Ok(()) => pass(&below.state, raw),
                    Err(error) => finish(raw, Err(error)),
                };
            }
            IRP_MJ_READ => {
                clear(irp, location);
                filter.read(pending(irp), below);
            }
            IRP_MJ_WRITE => filter.write(pending(irp), below),
            IRP_MJ_DEVICE_CONTROL => {
                clear(irp, location);
                filter.ioctl(pending(irp), below);
            }
            IRP_MJ_INTERNAL_DEVICE_CONTROL => {
                clear(irp, location);
                filter.internal_ioctl(pending(irp), below);
            }
            IRP_MJ_FLUSH_BUFFERS => filter.flush(pending(irp), below),
            IRP_MJ_PNP if u32::from(location.MinorFunction) == IRP_MN_REMOVE_DEVICE => {
                let status = pass(&below.state, raw);
                below.state.detach();
                return status;
            }
            _ => return pass(&below.state, raw),
        }
    }
    STATUS_PENDING
}

/// # Safety
/// The IRP is the driver's, of kind `K`, and given up by the caller.
unsafe fn pending<K: Kind>(irp: NonNull<IRP>) -> Request<K> {
    // SAFETY: the caller's promise.
    unsafe {
        IoMarkIrpPending(irp.as_ptr());
        not_taken(irp.as_ptr());
        Request::from_irp(irp)
    }
}

/// Hands an IRP to the device below as it is; what the dispatch routine returns.
///
/// # Safety
/// The IRP is the driver's, and given up by the caller.
unsafe fn pass(state: &Position, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: the caller's promise; the location below is not needed, since this one is skipped.
    unsafe {
        let power = u32::from((*IoGetCurrentIrpStackLocation(irp)).MajorFunction) == IRP_MJ_POWER;
        if power {
            PoStartNextPowerIrp(irp);
        }
        match state.enter() {
            Ok((lower, _guard)) => {
                IoSkipCurrentIrpStackLocation(irp);
                if power { PoCallDriver(lower, irp) } else { IofCallDriver(lower, irp) }
            }
            Err(error) => finish(irp, Err(error)),
        }
    }
}
