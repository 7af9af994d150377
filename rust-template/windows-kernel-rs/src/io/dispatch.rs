//! From the I/O manager's dispatch routines to [`Operations`].
//!
//! Each request but for opening and closing is marked pending before the driver's code gets it:
//! from then on anybody may complete it at any time, and the dispatch routine returns
//! STATUS_PENDING whatever happened meanwhile ("Handling IRPs" in the WDK).

use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};

use windows_kernel_sys::{
    DEVICE_OBJECT, FILE_OBJECT, IO_STACK_LOCATION, IRP, IRP_MJ_CLEANUP, IRP_MJ_CLOSE,
    IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, IRP_MJ_FLUSH_BUFFERS, IRP_MJ_INTERNAL_DEVICE_CONTROL,
    IRP_MJ_PNP, IRP_MJ_POWER, IRP_MJ_READ, IRP_MJ_SHUTDOWN, IRP_MJ_WRITE,
    IoGetCurrentIrpStackLocation, IoMarkIrpPending, KSPIN_LOCK, KeAcquireSpinLockRaiseToDpc,
    KeReleaseSpinLock, METHOD_BUFFERED, METHOD_FROM_CTL_CODE, NTSTATUS, PoStartNextPowerIrp,
    STATUS_PENDING, STATUS_SUCCESS,
};

use super::device::{Open, Operations};
use super::queue::File;
use super::request::{Kind, Request, complete_irp};
use super::user::not_taken;
use crate::error::{Error, Result};
use crate::mem::arc::Arc;
use crate::module::Driver;

/// Tells an extension of the framework from that of a device made by hand.
const MAGIC: u64 = u64::from_le_bytes(*b"krnllab\x01");

pub(crate) type Dispatch = unsafe fn(&Extension, NonNull<IRP>) -> NTSTATUS;

/// What is in the device extension.
#[repr(C)]
pub(crate) struct Extension {
    magic: u64,
    dispatch: Dispatch,
    lock: UnsafeCell<KSPIN_LOCK>,
    /// An owner of the `T`, as `Arc::into_raw` gives it; null when the device is gone.
    operations: UnsafeCell<*const ()>,
}

impl Extension {
    pub(crate) fn new<T: Operations>(operations: Arc<T>) -> Self {
        Extension::with(operations.into_raw(), dispatch::<T>)
    }

    /// `operations` is an owner as `Arc::into_raw` gives it, of what `dispatch` expects.
    pub(crate) fn with(operations: *const (), dispatch: Dispatch) -> Self {
        Extension {
            magic: MAGIC,
            dispatch,
            lock: UnsafeCell::new(0),
            operations: UnsafeCell::new(operations),
        }
    }

    fn locked<R>(&self, f: impl FnOnce(&mut *const ()) -> R) -> R {
        // SAFETY: the lock is initialized and not held by this processor: `f` is short and local.
        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        // SAFETY: the lock is held.
        let result = f(unsafe { &mut *self.operations.get() });
        // SAFETY: as above.
        unsafe { KeReleaseSpinLock(self.lock.get(), irql) };
        result
    }

    /// No further open finds the operations; the extension's own share in them.
    ///
    /// # Safety
    /// The extension was made for `T`.
    pub(crate) unsafe fn close<T>(&self) -> Option<Arc<T>> {
        let raw = self.locked(|raw| core::mem::replace(raw, ptr::null()));
        // SAFETY: from `into_raw` of an `Arc<T>`, and taken out once.
        (!raw.is_null()).then(|| unsafe { Arc::from_raw(raw) })
    }

    /// # Safety
    /// The extension was made for `T`.
    pub(crate) unsafe fn operations<T>(&self) -> Option<Arc<T>> {
        self.locked(|raw| {
            // SAFETY: from `into_raw` of an `Arc<T>`, and not taken back while it is here.
            (!raw.is_null()).then(|| unsafe { Arc::clone_raw(*raw) })
        })
    }
}

/// What a file object's FsContext owns.
struct FileContext<T: Operations> {
    operations: Arc<T>,
    handle: T::Handle,
}

/// Makes every slot of the driver's dispatch table ours.
///
/// # Safety
/// `driver` is this driver's own object.
pub(crate) unsafe fn install(driver: &Driver) {
    let object = driver.as_raw().cast_mut();
    // SAFETY: the caller's promise. Windows reads the table when a request comes, which happens
    // after a device was made.
    unsafe {
        (*object).MajorFunction = [Some(dispatch_any); 28];
    }
}

