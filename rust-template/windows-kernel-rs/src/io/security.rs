//! The security descriptor of a device. `IoCreateDeviceSecure` is no routine of the kernel but of
//! a static library of the WDK; this does what is left of it: it sets the list of the new device.

use core::ptr::{self, NonNull};

use windows_kernel_sys::{
    DEVICE_OBJECT, HANDLE, IoDeviceObjectType, OBJ_KERNEL_HANDLE, ObOpenObjectByPointer, ZwClose,
    ZwSetSecurityObject,
};

use crate::error::{Result, check};

const WRITE_DAC: u32 = 0x4_0000;
const DACL_SECURITY_INFORMATION: u32 = 4;
/// SE_SELF_RELATIVE, SE_DACL_PROTECTED, SE_DACL_PRESENT.
const CONTROL: u16 = 0x9004;

/// A self-relative descriptor whose list gives all rights to the system and to administrators.
/// WDK: "SECURITY_DESCRIPTOR structure (ntifs.h)", "ACL structure (wdm.h)".
#[repr(C, align(8))]
struct Descriptor {
    revision: u8,
    reserved: u8,
    control: u16,
    owner: u32,
    group: u32,
    sacl: u32,
    dacl: u32,
    acl_revision: u16,
    acl_size: u16,
    acl_count: u32,
    system: Allowed<1>,
    administrators: Allowed<2>,
}

/// An entry that allows: its header, the rights, and a SID with `N` sub-authorities.
#[repr(C)]
struct Allowed<const N: usize> {
    kind: u16,
    size: u16,
    rights: u32,
    sid: [u8; 8],
    authorities: [u32; N],
}

impl<const N: usize> Allowed<N> {
    const fn everything(authorities: [u32; N]) -> Self {
        Allowed {
            kind: 0,
            size: size_of::<Self>() as u16,
            rights: 0x1000_0000,                 // GENERIC_ALL
            sid: [1, N as u8, 0, 0, 0, 0, 0, 5], // S-1-5-…
            authorities,
        }
    }
}

const HEAD: usize = 20;
static ADMINISTRATORS: Descriptor = Descriptor {
    revision: 1,
    reserved: 0,
    control: CONTROL,
    owner: 0,
    group: 0,
    sacl: 0,
    dacl: HEAD as u32,
    acl_revision: 2,
    acl_size: (size_of::<Descriptor>() - HEAD) as u16,
    acl_count: 2,
    system: Allowed::everything([18]),
    administrators: Allowed::everything([32, 544]),
};

/// Lets only administrators and the system open a device.
///
/// IRQL: PASSIVE. WDK: "ZwSetSecurityObject function (ntifs.h)".
///
/// # Safety
/// `device` is a device of this driver.
pub(super) unsafe fn administrators(device: NonNull<DEVICE_OBJECT>) -> Result<()> {
    let mut handle: HANDLE = ptr::null_mut();
    // SAFETY: the caller's promise; the descriptor is static, the handle closed once.
    unsafe {
        check(ObOpenObjectByPointer(
            device.as_ptr().cast(),
            OBJ_KERNEL_HANDLE,
            ptr::null(),
            WRITE_DAC,
            IoDeviceObjectType,
            0,
            &raw mut handle,
        ))?;
        let descriptor = (&raw const ADMINISTRATORS).cast_mut().cast();
        let status = ZwSetSecurityObject(handle, DACL_SECURITY_INFORMATION, descriptor);
        ZwClose(handle);
        check(status)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;

    #[test]
    fn it_is_laid_out_as_the_kernel_reads_it() {
        assert_eq!(offset_of!(Descriptor, acl_revision), HEAD);
        assert_eq!(offset_of!(Descriptor, system), HEAD + 8);
        assert_eq!(size_of::<Allowed<1>>(), 20);
        assert_eq!(offset_of!(Descriptor, administrators), HEAD + 28);
        assert_eq!(size_of::<Allowed<2>>(), 24);
        assert!(offset_of!(Descriptor, administrators) + 24 <= size_of::<Descriptor>());
        assert_eq!(ADMINISTRATORS.administrators.size, 24);
    }
}
