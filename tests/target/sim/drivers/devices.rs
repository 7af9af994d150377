//! A device with buffered I/O: write keeps what it is given, read gives it back; control codes
//! do what tests ask for.

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ptr::null_mut;
use core::slice;

use windows_kernel_rs::println;
use windows_kernel_sys::*;

/// What a device keeps: the data of the last write.
struct Extension {
    data: Vec<u8>,
    main: bool,
}

const NAME: &str = "\\Device\\Devices";
const LINK: &str = "\\DosDevices\\Devices";

const fn code(function: u32) -> u32 {
    FILE_DEVICE_UNKNOWN << 16 | function << 2 | METHOD_BUFFERED
}
const REVERSE: u32 = code(0x800);
const COMPLETE: u32 = code(0x801);
const PARAMETERS: u32 = code(0x802);
const DELETE: u32 = code(0x803);
const CREATE: u32 = code(0x804);
const LINK_TO: u32 = code(0x805);
const UNLINK: u32 = code(0x806);
const FORGET: u32 = code(0x807);
const EMPTY: u32 = code(0x808);

/// A string that lives until the call ends.
fn with<T>(text: &str, then: impl FnOnce(&UNICODE_STRING) -> T) -> T {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    let size = (units.len() * 2) as u16;
    then(&UNICODE_STRING { Length: size, MaximumLength: size, Buffer: units.as_mut_ptr() })
}

unsafe fn create(
    driver: *mut DRIVER_OBJECT,
    name: &str,
    exclusive: bool,
    main: bool,
) -> Result<*mut DEVICE_OBJECT, NTSTATUS> {
    let mut device = null_mut();
    let size = size_of::<Extension>() as u32;
    unsafe {
        let status = with(name, |name| {
            let name = if name.Length == 0 { core::ptr::null() } else { name as *const _ };
            IoCreateDevice(
                driver,
                size,
                name,
                FILE_DEVICE_UNKNOWN,
                0,
                exclusive.into(),
                &mut device,
            )
        });
        if status < 0 {
            return Err(status);
        }
        let at = (*device).DeviceExtension.cast::<MaybeUninit<Extension>>();
        (*at).write(Extension { data: Vec::new(), main });
        (*device).Flags |= DO_BUFFERED_IO;
    }
    Ok(device)
}

unsafe fn delete(device: *mut DEVICE_OBJECT) {
    unsafe {
        (*(*device).DeviceExtension.cast::<Extension>()).data = Vec::new();
        IoDeleteDevice(device);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "system" fn DriverEntry(
    driver: *mut DRIVER_OBJECT,
    _: *mut UNICODE_STRING,
) -> NTSTATUS {
    unsafe {
        for slot in &mut (&mut (*driver).MajorFunction)[..=IRP_MJ_CLEANUP as usize] {
            *slot = Some(dispatch);
        }
        (*driver).DriverUnload = Some(unload);
        if let Err(status) = create(driver, NAME, false, true) {
            return status;
        }
        with(NAME, |name| with(LINK, |link| IoCreateSymbolicLink(link, name)))
    }
}

unsafe extern "system" fn unload(driver: *mut DRIVER_OBJECT) {
    unsafe {
        println!("unload");
        let _ = with(LINK, |link| IoDeleteSymbolicLink(link));
        while !(*driver).DeviceObject.is_null() {
            delete((*driver).DeviceObject);
        }
    }
}

unsafe fn complete(irp: *mut IRP, status: NTSTATUS, information: usize) -> NTSTATUS {
    unsafe {
        (*irp).IoStatus.Anonymous.Status = status;
        (*irp).IoStatus.Information = information;
        IoCompleteRequest(irp, 0);
    }
    status
}

unsafe extern "system" fn dispatch(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let here = IoGetCurrentIrpStackLocation(irp);
        let extension = (*device).DeviceExtension.cast::<Extension>();
        let buffer = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        match u32::from((*here).MajorFunction) {
            IRP_MJ_CREATE => {
                let rest = &(*(*here).FileObject).FileName;
                let rest = if rest.Length == 0 {
                    &[]
                } else {
                    slice::from_raw_parts(rest.Buffer, usize::from(rest.Length) / 2)
                };
                let rest = String::from_utf16_lossy(rest);
                println!("create {rest}");
                let status = u32::from_str_radix(rest.trim_start_matches('\\'), 16).unwrap_or(0);
                complete(irp, status as NTSTATUS, 0)
            }
            IRP_MJ_CLEANUP => {
                println!("cleanup");
                complete(irp, STATUS_SUCCESS, 0)
            }
            IRP_MJ_CLOSE => {
                println!("close");
                // Its answer is of no use to anybody.
                complete(irp, STATUS_UNSUCCESSFUL, 0)
            }
            IRP_MJ_WRITE => {
                let size = (*here).Parameters.Write.Length as usize;
                let kept = &mut (*extension).data;
                kept.truncate((*here).Parameters.Write.ByteOffset as usize);
                if size > 0 {
                    kept.extend_from_slice(slice::from_raw_parts(buffer, size));
                }
                complete(irp, STATUS_SUCCESS, size)
            }
            IRP_MJ_READ => {
                let size = (*here).Parameters.Read.Length as usize;
                let start = (*here).Parameters.Read.ByteOffset as usize;
                let Some(kept) = (&(*extension).data).get(start..) else {
                    return complete(irp, STATUS_END_OF_FILE, 0);
                };
                let size = size.min(kept.len());
                if size > 0 {
                    slice::from_raw_parts_mut(buffer, size).copy_from_slice(&kept[..size]);
                }
                complete(irp, STATUS_SUCCESS, size)
            }
            IRP_MJ_DEVICE_CONTROL => control(device, irp, here, buffer),
            _ => complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0),
        }
    }
}

