//! [`Request`]: an IRP as a value that is completed exactly once.

use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use windows_kernel_sys::{
    IO_STACK_LOCATION, IRP, IoCompleteRequest, IoGetCurrentIrpStackLocation, MDL, METHOD_BUFFERED,
    METHOD_FROM_CTL_CODE, METHOD_IN_DIRECT, METHOD_OUT_DIRECT, MdlMappingNoExecute,
    MmGetMdlByteCount, MmGetSystemAddressForMdlSafe, NTSTATUS, NormalPagePriority, STATUS_SUCCESS,
};

use super::buffer::{Input, Output};
use super::queue::File;
use crate::error::{Error, Result};

/// `IRP_MJ_READ`: the caller wants data.
pub struct Read(());
/// `IRP_MJ_WRITE`: the caller sends data.
pub struct Write(());
/// `IRP_MJ_DEVICE_CONTROL`: a control code, with data both ways.
pub struct Ioctl(());
/// `IRP_MJ_FLUSH_BUFFERS`.
pub struct Flush(());

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Read {}
    impl Sealed for super::Write {}
    impl Sealed for super::Ioctl {}
    impl Sealed for super::Flush {}
}

/// What a request asks for; one of [`Read`], [`Write`], [`Ioctl`], [`Flush`].
pub trait Kind: sealed::Sealed + 'static {}
impl<K: sealed::Sealed + 'static> Kind for K {}

/// A request that this driver owns, until it completes it.
///
/// It may be kept and completed later, on any thread and at IRQL <= DISPATCH: the caller waits
/// (the framework has marked it pending). What is to wait belongs in a [`Queue`](super::Queue),
/// from where it can be cancelled. A request that is dropped is completed with
/// [`Error::REQUEST_ABORTED`], so that the caller never hangs.
///
/// WDK: "Handling IRPs", "IofCompleteRequest function (wdm.h)".
#[must_use = "a request that is dropped fails with STATUS_REQUEST_ABORTED"]
pub struct Request<K: Kind> {
    irp: NonNull<IRP>,
    kind: PhantomData<K>,
}

// SAFETY: an IRP may be used by any thread; the value is its only owner.
unsafe impl<K: Kind> Send for Request<K> {}
// SAFETY: with a shared reference only what the I/O manager wrote before is read.
unsafe impl<K: Kind> Sync for Request<K> {}

impl<K: Kind> Request<K> {
    /// # Safety
    /// `irp` is of kind `K`, at this driver's stack location, marked pending, and owned by the
    /// caller, who gives it up.
    pub(crate) unsafe fn from_irp(irp: NonNull<IRP>) -> Self {
        Request { irp, kind: PhantomData }
    }

    /// Gives the IRP up, not completed.
    pub(crate) fn into_irp(self) -> NonNull<IRP> {
        ManuallyDrop::new(self).irp
    }

    pub(super) fn as_irp(&self) -> *mut IRP {
        self.irp.as_ptr()
    }

    /// Whether the I/O manager has made a buffer or an MDL of the caller's data.
    pub(super) fn is_mapped(&self) -> bool {
        !self.mdl().is_null() || !self.system_buffer().is_null()
    }

    pub(super) fn location(&self) -> &IO_STACK_LOCATION {
        // SAFETY: an owned IRP's current location is this driver's, and nobody changes it.
        unsafe { &*IoGetCurrentIrpStackLocation(self.irp.as_ptr()) }
    }

    /// Which open handle it came through; see [`Queue::cancel`](super::Queue::cancel).
    #[must_use]
    pub fn file(&self) -> File {
        File::of(self.location().FileObject)
    }

    /// Completes it with `size` bytes done, or with an error.
    ///
    /// More bytes than the caller's buffer has are said to be as many as it has. IRQL <= DISPATCH.
    /// WDK: "IofCompleteRequest function (wdm.h)".
    pub fn complete(self, result: Result<usize>) {
        let capacity = self.capacity();
        match result {
            Ok(size) => self.finish(STATUS_SUCCESS, size.min(capacity)),
            Err(error) => self.finish(error.to_kernel_errno(), 0),
        }
    }

    /// Completes it with what `f` answers, which looks at it first. IRQL <= DISPATCH.
    ///
    /// ```no_run
    /// # use windows_kernel_rs::io::{Request, Write};
    /// fn write(request: Request<Write>) {
    ///     request.complete_by(|request| {
    ///         let data = request.input()?.to_vec()?;
    ///         Ok(data.len())
    ///     });
    /// }
    /// ```
    pub fn complete_by(mut self, f: impl FnOnce(&mut Self) -> Result<usize>) {
        let result = f(&mut self);
        self.complete(result);
    }