unsafe extern "system" fn dispatch_any(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: the I/O manager passes a device of this driver, whose extension is null or large
    // enough for what made it, and an IRP that is the driver's now.
    unsafe {
        let extension = (*device).DeviceExtension.cast::<Extension>();
        let ours = !extension.is_null()
            && usize::from((*device).Size) >= size_of::<DEVICE_OBJECT>() + size_of::<Extension>()
            && (*extension).magic == MAGIC;
        match NonNull::new(irp) {
            Some(irp) if ours => ((*extension).dispatch)(&*extension, irp),
            _ => finish(irp, Err(Error::INVALID_DEVICE_REQUEST)),
        }
    }
}

/// Completes at once, and is what the dispatch routine returns.
///
/// # Safety
/// The IRP is the caller's, who gives it up.
pub(crate) unsafe fn finish(irp: *mut IRP, result: Result<()>) -> NTSTATUS {
    let status = result.map_or_else(Error::to_kernel_errno, |()| STATUS_SUCCESS);
    // SAFETY: the caller's promise.
    unsafe { complete_irp(irp, status, 0) };
    status
}

/// # Safety
/// `extension` was made for `T`; the IRP is the driver's.
unsafe fn dispatch<T: Operations>(extension: &Extension, irp: NonNull<IRP>) -> NTSTATUS {
    let raw = irp.as_ptr();
    // SAFETY: the caller's promise; the location is this driver's and stays while it has the IRP.
    let location = unsafe { &*IoGetCurrentIrpStackLocation(raw) };
    // SAFETY: the caller's promise, for all calls below.
    unsafe {
        match u32::from(location.MajorFunction) {
            IRP_MJ_CREATE => finish(raw, create::<T>(extension, location.FileObject)),
            IRP_MJ_CLOSE => {
                close::<T>(location.FileObject);
                finish(raw, Ok(()))
            }
            IRP_MJ_CLEANUP => {
                if let Some(context) = context::<T>(location.FileObject) {
                    context.operations.cleanup(&context.handle, File::of(location.FileObject));
                }
                finish(raw, Ok(()))
            }
            IRP_MJ_READ => {
                clear(irp, location);
                request::<T, _>(irp, location, |context, request| {
                    context.operations.read(&context.handle, request);
                })
            }
            IRP_MJ_WRITE => request::<T, _>(irp, location, |context, request| {
                context.operations.write(&context.handle, request);
            }),
            major @ (IRP_MJ_DEVICE_CONTROL | IRP_MJ_INTERNAL_DEVICE_CONTROL) => {
                clear(irp, location);
                request::<T, _>(irp, location, |context, request| {
                    if major == IRP_MJ_DEVICE_CONTROL {
                        context.operations.ioctl(&context.handle, request);
                    } else {
                        context.operations.internal_ioctl(&context.handle, request);
                    }
                })
            }
            IRP_MJ_FLUSH_BUFFERS => request::<T, _>(irp, location, |context, request| {
                context.operations.flush(&context.handle, request);
            }),
            IRP_MJ_SHUTDOWN => {
                if let Some(operations) = extension.operations::<T>() {
                    operations.shutdown();
                }
                finish(raw, Ok(()))
            }
            IRP_MJ_POWER => {
                PoStartNextPowerIrp(raw);
                unchanged(raw)
            }
            IRP_MJ_PNP => unchanged(raw),
            _ => finish(raw, Err(Error::INVALID_DEVICE_REQUEST)),
        }
    }
}

/// Completes with the status that is there, as a driver does with PnP and power requests that it
/// does not handle ("Rules for Handling IRPs for a Bus Driver").
///
/// # Safety
/// The IRP is the caller's, who gives it up.
unsafe fn unchanged(irp: *mut IRP) -> NTSTATUS {
    // SAFETY: the caller's promise.
    unsafe {
        let status = (*irp).IoStatus.Anonymous.Status;
        complete_irp(irp, status, (*irp).IoStatus.Information);
        status
    }
}

