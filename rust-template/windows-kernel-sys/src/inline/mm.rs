//! MDLs and registers (`wdm.h`).

use core::ptr;

use crate::base::*;
use crate::ntoskrnl::*;

use super::constants::*;

/// `MmGetMdlByteCount`
///
/// # Safety
/// `mdl` is a valid MDL.
#[inline]
#[must_use]
pub unsafe fn MmGetMdlByteCount(mdl: *const MDL) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { (*mdl).ByteCount }
}

/// `MmGetMdlByteOffset`
///
/// # Safety
/// `mdl` is a valid MDL.
#[inline]
#[must_use]
pub unsafe fn MmGetMdlByteOffset(mdl: *const MDL) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { (*mdl).ByteOffset }
}

/// `MmGetMdlVirtualAddress`: an index, not a pointer to use: it may be of another process.
///
/// # Safety
/// `mdl` is a valid MDL.
#[inline]
#[must_use]
pub unsafe fn MmGetMdlVirtualAddress(mdl: *const MDL) -> PVOID {
    // SAFETY: the caller's promise.
    unsafe { (*mdl).StartVa.wrapping_byte_add((*mdl).ByteOffset as usize) }
}

/// `MmGetSystemAddressForMdlSafe`: a kernel address of the buffer, or null. `priority` is a
/// `MM_PAGE_PRIORITY`, with `MdlMappingNoExecute` if wanted. IRQL <= DISPATCH.
///
/// # Safety
/// `mdl` is valid and its pages are locked or in nonpaged pool.
#[inline]
#[must_use]
pub unsafe fn MmGetSystemAddressForMdlSafe(mdl: *mut MDL, priority: u32) -> PVOID {
    const MAPPED: u32 = MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL;
    // SAFETY: the caller's promise; a mapping made here lasts until the MDL is freed.
    unsafe {
        if (*mdl).MdlFlags as u32 & MAPPED != 0 {
            (*mdl).MappedSystemVa
        } else {
            MmMapLockedPagesSpecifyCache(
                mdl,
                KernelMode as _,
                MmCached,
                ptr::null(),
                u32::from(FALSE),
                priority,
            )
        }
    }
}

/// `MmPrepareMdlForReuse`. IRQL <= DISPATCH.
///
/// # Safety
/// `mdl` is a valid MDL that nobody else uses.
#[inline]
pub unsafe fn MmPrepareMdlForReuse(mdl: *mut MDL) {
    // SAFETY: the caller's promise; only a partial MDL's own mapping is undone.
    unsafe {
        if (*mdl).MdlFlags as u32 & MDL_PARTIAL_HAS_BEEN_MAPPED != 0 {
            MmUnmapLockedPages((*mdl).MappedSystemVa, mdl);
        }
    }
}

macro_rules! registers {
    ($($read:ident $write:ident $ty:ty;)*) => {$(
        #[doc = concat!("`", stringify!($read), "`")]
        ///
        /// # Safety
        /// `register` is a mapped device register of this size.
        #[inline]
        #[must_use]
        pub unsafe fn $read(register: *const $ty) -> $ty {
            // SAFETY: the caller's promise.
            unsafe { ptr::read_volatile(register) }
        }

        #[doc = concat!("`", stringify!($write), "`")]
        ///
        /// # Safety
        /// `register` is a mapped device register of this size.
        #[inline]
        pub unsafe fn $write(register: *mut $ty, value: $ty) {
            // SAFETY: the caller's promise.
            unsafe { ptr::write_volatile(register, value) }
            core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        }
    )*};
}

registers! {
    READ_REGISTER_UCHAR WRITE_REGISTER_UCHAR u8;
    READ_REGISTER_USHORT WRITE_REGISTER_USHORT u16;
    READ_REGISTER_ULONG WRITE_REGISTER_ULONG u32;
    READ_REGISTER_ULONG64 WRITE_REGISTER_ULONG64 u64;
}

#[cfg(target_arch = "x86_64")]
macro_rules! ports {
    ($($read:ident $write:ident $ty:ty, $register:tt;)*) => {$(
        #[doc = concat!("`", stringify!($read), "`")]
        ///
        /// # Safety
        /// Reading the port has no effect that memory safety rests on.
        #[inline]
        #[must_use]
        pub unsafe fn $read(port: u16) -> $ty {
            let value;
            // SAFETY: the caller's promise.
            unsafe {
                core::arch::asm!(
                    concat!("in ", $register, ", dx"),
                    in("dx") port, out($register) value,
                    options(nostack, preserves_flags)
                );
            }
            value
        }

        #[doc = concat!("`", stringify!($write), "`")]
        ///
        /// # Safety
        /// Writing the port has no effect that memory safety rests on.
        #[inline]
        pub unsafe fn $write(port: u16, value: $ty) {
            // SAFETY: the caller's promise.
            unsafe {
                core::arch::asm!(
                    concat!("out dx, ", $register),
                    in("dx") port, in($register) value,
                    options(nostack, preserves_flags)
                );
            }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
ports! {
    READ_PORT_UCHAR WRITE_PORT_UCHAR u8, "al";
    READ_PORT_USHORT WRITE_PORT_USHORT u16, "ax";
    READ_PORT_ULONG WRITE_PORT_ULONG u32, "eax";
}
