//! A device on the WDK's functions alone: answers, and keeps a read at offset 1 until it is
//! released or cancelled. Wine 8 has no cancel-safe queues (IoCsq…), so it does without them.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use windows_kernel_rs::println;
use windows_kernel_sys::*;

static WAITING: AtomicPtr<IRP> = AtomicPtr::new(null_mut());
static OPENS: AtomicU32 = AtomicU32::new(0);

fn name(text: &'static [u16]) -> UNICODE_STRING {
    let size = (text.len() * 2) as u16;
    UNICODE_STRING { Length: size, MaximumLength: size, Buffer: text.as_ptr().cast_mut() }
}

const fn wide<const N: usize>(text: &[u8; N]) -> [u16; N] {
    let mut out = [0; N];
    let mut n = 0;
    while n < N {
        out[n] = text[n] as u16;
        n += 1;
    }
    out
}

static DEVICE: [u16; 14] = wide(b"\\Device\\Shared");
static LINK: [u16; 10] = wide(b"\\??\\Shared");

unsafe fn complete(irp: *mut IRP, status: NTSTATUS, data: &[u8]) -> NTSTATUS {
    unsafe {
        let buffer = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        if !data.is_empty() {
            core::ptr::copy_nonoverlapping(data.as_ptr(), buffer, data.len());
        }
        (*irp).IoStatus.Anonymous.Status = status;
        (*irp).IoStatus.Information = data.len();
        IofCompleteRequest(irp, 0);
    }
    status
}

unsafe extern "system" fn cancel(_: *mut DEVICE_OBJECT, irp: *mut IRP) {
    unsafe {
        IoReleaseCancelSpinLock((*irp).CancelIrql);
        WAITING.store(null_mut(), Ordering::SeqCst);
        println!("cancelled");
        complete(irp, STATUS_CANCELLED, &[]);
    }
}

unsafe extern "system" fn dispatch(_: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let location = &*IoGetCurrentIrpStackLocation(irp);
        match u32::from(location.MajorFunction) {
            IRP_MJ_CREATE => {
                println!("open {}", OPENS.fetch_add(1, Ordering::SeqCst) + 1);
                complete(irp, STATUS_SUCCESS, &[])
            }
            IRP_MJ_READ if location.Parameters.Read.ByteOffset == 1 => {
                IoMarkIrpPending(irp);
                WAITING.store(irp, Ordering::SeqCst);
                IoSetCancelRoutine(irp, Some(cancel));
                STATUS_PENDING
            }
            IRP_MJ_READ => {
                let length = (location.Parameters.Read.Length as usize).min(10);
                complete(irp, STATUS_SUCCESS, &b"0123456789"[..length])
            }
            IRP_MJ_WRITE => {
                let length = location.Parameters.Write.Length as usize;
                let data = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
                println!("wrote {:?}", core::slice::from_raw_parts(data, length));
                complete(irp, STATUS_SUCCESS, &[]);
                STATUS_SUCCESS
            }
            IRP_MJ_DEVICE_CONTROL => match location.Parameters.DeviceIoControl.IoControlCode {
                0x22_2000 if location.Parameters.DeviceIoControl.OutputBufferLength < 4 => {
                    complete(irp, STATUS_BUFFER_TOO_SMALL, &[])
                }
                0x22_2000 => {
                    let count = OPENS.load(Ordering::SeqCst).to_le_bytes();
                    complete(irp, STATUS_SUCCESS, &count)
                }
                0x22_2004 => {
                    let waiting = WAITING.swap(null_mut(), Ordering::SeqCst);
                    if !waiting.is_null() && IoSetCancelRoutine(waiting, None).is_some() {
                        complete(waiting, STATUS_SUCCESS, b"released");
                    }
                    complete(irp, STATUS_SUCCESS, &[])
                }
                _ => complete(irp, STATUS_INVALID_DEVICE_REQUEST, &[]),
            },
            _ => complete(irp, STATUS_SUCCESS, &[]),
        }
    }
}

unsafe extern "system" fn unload(driver: *mut DRIVER_OBJECT) {
    unsafe {
        let link = name(&LINK);
        let _ = IoDeleteSymbolicLink(&raw const link);
        IoDeleteDevice((*driver).DeviceObject);
    }
    println!("bye");
}

#[unsafe(no_mangle)]
unsafe extern "system" fn DriverEntry(driver: *mut DRIVER_OBJECT, _: *mut UNICODE_STRING) -> NTSTATUS {
    unsafe {
        (*driver).MajorFunction = [Some(dispatch); 28];
        (*driver).DriverUnload = Some(unload);
        let (device, link) = (name(&DEVICE), name(&LINK));
        let mut made = null_mut();
        let status =
            IoCreateDevice(driver, 0, &raw const device, 0x22, 0, 0, &raw mut made);
        if status < 0 {
            return status;
        }
        (*made).Flags |= DO_BUFFERED_IO;
        (*made).Flags &= !DO_DEVICE_INITIALIZING;
        IoCreateSymbolicLink(&raw const link, &raw const device)
    }
}