/// Clears what a read or a buffered control request has room for.
///
/// # Safety
/// The IRP is the driver's and such a request, `location` its current location.
pub(crate) unsafe fn clear(irp: NonNull<IRP>, location: &IO_STACK_LOCATION) {
    // SAFETY: the caller's promise.
    unsafe {
        if u32::from(location.MajorFunction) == IRP_MJ_READ {
            return clear_output(irp, 0, location.Parameters.Read.Length as usize);
        }
        let parameters = &location.Parameters.DeviceIoControl;
        if METHOD_FROM_CTL_CODE(parameters.IoControlCode) == METHOD_BUFFERED {
            let input = parameters.InputBufferLength as usize;
            clear_output(irp, input, parameters.OutputBufferLength as usize);
        }
    }
}

/// What the caller will get back and nobody may have written is zero, rather than whatever was
/// in the kernel's memory before.
///
/// # Safety
/// The IRP is the driver's, its system buffer null or `output` bytes long at least.
unsafe fn clear_output(irp: NonNull<IRP>, input: usize, output: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let irp = irp.as_ptr();
        let buffer = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        if (*irp).MdlAddress.is_null() && !buffer.is_null() && input < output {
            buffer.add(input).write_bytes(0, output - input);
        }
    }
}

/// # Safety
/// `extension` was made for `T`; `file` is the file object of a create request.
unsafe fn create<T: Operations>(extension: &Extension, file: *mut FILE_OBJECT) -> Result<()> {
    // SAFETY: the caller's promise.
    let operations = unsafe { extension.operations::<T>() }.ok_or(Error::DELETE_PENDING)?;
    if file.is_null() {
        return Err(Error::INVALID_DEVICE_REQUEST);
    }
    // SAFETY: as above.
    let name = unsafe { opened(file) };
    let handle = operations.create(&Open { name, file: File::of(file) })?;
    let context = Arc::try_new(FileContext { operations, handle })?;
    // SAFETY: FsContext is the driver's own.
    unsafe { (*file).FsContext = context.into_raw().cast_mut().cast() };
    Ok(())
}

/// What stands behind the device's name in the path that is being opened.
///
/// # Safety
/// `file` is null or the file object of a create request; the answer is used during it only.
pub(crate) unsafe fn opened<'a>(file: *mut FILE_OBJECT) -> &'a [u16] {
    // SAFETY: the name lives as long as the file object, and is not changed during the request.
    unsafe {
        match file.as_ref() {
            Some(file) if !file.FileName.Buffer.is_null() => core::slice::from_raw_parts(
                file.FileName.Buffer,
                usize::from(file.FileName.Length) / 2,
            ),
            _ => &[],
        }
    }
}

/// Another owner of what a file object's FsContext owns.
///
/// # Safety
/// `file` is null or a file object on a device of `T`, and is not closed yet.
unsafe fn context<T: Operations>(file: *mut FILE_OBJECT) -> Option<Arc<FileContext<T>>> {
    // SAFETY: the caller's promise.
    let raw = unsafe { file.as_ref() }?.FsContext;
    // SAFETY: `create` put it there, `close` takes it back.
    (!raw.is_null()).then(|| unsafe { Arc::clone_raw(raw.cast_const().cast()) })
}

/// # Safety
/// `file` is null or a file object on a device of `T` that is being closed.
unsafe fn close<T: Operations>(file: *mut FILE_OBJECT) {
    // SAFETY: the caller's promise.
    let Some(file) = (unsafe { file.as_mut() }) else { return };
    let raw = core::mem::replace(&mut file.FsContext, ptr::null_mut());
    if !raw.is_null() {
        // SAFETY: `create` put it there, and it is taken back once.
        let context = unsafe { Arc::<FileContext<T>>::from_raw(raw.cast_const().cast()) };
        context.operations.close(&context.handle);
    }
}

/// Marks a request pending and gives it to the driver's code.
///
/// The file's context is owned meanwhile: the request may be completed early, and the handle be
/// closed by another thread while this one is still busy.
///
/// # Safety
/// The IRP is the driver's and of kind `K`, `location` its current location.
unsafe fn request<T: Operations, K: Kind>(
    irp: NonNull<IRP>,
    location: &IO_STACK_LOCATION,
    handle: impl FnOnce(&FileContext<T>, Request<K>),
) -> NTSTATUS {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(context) = context::<T>(location.FileObject) else {
            return finish(irp.as_ptr(), Err(Error::INVALID_DEVICE_REQUEST));
        };
        IoMarkIrpPending(irp.as_ptr());
        not_taken(irp.as_ptr());
        handle(&context, Request::from_irp(irp));
    }
    STATUS_PENDING
}
