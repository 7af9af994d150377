//! A disk and two file systems, of which one recognizes what is on it. Each control code does one
//! thing; the answer is a number.

use core::ptr::{null, null_mut};

use windows_kernel_rs::println;
use windows_kernel_sys::*;

static mut DISK: *mut DEVICE_OBJECT = null_mut();
static mut OTHER: *mut DEVICE_OBJECT = null_mut();
static mut SYSTEM: *mut DEVICE_OBJECT = null_mut();
static mut VOLUME: *mut DEVICE_OBJECT = null_mut();
static mut DRIVER: *mut DRIVER_OBJECT = null_mut();
static mut CHANGED: bool = false;

fn wide<const N: usize>(text: &str) -> [u16; N] {
    let mut units = [0; N];
    for (unit, byte) in units.iter_mut().zip(text.bytes()) {
        *unit = byte.into();
    }
    units
}

fn name(units: &mut [u16]) -> UNICODE_STRING {
    let size = (units.len() * 2) as u16;
    UNICODE_STRING { Length: size, MaximumLength: size, Buffer: units.as_mut_ptr() }
}

unsafe fn create(kind: u32) -> *mut DEVICE_OBJECT {
    let mut device = null_mut();
    unsafe {
        IoCreateDevice(DRIVER, 0, null(), kind, 0, 0, &mut device);
        (*device).Flags &= !DO_DEVICE_INITIALIZING;
    }
    device
}

unsafe fn run(code: u32) -> u64 {
    unsafe {
        match code {
            0 => {
                // Nobody can mount it, then the one that was registered last is asked first.
                let nobody = IoVerifyVolume(DISK, 0) as u32;
                IoRegisterFileSystem(SYSTEM);
                IoRegisterFileSystem(OTHER);
                (*DISK).Flags |= DO_VERIFY_VOLUME;
                let mounted = IoVerifyVolume(DISK, 0);
                let vpb = &*(*DISK).Vpb;
                let flags = u32::from(vpb.Flags) & VPB_MOUNTED;
                let verify = (*DISK).Flags & DO_VERIFY_VOLUME;
                println!("{nobody:x} {mounted:x} {flags} {verify}");
                println!("{} {}", vpb.RealDevice == DISK, vpb.DeviceObject == VOLUME);
                let same = IoVerifyVolume(DISK, 0);
                CHANGED = true;
                let changed = IoVerifyVolume(DISK, 0) as u32;
                println!("{same:x} {changed:x}");
                IoUnregisterFileSystem(SYSTEM);
                IoUnregisterFileSystem(OTHER);
                0
            }
            1 => {
                let stream = IoCreateStreamFileObject(null(), VOLUME);
                println!("made {} {}", (*stream).DeviceObject == VOLUME, (*stream).Type);
                ObfDereferenceObject(stream.cast());
                let lite = IoCreateStreamFileObjectLite(null(), VOLUME);
                println!("lite {}", (*lite).Flags & FO_STREAM_FILE != 0);
                ObfDereferenceObject(lite.cast());
                0
            }
            2 => {
                let change = LUID { LowPart: 23, HighPart: 0 };
                let load = LUID { LowPart: 10, HighPart: 0 };
                u64::from(SeSinglePrivilegeCheck(change, 1)) << 8
                    | u64::from(SeSinglePrivilegeCheck(load, 1)) << 4
                    | u64::from(SeSinglePrivilegeCheck(load, 0))
            }
            _ => u64::MAX,
        }
    }
}

unsafe fn finish(irp: *mut IRP, status: NTSTATUS) -> NTSTATUS {
    unsafe {
        (*irp).IoStatus.Anonymous.Status = status;
        IofCompleteRequest(irp, 0);
    }
    status
}

unsafe extern "system" fn control(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let here = &*(*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation;
        if u32::from(here.MinorFunction) == IRP_MN_VERIFY_VOLUME {
            let right = here.Parameters.VerifyVolume.DeviceObject == device;
            println!("verify {} {right}", device == VOLUME);
            return finish(irp, if CHANGED { STATUS_WRONG_VOLUME } else { 0 });
        }
        let mount = &here.Parameters.MountVolume;
        println!("mount {} {}", device == SYSTEM, mount.DeviceObject == DISK);
        if device != SYSTEM {
            return finish(irp, STATUS_UNRECOGNIZED_VOLUME);
        }
        if VOLUME.is_null() {
            VOLUME = create(FILE_DEVICE_DISK_FILE_SYSTEM);
        }
        (*mount.Vpb).DeviceObject = VOLUME;
        finish(irp, 0)
    }
}

unsafe extern "system" fn dispatch(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let here = &*(*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation;
        (*irp).IoStatus.Information = 0;
        if device == VOLUME {
            println!("volume {:#x}", here.MajorFunction);
        } else if u32::from(here.MajorFunction) == IRP_MJ_DEVICE_CONTROL {
            let code = here.Parameters.DeviceIoControl.IoControlCode >> 2 & 0xFFF;
            if code == 0x8FF {
                // A file system gives up: the user is told, and the request fails.
                (*irp).IoStatus.Anonymous.Status = STATUS_DEVICE_NOT_READY;
                IoRaiseHardError(irp, null(), DISK);
                return STATUS_DEVICE_NOT_READY;
            }
            let answer = run(code - 0x800);
            (*irp).AssociatedIrp.SystemBuffer.cast::<u64>().write_unaligned(answer);
            (*irp).IoStatus.Information = 8;
        }
        finish(irp, 0)
    }
}

unsafe extern "system" fn unload(_: *mut DRIVER_OBJECT) {
    unsafe {
        let mut link = wide::<18>("\\DosDevices\\Volume");
        IoDeleteSymbolicLink(&name(&mut link));
        for device in [DISK, OTHER, SYSTEM, VOLUME] {
            if !device.is_null() {
                IoDeleteDevice(device);
            }
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "system" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    _: *const UNICODE_STRING,
) -> NTSTATUS {
    unsafe {
        DRIVER = driver;
        (*driver).DriverUnload = Some(unload);
        for major in [IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE, IRP_MJ_DEVICE_CONTROL] {
            (*driver).MajorFunction[major as usize] = Some(dispatch);
        }
        (*driver).MajorFunction[IRP_MJ_FILE_SYSTEM_CONTROL as usize] = Some(control);
        let mut device = wide::<14>("\\Device\\Volume");
        let mut link = wide::<18>("\\DosDevices\\Volume");
        let device = name(&mut device);
        IoCreateDevice(driver, 0, &device, FILE_DEVICE_DISK, 0, 0, &raw mut DISK);
        IoCreateSymbolicLink(&name(&mut link), &device);
        OTHER = create(FILE_DEVICE_DISK_FILE_SYSTEM);
        SYSTEM = create(FILE_DEVICE_DISK_FILE_SYSTEM);
    }
    0
}
