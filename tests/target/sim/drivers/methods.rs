//! Devices that take their data in each of the ways there are, StartIo, a secure device.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{addr_of_mut, null, null_mut};

use windows_kernel_rs::println;
use windows_kernel_sys::*;

#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn IoCreateDeviceSecure(
        driver: *mut DRIVER_OBJECT,
        size: u32,
        name: *const UNICODE_STRING,
        kind: u32,
        characteristics: u32,
        exclusive: u8,
        sddl: *const UNICODE_STRING,
        class: *const c_void,
        device: *mut *mut DEVICE_OBJECT,
    ) -> NTSTATUS;
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
fn with<T>(text: &[u16], then: impl FnOnce(&UNICODE_STRING) -> T) -> T {
    let size = (text.len() * 2) as u16;
    then(&UNICODE_STRING { Length: size, MaximumLength: size, Buffer: text.as_ptr() as *mut u16 })
}
const DIRECT: &[u16] = &wide(b"\\Device\\Direct");
const NEITHER: &[u16] = &wide(b"\\Device\\Neither");
const SECURE: &[u16] = &wide(b"\\Device\\Secure");
const SERIAL: &[u16] = &wide(b"\\Device\\Serial");
const SDDL: &[u16] = &wide(b"D:P(A;;GA;;;SY)(A;;GA;;;BA)(A;;GR;;;WD)");
const WRONG: &[u16] = &wide(b"D:P(A;;GA;;;??)");

static mut SERIAL_DEVICE: *mut DEVICE_OBJECT = null_mut();
static mut TIMER: MaybeUninit<KTIMER> = MaybeUninit::zeroed();
static mut KEPT_ADDRESS: usize = 0;
static mut CSQ: MaybeUninit<IO_CSQ> = MaybeUninit::zeroed();
static mut CONTEXT: MaybeUninit<IO_CSQ_IRP_CONTEXT> = MaybeUninit::zeroed();
static mut ONLY: *mut IRP = null_mut();

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
        (*driver).DriverStartIo = Some(start_io);
        KeInitializeTimer(addr_of_mut!(TIMER).cast());
        for (name, flags) in [(DIRECT, DO_DIRECT_IO), (NEITHER, 0), (SERIAL, DO_BUFFERED_IO)] {
            let mut device = null_mut();
            let status = with(name, |name| {
                IoCreateDevice(driver, 0, name, FILE_DEVICE_UNKNOWN, 0, 0, &mut device)
            });
            assert!(status == 0);
            (*device).Flags |= flags;
            SERIAL_DEVICE = device;
        }
        KeInitializeDpc(&raw mut (*SERIAL_DEVICE).Dpc, Some(done_dpc), null_mut());
        IoSetStartIoAttributes(SERIAL_DEVICE, 1, 1);
        let mut device = null_mut();
        let make = |sddl: &[u16], device: *mut *mut DEVICE_OBJECT| {
            with(SECURE, |name| {
                with(sddl, |sddl| {
                    let kind = FILE_DEVICE_UNKNOWN;
                    IoCreateDeviceSecure(driver, 0, name, kind, 0, 0, sddl, null(), device)
                })
            })
        };
        println!("{:#x} {:#x}", make(WRONG, &mut device), make(SDDL, &mut device));
        let status = with(&wide(b"\\??\\Secure"), |link| {
            with(SECURE, |name| IoCreateUnprotectedSymbolicLink(link, name))
        });
        assert!(status == 0);
        let status = IoCsqInitializeEx(
            addr_of_mut!(CSQ).cast(),
            Some(insert),
            Some(remove),
            Some(peek),
            Some(acquire),
            Some(release),
            Some(canceled),
        );
        assert!(status == 0);
    }
    STATUS_SUCCESS
}

