//! A request's pointers into its program's memory: METHOD_NEITHER, neither I/O, and pointers that are
//! part of the input.

use core::ptr;

use windows_kernel_sys::{
    IRP, IoGetRequestorProcess, METHOD_FROM_CTL_CODE, METHOD_NEITHER, MmUserProbeAddress,
};

use super::request::{Ioctl, Kind, Read, Request, Write};
use crate::error::{Error, Result};
use crate::mem::user::{UserReader, UserSlice, UserWriter};

/// Which of an IRP's `DriverContext` says that the input was taken; `IoCsq` routines use the last.
const TAKEN: usize = 0;

/// What a request is before the driver's code gets it.
///
/// # Safety
/// The IRP is the driver's.
pub(crate) unsafe fn not_taken(irp: *mut IRP) {
    // SAFETY: the caller's promise: DriverContext is the driver's while it owns the IRP.
    unsafe { (*irp).Tail.Overlay.Anonymous1.Anonymous.DriverContext[TAKEN] = ptr::null_mut() };
}

/// The input counts as taken: the driver below may have looked at it.
///
/// # Safety
/// The IRP is the driver's.
pub(crate) unsafe fn taken(irp: *mut IRP) {
    // SAFETY: as for `not_taken`.
    unsafe { (*irp).Tail.Overlay.Anonymous1.Anonymous.DriverContext[TAKEN] = irp.cast() };
}

impl<K: Kind> Request<K> {
    /// `len` bytes at an address that is part of the input, of the program that sent the request.
    ///
    /// Programs of 32 bits have pointers of 32 bits.
    ///
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    /// [`Error::ACCESS_VIOLATION`] when part of it is not in the user half of the address space.
    ///
    /// ```no_run
    /// use windows_kernel_rs::Result;
    /// use windows_kernel_rs::io::{Ioctl, Request};
    ///
    /// fn fill(request: &Request<Ioctl>, address: u64, len: usize) -> Result<()> {
    ///     let mut to = request.user_slice(address, len)?.writer();
    ///     while to.remaining() > 0 {
    ///         to.write(b"x")?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn user_slice(&self, address: u64, len: usize) -> Result<UserSlice<'_>> {
        // SAFETY: the IRP is owned. The variable is the kernel's, and never changes.
        let (process, limit) =
            unsafe { (IoGetRequestorProcess(self.as_irp()), MmUserProbeAddress) };
        UserSlice::new(usize::try_from(address)?, len, process, limit)
    }

    /// The input's first reading is its last: it could be another one the second time.
    fn take_input(&mut self) -> Result<()> {
        let irp = self.as_irp();
        // SAFETY: the IRP is owned, and so is its DriverContext.
        let taken = unsafe { &mut (*irp).Tail.Overlay.Anonymous1.Anonymous.DriverContext[TAKEN] };
        if !taken.is_null() {
            return Err(Error::INVALID_DEVICE_STATE);
        }
        *taken = irp.cast();
        Ok(())
    }

    fn user_buffer(&self) -> u64 {
        // SAFETY: the IRP is owned.
        unsafe { (*self.as_irp()).UserBuffer as u64 }
    }
}

impl Request<Ioctl> {
    /// The input of a METHOD_NEITHER code, to be read once: a second call fails.
    ///
    /// IRQL: PASSIVE. WDK: "Using Neither Buffered Nor Direct I/O".
    ///
    /// # Errors
    /// [`Error::INVALID_DEVICE_REQUEST`] for other methods, [`Error::ACCESS_VIOLATION`] when part of
    /// it is not in the user half of the address space, [`Error::INVALID_DEVICE_STATE`] when it was
    /// taken before.
    pub fn user_input(&mut self) -> Result<UserReader<'_>> {
        Ok(self.user_buffers()?.0)
    }

    /// The output of a METHOD_NEITHER code.
    ///
    /// IRQL: PASSIVE. WDK: "Using Neither Buffered Nor Direct I/O".
    ///
    /// # Errors
    /// [`Error::INVALID_DEVICE_REQUEST`] for other methods, [`Error::ACCESS_VIOLATION`] when part of
    /// it is not in the user half of the address space.
    pub fn user_output(&mut self) -> Result<UserWriter<'_>> {
        self.is_neither()?;
        Ok(self.user_slice(self.user_buffer(), self.output_len())?.writer())
    }

    /// Input and output of a METHOD_NEITHER code; they may be the same memory.
    ///
    /// # Errors
    /// As [`user_input`](Self::user_input) and [`user_output`](Self::user_output).
    pub fn user_buffers(&mut self) -> Result<(UserReader<'_>, UserWriter<'_>)> {
        self.is_neither()?;
        self.take_input()?;
        // SAFETY: the parameters of a device control.
        let input = unsafe { self.location().Parameters.DeviceIoControl.Type3InputBuffer };
        let reader = self.user_slice(input as u64, self.input_len())?.reader();
        let writer = self.user_slice(self.user_buffer(), self.output_len())?.writer();
        Ok((reader, writer))
    }

    fn is_neither(&self) -> Result<()> {
        let neither = METHOD_FROM_CTL_CODE(self.code()) == METHOD_NEITHER;
        if neither { Ok(()) } else { Err(Error::INVALID_DEVICE_REQUEST) }
    }
}

impl Request<Read> {
    /// The caller's buffer, for a device with [`Transfer::Neither`](super::Transfer::Neither).
    ///
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    /// [`Error::INVALID_DEVICE_REQUEST`] for other devices, [`Error::ACCESS_VIOLATION`] when part of
    /// it is not in the user half of the address space.
    pub fn user_output(&mut self) -> Result<UserWriter<'_>> {
        if self.is_mapped() {
            return Err(Error::INVALID_DEVICE_REQUEST);
        }
        Ok(self.user_slice(self.user_buffer(), self.len())?.writer())
    }
}

impl Request<Write> {
    /// What the caller sends, for a device with [`Transfer::Neither`](super::Transfer::Neither),
    /// to be read once: a second call fails.
    ///
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    /// [`Error::INVALID_DEVICE_REQUEST`] for other devices, [`Error::ACCESS_VIOLATION`] when part of
    /// it is not in the user half of the address space, [`Error::INVALID_DEVICE_STATE`] when it was
    /// taken before.
    pub fn user_input(&mut self) -> Result<UserReader<'_>> {
        if self.is_mapped() {
            return Err(Error::INVALID_DEVICE_REQUEST);
        }
        self.take_input()?;
        Ok(self.user_slice(self.user_buffer(), self.len())?.reader())
    }
}