    /// Completes it with the warning `STATUS_BUFFER_OVERFLOW`: `size` bytes are there, and there
    /// would be more. IRQL <= DISPATCH.
    pub fn complete_partly(self, size: usize) {
        let capacity = self.capacity();
        self.finish(Error::BUFFER_OVERFLOW.to_kernel_errno(), size.min(capacity));
    }

    fn finish(self, status: NTSTATUS, information: usize) {
        let irp = self.into_irp().as_ptr();
        // SAFETY: the IRP was owned, and is not used after its completion.
        unsafe { complete_irp(irp, status, information) };
    }

    /// The most that Information may say.
    fn capacity(&self) -> usize {
        let location = self.location();
        // SAFETY: which parameters there are follows from the major function.
        unsafe {
            match u32::from(location.MajorFunction) {
                windows_kernel_sys::IRP_MJ_READ => location.Parameters.Read.Length as usize,
                windows_kernel_sys::IRP_MJ_WRITE => location.Parameters.Write.Length as usize,
                windows_kernel_sys::IRP_MJ_DEVICE_CONTROL
                | windows_kernel_sys::IRP_MJ_INTERNAL_DEVICE_CONTROL => {
                    location.Parameters.DeviceIoControl.OutputBufferLength as usize
                }
                _ => 0,
            }
        }
    }

    fn system_buffer(&self) -> *mut u8 {
        // SAFETY: of the kinds here the union holds the system buffer, null where there is none.
        unsafe { (*self.irp.as_ptr()).AssociatedIrp.SystemBuffer }.cast()
    }

    fn mdl(&self) -> *mut MDL {
        // SAFETY: the IRP is owned.
        unsafe { (*self.irp.as_ptr()).MdlAddress }
    }

    /// Start and length of a transfer of `len` bytes: the locked pages of the caller where the
    /// I/O manager has made an MDL, else the system buffer.
    pub(super) fn span(&self, len: usize) -> Result<(*mut u8, usize)> {
        let mdl = self.mdl();
        if mdl.is_null() {
            let buffer = self.system_buffer();
            return if buffer.is_null() { Ok((buffer, 0)) } else { Ok((buffer, len)) };
        }
        mapped(mdl)
    }
}

impl Request<Read> {
    /// How many bytes the caller wants at most.
    #[must_use]
    pub fn len(&self) -> usize {
        self.capacity()
    }

    /// Whether it wants none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where in the device the caller wants to read.
    #[must_use]
    pub fn offset(&self) -> i64 {
        // SAFETY: the parameters of a read.
        unsafe { self.location().Parameters.Read.ByteOffset }
    }

    /// The caller's buffer.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when the caller's pages cannot be mapped.
    pub fn output(&mut self) -> Result<Output<'_>> {
        let (start, len) = self.span(self.len())?;
        // SAFETY: the buffer belongs to the owned IRP, whose borrow keeps it.
        Ok(unsafe { Output::new(start, len) })
    }

    /// Writes as much of `data` as there is room for, and completes with that.
    pub fn complete_with(mut self, data: &[u8]) {
        let size = data.len().min(self.len());
        let written = self.output().and_then(|mut to| to.write_at(0, &data[..size]));
        self.complete(written.map(|()| size));
    }
}

impl Request<Write> {
    /// How many bytes the caller sends.
    #[must_use]
    pub fn len(&self) -> usize {
        self.capacity()
    }

    /// Whether it sends none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where in the device the caller wants to write.
    #[must_use]
    pub fn offset(&self) -> i64 {
        // SAFETY: the parameters of a write.
        unsafe { self.location().Parameters.Write.ByteOffset }
    }

    /// What the caller sends.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when the caller's pages cannot be mapped.
    pub fn input(&self) -> Result<Input<'_>> {
        let (start, len) = self.span(self.len())?;
        // SAFETY: the buffer belongs to the owned IRP, whose borrow keeps it.
        Ok(unsafe { Input::new(start, len) })
    }
}

impl Request<Ioctl> {
    /// The control code.
    #[must_use]
    pub fn code(&self) -> u32 {
        // SAFETY: the parameters of a device control.
        unsafe { self.location().Parameters.DeviceIoControl.IoControlCode }
    }

    /// How many bytes of input there are.
    #[must_use]
    pub fn input_len(&self) -> usize {
        // SAFETY: the parameters of a device control.
        unsafe { self.location().Parameters.DeviceIoControl.InputBufferLength as usize }
    }

