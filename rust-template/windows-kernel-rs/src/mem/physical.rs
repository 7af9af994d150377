//! Physical addresses, and memory whose pages follow one another: [`PhysicalAddress`],
//! [`Contiguous`].

use core::ptr::NonNull;

use windows_kernel_sys::{
    MM_ANY_NODE_OK, MmAllocateContiguousNodeMemory, MmFreeContiguousMemory, MmGetPhysicalAddress,
    PAGE_READWRITE,
};

use crate::error::{Error, Result};
use crate::irql::{self, Irql};
use crate::mem::copy::copy_shared;

/// A place in the machine's memory, or among the registers of its devices: what hardware uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PhysicalAddress(u64);

impl PhysicalAddress {
    /// The highest that a device with 32 address lines reaches.
    pub const MAX_32: PhysicalAddress = PhysicalAddress(u32::MAX as u64);
    /// The highest there is.
    pub const MAX: PhysicalAddress = PhysicalAddress(i64::MAX as u64);

    /// An address by its number.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        PhysicalAddress(address)
    }

    /// Where a value lies in memory now; `None` where it has no page. Paged memory may be moved at
    /// any time.
    ///
    /// IRQL: any. WDK: "MmGetPhysicalAddress function (ntddk.h)".
    ///
    /// ```no_run
    /// use windows_kernel_rs::mem::PhysicalAddress;
    /// let buffer = [0u8; 16];
    /// let address = PhysicalAddress::of(&buffer);
    /// ```
    #[must_use]
    pub fn of<T: ?Sized>(value: &T) -> Option<Self> {
        // SAFETY: any address may be asked about.
        let address = unsafe { MmGetPhysicalAddress((&raw const *value).cast()) };
        (address != 0).then_some(PhysicalAddress(address as u64))
    }

    /// Its number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The address `bytes` further, if there is one.
    #[must_use]
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(address) => Some(PhysicalAddress(address)),
            None => None,
        }
    }

    pub(crate) const fn as_raw(self) -> i64 {
        self.0 as i64
    }
}

/// Memory whose pages follow one another in the machine's memory, for a device that reads or
/// writes it by itself. It is zero at first.
///
/// The device can change it at any time, so there is no reference to it: data is copied in and out.
///
/// IRQL: PASSIVE to make and drop it, any to copy. WDK: "MmAllocateContiguousNodeMemory function
/// (wdm.h)". It is scarce once the system has run for a while: make it when the driver starts.
///
/// ```no_run
/// use windows_kernel_rs::mem::{Contiguous, PhysicalAddress};
///
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let mut ring = Contiguous::try_new(4096, PhysicalAddress::MAX_32)?;
/// ring.write_at(0, &[1, 2, 3])?;
/// let for_the_device = ring.physical().as_u64();
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Contiguous {
    start: NonNull<u8>,
    len: usize,
    physical: PhysicalAddress,
}

// SAFETY: the memory is only copied from and to, writing through an exclusive reference.
unsafe impl Send for Contiguous {}
// SAFETY: as for `Send`.
unsafe impl Sync for Contiguous {}

impl Contiguous {
    /// `len` bytes, none of them above `highest`, beginning with a page.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when there is no such piece of memory;
    /// [`Error::INVALID_PARAMETER`] when `len` is 0.
    #[track_caller]
    pub fn try_new(len: usize, highest: PhysicalAddress) -> Result<Self> {
        irql::assert_at_most(Irql::PASSIVE, "Contiguous::try_new");
        if len == 0 {
            return Err(Error::INVALID_PARAMETER);
        }
        // SAFETY: the size is not zero.
        let start = unsafe {
            MmAllocateContiguousNodeMemory(
                len,
                0,
                highest.as_raw(),
                0,
                PAGE_READWRITE,
                MM_ANY_NODE_OK,
            )
        };
        let start = NonNull::new(start.cast::<u8>()).ok_or(Error::INSUFFICIENT_RESOURCES)?;
        // SAFETY: the memory is new and has this length.
        let physical = unsafe {
            start.write_bytes(0, len);
            MmGetPhysicalAddress(start.as_ptr().cast())
        };
        Ok(Contiguous { start, len, physical: PhysicalAddress(physical as u64) })
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: there is always one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What to tell the device.
    #[must_use]
    pub fn physical(&self) -> PhysicalAddress {
        self.physical
    }

    /// Copies the bytes from `offset` on that fill `to`. IRQL: any.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when there are fewer.
    pub fn read_at(&self, offset: usize, to: &mut [u8]) -> Result<()> {
        self.check(offset, to.len())?;
        // SAFETY: inside of the memory; `to` is Rust's own.
        unsafe { copy_shared(self.start.as_ptr().add(offset), to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    /// Writes `data` at `offset`. IRQL: any.
    ///
    /// # Errors
    /// [`Error::BUFFER_TOO_SMALL`] when it does not fit; nothing is written then.
    pub fn write_at(&mut self, offset: usize, data: &[u8]) -> Result<()> {
        self.check(offset, data.len())?;
        // SAFETY: inside of the memory; `data` is Rust's own.
        unsafe { copy_shared(data.as_ptr(), self.start.as_ptr().add(offset), data.len()) };
        Ok(())
    }

    fn check(&self, offset: usize, size: usize) -> Result<()> {
        let fits = offset.checked_add(size).is_some_and(|end| end <= self.len);
        if fits { Ok(()) } else { Err(Error::BUFFER_TOO_SMALL) }
    }
}

impl Drop for Contiguous {
    /// IRQL: PASSIVE. WDK: "MmFreeContiguousMemory function (wdm.h)".
    fn drop(&mut self) {
        irql::assert_at_most(Irql::PASSIVE, "Contiguous");
        // SAFETY: the memory is this value's own, and not used after this.
        unsafe { MmFreeContiguousMemory(self.start.as_ptr().cast()) };
    }
}

#[cfg(test)]
mod tests {
    use super::PhysicalAddress;

    #[test]
    fn addresses() {
        let address = PhysicalAddress::new(0xFED0_0000);
        assert_eq!(address.checked_add(8).map(PhysicalAddress::as_u64), Some(0xFED0_0008));
        assert_eq!(PhysicalAddress::new(u64::MAX).checked_add(1), None);
        assert!(PhysicalAddress::MAX_32 < PhysicalAddress::MAX);
    }
}