unsafe extern "system" fn unload(driver: *mut DRIVER_OBJECT) {
    unsafe {
        let _ = with(&wide(b"\\??\\Secure"), |link| IoDeleteSymbolicLink(link));
        while !(*driver).DeviceObject.is_null() {
            IoDeleteDevice((*driver).DeviceObject);
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
        let major = u32::from((*here).MajorFunction);
        let size = (*here).Parameters.Read.Length as usize;
        let serial = device == SERIAL_DEVICE;
        match major {
            IRP_MJ_READ if serial => {
                let mut key = size as u32;
                IoMarkIrpPending(irp);
                IoStartPacket(device, irp, &mut key, Some(cancel));
                STATUS_PENDING
            }
            IRP_MJ_READ | IRP_MJ_WRITE if !serial => {
                let mdl = (*irp).MdlAddress;
                let address: *mut u8 = if !mdl.is_null() {
                    println!("mdl {} at {}", MmGetMdlByteCount(mdl), MmGetMdlByteOffset(mdl));
                    MmGetSystemAddressForMdlSafe(mdl, 16).cast()
                } else {
                    KEPT_ADDRESS = (*irp).UserBuffer as usize;
                    (*irp).UserBuffer.cast()
                };
                if major == IRP_MJ_READ && size > 0 {
                    address.write_bytes(0x77, size);
                } else if size > 0 {
                    println!("last {}", *address.add(size - 1));
                }
                complete(irp, STATUS_SUCCESS, size)
            }
            IRP_MJ_DEVICE_CONTROL => control(irp, here),
            _ => complete(irp, STATUS_SUCCESS, 0),
        }
    }
}

unsafe fn control(irp: *mut IRP, here: *mut IO_STACK_LOCATION) -> NTSTATUS {
    unsafe {
        let request = (*here).Parameters.DeviceIoControl;
        let out = request.OutputBufferLength as usize;
        let code = request.IoControlCode;
        let system = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        match code & 3 {
            METHOD_IN_DIRECT | METHOD_OUT_DIRECT => {
                let address: *mut u8 =
                    MmGetSystemAddressForMdlSafe((*irp).MdlAddress, 16).cast();
                println!("input {} direct {}", *system, *address);
                if code & 3 == METHOD_OUT_DIRECT {
                    address.write_bytes(*system, out);
                }
                complete(irp, STATUS_SUCCESS, out)
            }
            METHOD_NEITHER => {
                let input = request.Type3InputBuffer.cast::<u8>();
                let user = (*irp).UserBuffer.cast::<u8>();
                ProbeForRead(input.cast(), 1, 1);
                ProbeForWrite(user.cast(), out, 1);
                user.write_bytes(*input + 1, out);
                complete(irp, STATUS_SUCCESS, out)
            }
            _ if code >> 2 & 0xFFF == 0x801 => {
                // A user address of a request that is over.
                println!("{}", *(KEPT_ADDRESS as *const u8));
                complete(irp, STATUS_SUCCESS, 0)
            }
            _ if code >> 2 & 0xFFF == 0x802 => {
                let csq: *mut IO_CSQ = addr_of_mut!(CSQ).cast();
                let context: *mut IO_CSQ_IRP_CONTEXT = addr_of_mut!(CONTEXT).cast();
                let status = IoCsqInsertIrpEx(csq, irp, context, 5 as *mut c_void);
                println!("insert {status:#x}");
                let refused = IoCsqInsertIrpEx(csq, irp, context, null_mut());
                println!("refused {refused:#x}");
                let status = IoCsqInsertIrpEx(csq, irp, context, 5 as *mut c_void);
                let found = IoCsqRemoveIrp(csq, context);
                println!("{status} {} {}", found == irp, IoCsqRemoveIrp(csq, context).is_null());
                complete(irp, STATUS_SUCCESS, 0);
                STATUS_PENDING
            }
            _ => complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0),
        }
    }
}

// -- a queue for one -----------------------------------------------------------------------------

unsafe extern "system" fn insert(_: *mut IO_CSQ, irp: *mut IRP, c: *mut c_void) -> NTSTATUS {
    unsafe {
        if c.is_null() {
            return STATUS_DEVICE_BUSY;
        }
        ONLY = irp;
    }
    STATUS_SUCCESS
}
unsafe extern "system" fn remove(_: *mut IO_CSQ, _: *mut IRP) {
    unsafe { ONLY = null_mut() }
}
unsafe extern "system" fn peek(_: *mut IO_CSQ, irp: *mut IRP, _: *mut c_void) -> *mut IRP {
    unsafe { if irp.is_null() { ONLY } else { null_mut() } }
}
unsafe extern "system" fn acquire(_: *mut IO_CSQ, irql: *mut u8) {
    unsafe { *irql = KfRaiseIrql(2) }
}
unsafe extern "system" fn release(_: *mut IO_CSQ, irql: u8) {
    unsafe { KeLowerIrql(irql) }
}
unsafe extern "system" fn canceled(_: *mut IO_CSQ, irp: *mut IRP) {
    unsafe {
        complete(irp, STATUS_CANCELLED, 0);
    }
}

// -- StartIo -------------------------------------------------------------------------------------

unsafe extern "system" fn start_io(device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    unsafe {
        let size = (*IoGetCurrentIrpStackLocation(irp)).Parameters.Read.Length;
        println!("start {size} {} at {}", (*device).CurrentIrp == irp, KeGetCurrentIrql());
        KeSetTimer(addr_of_mut!(TIMER).cast(), -10_000, &raw mut (*device).Dpc);
    }
}

unsafe extern "system" fn done_dpc(
    _: *mut KDPC,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
) {
    unsafe {
        let irp = (*SERIAL_DEVICE).CurrentIrp;
        let size = (*IoGetCurrentIrpStackLocation(irp)).Parameters.Read.Length;
        println!("done {size}");
        if size < 3 {
            IoStartNextPacket(SERIAL_DEVICE, 1);
        } else {
            IoStartNextPacketByKey(SERIAL_DEVICE, 1, 0);
        }
        complete(irp, STATUS_SUCCESS, 0);
    }
}

unsafe extern "system" fn cancel(device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    unsafe {
        let entry = &raw mut (*irp).Tail.Overlay.Anonymous1.DeviceQueueEntry;
        let queued = KeRemoveEntryDeviceQueue(&raw mut (*device).DeviceQueue, entry);
        IoReleaseCancelSpinLock((*irp).CancelIrql);
        println!("cancel {queued}");
        complete(irp, STATUS_CANCELLED, 0);
    }
}