    /// How many bytes of output the caller has room for.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.capacity()
    }

    /// The input: the system buffer, in which the output will be written with METHOD_BUFFERED.
    ///
    /// # Errors
    /// [`Error::INVALID_DEVICE_REQUEST`] for METHOD_NEITHER, whose pointers nobody has checked.
    pub fn input(&self) -> Result<Input<'_>> {
        self.checked_method()?;
        let buffer = self.system_buffer();
        let len = if buffer.is_null() { 0 } else { self.input_len() };
        // SAFETY: the buffer belongs to the owned IRP, whose borrow keeps it.
        Ok(unsafe { Input::new(buffer, len) })
    }

    /// The output: with METHOD_BUFFERED it is where the input was, with the direct methods the
    /// caller's own pages.
    ///
    /// # Errors
    /// [`Error::INVALID_DEVICE_REQUEST`] for METHOD_NEITHER, and for METHOD_IN_DIRECT, whose second
    /// buffer may be read only; [`Error::INSUFFICIENT_RESOURCES`] when pages cannot be mapped.
    pub fn output(&mut self) -> Result<Output<'_>> {
        let (start, len) = match self.checked_method()? {
            METHOD_IN_DIRECT => return Err(Error::INVALID_DEVICE_REQUEST),
            METHOD_BUFFERED => {
                let buffer = self.system_buffer();
                (buffer, if buffer.is_null() { 0 } else { self.output_len() })
            }
            _ => self.direct()?,
        };
        // SAFETY: the buffer belongs to the owned IRP, whose borrow keeps it.
        Ok(unsafe { Output::new(start, len) })
    }

    /// The second buffer of METHOD_IN_DIRECT and METHOD_OUT_DIRECT, to read from.
    ///
    /// # Errors
    /// [`Error::INVALID_DEVICE_REQUEST`] for other methods; [`Error::INSUFFICIENT_RESOURCES`] when
    /// the caller's pages cannot be mapped.
    pub fn direct_input(&self) -> Result<Input<'_>> {
        match self.checked_method()? {
            METHOD_IN_DIRECT | METHOD_OUT_DIRECT => {
                let (start, len) = self.direct()?;
                // SAFETY: the pages are locked as long as the owned IRP lives.
                Ok(unsafe { Input::new(start, len) })
            }
            _ => Err(Error::INVALID_DEVICE_REQUEST),
        }
    }

    /// Writes `data` to the output and completes with its length; with
    /// [`Error::BUFFER_TOO_SMALL`] when there is no room for it.
    pub fn complete_with(mut self, data: &[u8]) {
        let written = if data.is_empty() {
            Ok(())
        } else {
            self.output().and_then(|mut to| to.write_at(0, data))
        };
        self.complete(written.map(|()| data.len()));
    }

    fn direct(&self) -> Result<(*mut u8, usize)> {
        let mdl = self.mdl();
        if mdl.is_null() { Ok((core::ptr::null_mut(), 0)) } else { mapped(mdl) }
    }

    fn checked_method(&self) -> Result<u32> {
        match METHOD_FROM_CTL_CODE(self.code()) {
            method @ (METHOD_BUFFERED | METHOD_IN_DIRECT | METHOD_OUT_DIRECT) => Ok(method),
            _ => Err(Error::INVALID_DEVICE_REQUEST),
        }
    }
}

impl<K: Kind> Drop for Request<K> {
    fn drop(&mut self) {
        let status = Error::REQUEST_ABORTED.to_kernel_errno();
        // SAFETY: the IRP is owned, and nobody uses it any more.
        unsafe { complete_irp(self.irp.as_ptr(), status, 0) };
    }
}

/// Kernel address and length of the locked pages that an MDL describes.
fn mapped(mdl: *mut MDL) -> Result<(*mut u8, usize)> {
    // SAFETY: the I/O manager made the MDL and locked its pages; it lives as long as the IRP.
    let start = unsafe {
        MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority as u32 | MdlMappingNoExecute)
    };
    if start.is_null() {
        return Err(Error::INSUFFICIENT_RESOURCES);
    }
    // SAFETY: as above.
    Ok((start.cast(), unsafe { MmGetMdlByteCount(mdl) } as usize))
}

/// Sets the final status and completes.
///
/// # Safety
/// `irp` is owned by the caller, who does not use it any more. IRQL <= DISPATCH.
pub(crate) unsafe fn complete_irp(irp: *mut IRP, status: NTSTATUS, information: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        (*irp).IoStatus.Anonymous.Status = status;
        (*irp).IoStatus.Information = information;
        IoCompleteRequest(irp, 0);
    }
}
