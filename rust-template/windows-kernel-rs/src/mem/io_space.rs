//! [`IoSpace`]: a device's registers in memory.

use core::marker::PhantomData;
use core::ptr::NonNull;

use windows_kernel_sys::{MmMapIoSpaceEx, MmUnmapIoSpace, PAGE_NOCACHE, PAGE_READWRITE};

use super::physical::PhysicalAddress;
use crate::error::{Error, Result};
use crate::irql::{self, Irql};

mod sealed {
    pub trait Sealed: Copy {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}

/// What a register holds: an unsigned integer.
pub trait Width: sealed::Sealed + 'static {}
impl<T: sealed::Sealed + 'static> Width for T {}

/// A range of device memory, mapped uncached. Unmapped when dropped.
///
/// WDK: "MmMapIoSpaceEx function (wdm.h)", "Mapping Bus-Relative Addresses to Virtual Addresses".
///
/// ```no_run
/// use windows_kernel_rs::Result;
/// use windows_kernel_rs::mem::{IoSpace, PhysicalAddress};
///
/// # fn f() -> Result<()> {
/// // SAFETY: the timer's registers, which write no memory.
/// let timer = unsafe { IoSpace::try_map(PhysicalAddress::new(0xFED0_0000), 0x400)? };
/// let enabled = timer.register::<u64>(0x10)?;
/// enabled.write(enabled.read() | 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct IoSpace {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: registers are read and written by single volatile accesses, from any thread.
unsafe impl Send for IoSpace {}
// SAFETY: as for `Send`.
unsafe impl Sync for IoSpace {}

/// A register of an [`IoSpace`], aligned and inside of it.
#[derive(Clone, Copy, Debug)]
pub struct Register<'s, T: Width> {
    place: NonNull<T>,
    space: PhantomData<&'s IoSpace>,
}

// SAFETY: as for `IoSpace`.
unsafe impl<T: Width> Send for Register<'_, T> {}
// SAFETY: as for `IoSpace`.
unsafe impl<T: Width> Sync for Register<'_, T> {}

impl IoSpace {
    /// Maps `len` bytes of device memory. IRQL: PASSIVE.
    ///
    /// # Safety
    /// The range is a device's that this driver is in charge of, and no memory; nothing that is
    /// written to its registers makes the device write memory that Rust uses.
    ///
    /// # Errors
    /// [`Error::INSUFFICIENT_RESOURCES`] when it cannot be mapped, [`Error::INVALID_PARAMETER`] when
    /// `len` is 0 or the range goes beyond the end of all addresses.
    #[track_caller]
    pub unsafe fn try_map(address: PhysicalAddress, len: usize) -> Result<Self> {
        irql::assert_at_most(Irql::PASSIVE, "IoSpace::try_map");
        if len == 0 || address.checked_add(len as u64).is_none_or(|end| end > PhysicalAddress::MAX)
        {
            return Err(Error::INVALID_PARAMETER);
        }
        // SAFETY: the caller's promise.
        let start = unsafe { MmMapIoSpaceEx(address.as_raw(), len, PAGE_READWRITE | PAGE_NOCACHE) };
        let start = NonNull::new(start.cast()).ok_or(Error::INSUFFICIENT_RESOURCES)?;
        Ok(IoSpace { start, len })
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

    /// The register at `offset`. IRQL: any.
    ///
    /// # Errors
    /// [`Error::INVALID_PARAMETER`] when it is not in the range as a whole,
    /// [`Error::DATATYPE_MISALIGNMENT`] when it is not aligned to its size.
    pub fn register<T: Width>(&self, offset: usize) -> Result<Register<'_, T>> {
        if offset.checked_add(size_of::<T>()).is_none_or(|end| end > self.len) {
            return Err(Error::INVALID_PARAMETER);
        }
        // SAFETY: inside of the mapping.
        let place = unsafe { self.start.add(offset) }.cast::<T>();
        if !place.is_aligned() {
            return Err(Error::DATATYPE_MISALIGNMENT);
        }
        Ok(Register { place, space: PhantomData })
    }
}

impl<T: Width> Register<'_, T> {
    /// Reads it, once. IRQL: any. WDK: "READ_REGISTER_ULONG function (wdm.h)".
    #[must_use]
    pub fn read(&self) -> T {
        // SAFETY: a mapped register, aligned.
        unsafe { self.place.read_volatile() }
    }

    /// Writes it, once; what is written later is later for the device too. IRQL: any. WDK:
    /// "WRITE_REGISTER_ULONG function (wdm.h)".
    pub fn write(&self, value: T) {
        // SAFETY: a mapped register, aligned; what the device does then, `try_map`'s caller has
        // promised.
        unsafe { self.place.write_volatile(value) };
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }
}

impl Drop for IoSpace {
    /// IRQL <= DISPATCH. WDK: "MmUnmapIoSpace function (wdm.h)".
    fn drop(&mut self) {
        irql::assert_at_most(Irql::DISPATCH, "IoSpace");
        // SAFETY: mapped by `try_map` with this length, and not used after this.
        unsafe { MmUnmapIoSpace(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::IoSpace;
    use crate::Error;
    use core::mem::ManuallyDrop;
    use core::ptr::NonNull;

    #[test]
    fn registers_are_aligned_and_inside() {
        let mut memory = [0u64; 2];
        let start = NonNull::from(&mut memory).cast();
        let space = ManuallyDrop::new(IoSpace { start, len: 12 });
        let register = space.register::<u32>(8).unwrap();
        register.write(7);
        assert_eq!(space.register::<u8>(8).unwrap().read(), 7);
        assert_eq!(space.register::<u32>(2).err(), Some(Error::DATATYPE_MISALIGNMENT));
        for (offset, wide) in [(12, false), (usize::MAX, false), (8, true), (16, true)] {
            let error = if wide {
                space.register::<u64>(offset).err()
            } else {
                space.register::<u8>(offset).err()
            };
            assert_eq!(error, Some(Error::INVALID_PARAMETER));
        }
    }
}