unsafe fn control(
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    here: *mut IO_STACK_LOCATION,
    buffer: *mut u8,
) -> NTSTATUS {
    unsafe {
        let request = (*here).Parameters.DeviceIoControl;
        let (taken, given) =
            (request.InputBufferLength as usize, request.OutputBufferLength as usize);
        let input: &[u8] = if taken == 0 { &[] } else { slice::from_raw_parts(buffer, taken) };
        let text = || core::str::from_utf8(input).unwrap_or("?");
        let word = |at: usize| u32::from_le_bytes(input[at..at + 4].try_into().unwrap());
        match request.IoControlCode {
            REVERSE => {
                if given < taken {
                    return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
                }
                if taken > 0 {
                    slice::from_raw_parts_mut(buffer, taken).reverse();
                }
                complete(irp, STATUS_SUCCESS, taken)
            }
            // Fills the output and completes with the status and Information of the input.
            COMPLETE => {
                let (status, information) = (word(0) as NTSTATUS, word(4) as usize);
                buffer.write_bytes(0xA5, given);
                complete(irp, status, information)
            }
            PARAMETERS => {
                println!(
                    "code {:#x} in {taken} out {given} buffer {} mode {} user {}",
                    request.IoControlCode,
                    !buffer.is_null(),
                    (*irp).RequestorMode,
                    (*irp).UserBuffer.is_null(),
                );
                complete(irp, STATUS_SUCCESS, 0)
            }
            DELETE => {
                if (*(*device).DeviceExtension.cast::<Extension>()).main {
                    let _ = with(LINK, |link| IoDeleteSymbolicLink(link));
                }
                delete(device);
                complete(irp, STATUS_SUCCESS, 0)
            }
            // Flags: 1 exclusive, 2 ready for use.
            CREATE => {
                let (flags, name) = (input[0], core::str::from_utf8(&input[1..]).unwrap_or("?"));
                match create((*device).DriverObject, name, flags & 1 != 0, false) {
                    Err(status) => complete(irp, status, 0),
                    Ok(new) => {
                        if flags & 2 != 0 {
                            (*new).Flags &= !DO_DEVICE_INITIALIZING;
                        }
                        complete(irp, STATUS_SUCCESS, 0)
                    }
                }
            }
            LINK_TO => {
                let (link, target) = text().split_once('=').unwrap_or(("?", "?"));
                let status =
                    with(link, |link| with(target, |name| IoCreateSymbolicLink(link, name)));
                complete(irp, status, 0)
            }
            UNLINK => {
                let status = with(text(), |link| IoDeleteSymbolicLink(link));
                complete(irp, status, 0)
            }
            FORGET => STATUS_SUCCESS,
            EMPTY => complete(irp, STATUS_SUCCESS, 0),
            _ => complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0),
        }
    }
}
