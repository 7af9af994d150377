//! A stack of two devices, and a third that sends requests of its own to it.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{addr_of_mut, null, null_mut};

use windows_kernel_rs::println;
use windows_kernel_sys::*;

const fn code(function: u32) -> u32 {
    FILE_DEVICE_UNKNOWN << 16 | function << 2 | METHOD_BUFFERED
}
// What the upper device does with a request on its way to the lower one.
const SKIP: u32 = code(0x800);
const COPY: u32 = code(0x801);
const MORE: u32 = code(0x802);
const DEEP: u32 = code(0x803);
const FORWARD: u32 = code(0x804);
const EX: u32 = code(0x805);
const MISMARKED: u32 = code(0x806);
const UNMARKED: u32 = code(0x807);
const RESET: u32 = code(0x808);
// What the third device sends.
const CONTROL: u32 = code(0x810);
const TRANSFER: u32 = code(0x811);
const ASYNCHRONOUS: u32 = code(0x812);
const ALLOCATED: u32 = code(0x813);
const BUSY: u32 = code(0x815);
const FAILING: u32 = code(0x816);
const POINTER: u32 = code(0x817);
const LEFT: u32 = code(0x818);
const THREADED: u32 = code(0x819);
const POOL: u32 = code(0x81A);

static mut LOWER: *mut DEVICE_OBJECT = null_mut();
static mut UPPER: *mut DEVICE_OBJECT = null_mut();
static mut MAKER: *mut DEVICE_OBJECT = null_mut();
static mut KEPT: *mut IRP = null_mut();
static mut TIMER: MaybeUninit<KTIMER> = MaybeUninit::zeroed();
static mut DPC: MaybeUninit<KDPC> = MaybeUninit::zeroed();

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
const LOWER_NAME: &[u16] = &wide(b"\\Device\\Lower");
const MAKER_NAME: &[u16] = &wide(b"\\Device\\Maker");

unsafe fn create(driver: *mut DRIVER_OBJECT, name: Option<&[u16]>) -> *mut DEVICE_OBJECT {
    let mut device = null_mut();
    let mut make = |name: *const UNICODE_STRING| unsafe {
        IoCreateDevice(driver, 0, name, FILE_DEVICE_UNKNOWN, 0, 0, &mut device)
    };
    let status = match name {
        Some(name) => with(name, |name| make(name)),
        None => make(null()),
    };
    assert!(status == 0);
    unsafe {
        (*device).Flags |= DO_BUFFERED_IO;
        (*device).Flags &= !DO_DEVICE_INITIALIZING;
    }
    device
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
        KeInitializeTimer(addr_of_mut!(TIMER).cast());
        KeInitializeDpc(addr_of_mut!(DPC).cast(), Some(timer_dpc), null_mut());
        LOWER = create(driver, Some(LOWER_NAME));
        (*LOWER).AlignmentRequirement = 3;
        MAKER = create(driver, Some(MAKER_NAME));
        UPPER = create(driver, None);
        let mut below = null_mut();
        assert!(IoAttachDeviceToDeviceStackSafe(UPPER, LOWER, &mut below) == 0);
        assert!(below == LOWER);
        println!("stack {} alignment {}", (*UPPER).StackSize, (*UPPER).AlignmentRequirement);
        assert!(IoGetAttachedDevice(LOWER) == UPPER);
        let top = IoGetAttachedDeviceReference(LOWER);
        let under = IoGetLowerDeviceObject(UPPER);
        assert!(top == UPPER && under == LOWER && IoGetLowerDeviceObject(LOWER).is_null());
        ObDereferenceObject(top.cast());
        ObDereferenceObject(under.cast());
        // A third on top, by the name of the lowest; and off again.
        let third = create(driver, None);
        let mut below = null_mut();
        assert!(with(LOWER_NAME, |name| IoAttachDevice(third, name, &mut below)) == 0);
        assert!(below == UPPER && (*third).StackSize == 3);
        IoDetachDevice(UPPER);
        assert!(IoAttachDeviceToDeviceStack(third, LOWER) == UPPER);
        IoDetachDevice(UPPER);
        IoDeleteDevice(third);
    }
    STATUS_SUCCESS
}

unsafe extern "system" fn unload(_: *mut DRIVER_OBJECT) {
    unsafe {
        IoDetachDevice(LOWER);
        for device in [UPPER, LOWER, MAKER] {
            IoDeleteDevice(device);
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
        let control = (*here).Parameters.DeviceIoControl.IoControlCode;
        if device == MAKER {
            return match major {
                IRP_MJ_DEVICE_CONTROL => maker(irp, control),
                IRP_MJ_READ => split(irp),
                _ => complete(irp, STATUS_SUCCESS, 0),
            };
        }
        if device == UPPER && major == IRP_MJ_DEVICE_CONTROL {
            return upper(irp, control);
        }
        if device == UPPER {
            IoSkipCurrentIrpStackLocation(irp);
            return IofCallDriver(LOWER, irp);
        }
        lower(irp, major, control)
    }
}

// -- the lower device ----------------------------------------------------------------------------

unsafe fn lower(irp: *mut IRP, major: u32, control: u32) -> NTSTATUS {
    unsafe {
        let here = IoGetCurrentIrpStackLocation(irp);
        let buffer = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        match major {
            IRP_MJ_READ => {
                let size = (*here).Parameters.Read.Length as usize;
                buffer.write_bytes((*here).Parameters.Read.ByteOffset as u8, size);
                complete(irp, STATUS_SUCCESS, size)
            }
            IRP_MJ_WRITE => {
                println!("lower writes {}", *buffer);
                complete(irp, STATUS_SUCCESS, (*here).Parameters.Write.Length as usize)
            }
            IRP_MJ_INTERNAL_DEVICE_CONTROL => {
                println!("lower internal");
                complete(irp, STATUS_SUCCESS, 0)
            }
            IRP_MJ_DEVICE_CONTROL if control == DEEP => {
                IoCopyCurrentIrpStackLocationToNext(irp);
                IofCallDriver(LOWER, irp)
            }
            IRP_MJ_DEVICE_CONTROL if control == MISMARKED => {
                IoMarkIrpPending(irp);
                complete(irp, STATUS_SUCCESS, 0)
            }
            IRP_MJ_DEVICE_CONTROL if control == UNMARKED => {
                complete(irp, STATUS_SUCCESS, 0);
                STATUS_PENDING
            }
            IRP_MJ_DEVICE_CONTROL if control == FAILING => {
                complete(irp, STATUS_DEVICE_NOT_READY, 0)
            }
            IRP_MJ_DEVICE_CONTROL => {
                let later = !buffer.is_null() && *buffer == 1;
                if !later {
                    if !buffer.is_null() {
                        *buffer += 1;
                    }
                    let length = (*here).Parameters.DeviceIoControl.OutputBufferLength;
                    return complete(irp, STATUS_SUCCESS, length as usize);
                }
                KEPT = irp;
                IoMarkIrpPending(irp);
                KeSetTimer(addr_of_mut!(TIMER).cast(), -10_000, addr_of_mut!(DPC).cast());
                STATUS_PENDING
            }
            _ => complete(irp, STATUS_SUCCESS, 0),
        }
    }
}

unsafe extern "system" fn timer_dpc(
    _: *mut KDPC,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
) {
    unsafe {
        let irp = KEPT;
        KEPT = null_mut();
        let buffer = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        *buffer = 99;
        complete(irp, STATUS_SUCCESS, 1);
    }
}

// -- the upper device ----------------------------------------------------------------------------

unsafe extern "system" fn passing(
    device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut c_void,
) -> NTSTATUS {
    unsafe {
        println!(
            "up {} context {} pending {} status {}",
            device == UPPER,
            context as usize,
            (*irp).PendingReturned,
            (*irp).IoStatus.Anonymous.Status
        );
        if (*irp).PendingReturned != 0 {
            IoMarkIrpPending(irp);
        }
    }
    STATUS_SUCCESS
}

unsafe extern "system" fn stopping(
    _: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    event: *mut c_void,
) -> NTSTATUS {
    unsafe {
        if (*irp).PendingReturned != 0 {
            KeSetEvent(event.cast(), 0, 0);
        }
    }
    STATUS_MORE_PROCESSING_REQUIRED
}

unsafe fn upper(irp: *mut IRP, control: u32) -> NTSTATUS {
    unsafe {
        match control {
            COPY => {
                IoCopyCurrentIrpStackLocationToNext(irp);
                IoSetCompletionRoutine(irp, Some(passing), 7 as _, true, true, true);
                IofCallDriver(LOWER, irp)
            }
            EX => {
                IoCopyCurrentIrpStackLocationToNext(irp);
                let status = IoSetCompletionRoutineEx(UPPER, irp, Some(passing), 8 as _, 1, 1, 1);
                assert!(status == 0);
                IofCallDriver(LOWER, irp)
            }
            MORE => {
                let mut event = MaybeUninit::<KEVENT>::uninit();
                KeInitializeEvent(event.as_mut_ptr(), 0, 0);
                IoCopyCurrentIrpStackLocationToNext(irp);
                let context = event.as_mut_ptr().cast();
                IoSetCompletionRoutine(irp, Some(stopping), context, true, true, true);
                let status = IofCallDriver(LOWER, irp);
                if status == STATUS_PENDING {
                    KeWaitForSingleObject(context, 0, 0, 0, null());
                }
                println!("mine again: {status:#x}");
                complete(irp, STATUS_SUCCESS, 1)
            }
            FORWARD => {
                println!("forwarded {}", IoForwardIrpSynchronously(LOWER, irp));
                complete(irp, (*irp).IoStatus.Anonymous.Status, (*irp).IoStatus.Information)
            }
            DEEP => {
                IoCopyCurrentIrpStackLocationToNext(irp);
                IofCallDriver(LOWER, irp)
            }
            RESET => complete(irp, STATUS_SUCCESS, 0),
            _ => {
                IoSkipCurrentIrpStackLocation(irp);
                IofCallDriver(LOWER, irp)
            }
        }
    }
}

// -- the third device ----------------------------------------------------------------------------

unsafe extern "system" fn freeing(
    _: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut c_void,
) -> NTSTATUS {
    unsafe {
        println!("freeing {}", (*irp).IoStatus.Information);
        let system = (*irp).AssociatedIrp.SystemBuffer;
        if !system.is_null() && (*irp).Flags & IRP_DEALLOCATE_BUFFER != 0 {
            ExFreePoolWithTag(system, 0);
        }
        IoFreeIrp(irp);
        if !context.is_null() {
            KeSetEvent(context.cast(), 0, 0);
        }
    }
    STATUS_MORE_PROCESSING_REQUIRED
}

unsafe extern "system" fn keeping(
    _: *mut DEVICE_OBJECT,
    _: *mut IRP,
    _: *mut c_void,
) -> NTSTATUS {
    STATUS_MORE_PROCESSING_REQUIRED
}

/// Send an IRP that was built for this thread and wait for it.
unsafe fn send(irp: *mut IRP, event: *mut KEVENT, block: *mut IO_STATUS_BLOCK) -> NTSTATUS {
    unsafe {
        assert!(!irp.is_null());
        let status = IofCallDriver(UPPER, irp);
        if status == STATUS_PENDING {
            KeWaitForSingleObject(event.cast(), 0, 0, 0, null());
        }
        let found = (*block).Anonymous.Status;
        println!("{status:#x} {found:#x} {}", (*block).Information);
        status
    }
}

unsafe fn prepare(irp: *mut IRP, control: u32, buffer: *mut u8) {
    unsafe {
        let next = IoGetNextIrpStackLocation(irp);
        (*next).MajorFunction = IRP_MJ_DEVICE_CONTROL as u8;
        (*next).Parameters.DeviceIoControl.IoControlCode = control;
        (*next).Parameters.DeviceIoControl.OutputBufferLength = 1;
        (*irp).AssociatedIrp.SystemBuffer = buffer.cast();
    }
}

unsafe fn maker(irp: *mut IRP, control: u32) -> NTSTATUS {
    unsafe {
        let mut event = MaybeUninit::<KEVENT>::uninit();
        KeInitializeEvent(event.as_mut_ptr(), 0, 0);
        let event = event.as_mut_ptr();
        let mut block = IO_STATUS_BLOCK::default();
        let mut byte = 4u8;
        let data = (&raw mut byte).cast::<c_void>();
        match control {
            CONTROL | FAILING => {
                let inner = if control == CONTROL { SKIP } else { FAILING };
                block.Information = 77;
                let new = IoBuildDeviceIoControlRequest(
                    inner, UPPER, data, 1, data, 1, 0, event, &mut block,
                );
                send(new, event, &mut block);
                println!("byte {byte} signalled {}", KeReadStateEvent(event));
                KeInitializeEvent(event, 0, 0);
                byte = 1; // completed by a DPC
                let new = IoBuildDeviceIoControlRequest(
                    SKIP, UPPER, data, 1, data, 1, 0, event, &mut block,
                );
                send(new, event, &mut block);
                println!("byte {byte}");
                let new = IoBuildDeviceIoControlRequest(
                    SKIP, UPPER, null(), 0, null_mut(), 0, 1, event, &mut block,
                );
                send(new, event, &mut block);
            }
            TRANSFER => {
                let mut offset = 0x42i64;
                for major in [IRP_MJ_WRITE, IRP_MJ_READ, IRP_MJ_FLUSH_BUFFERS] {
                    let size = u32::from(major != IRP_MJ_FLUSH_BUFFERS);
                    let at = (&raw mut offset).cast();
                    let new = IoBuildSynchronousFsdRequest(
                        major, UPPER, data, size, at, event, &mut block,
                    );
                    send(new, event, &mut block);
                }
                println!("read {byte:#x}");
            }
            ASYNCHRONOUS => {
                let at = null();
                let new =
                    IoBuildAsynchronousFsdRequest(IRP_MJ_WRITE, UPPER, data, 1, at, &mut block);
                let context = event.cast();
                IoSetCompletionRoutine(new, Some(freeing), context, true, true, true);
                println!("{:#x}", IofCallDriver(UPPER, new));
                KeWaitForSingleObject(context, 0, 0, 0, null());
            }
            ALLOCATED => {
                let new = IoAllocateIrp((*UPPER).StackSize, 0);
                for _ in 0..2 {
                    prepare(new, SKIP, &mut byte);
                    IoSetCompletionRoutine(new, Some(keeping), null_mut(), true, true, true);
                    let status = IofCallDriver(UPPER, new);
                    println!("{status:#x} {byte}");
                    IoReuseIrp(new, STATUS_SUCCESS);
                }
                IoFreeIrp(new);
                let extended = IoAllocateIrpEx(UPPER, 1, 0);
                IoFreeIrp(extended);
            }
            POOL => {
                let size = IoSizeOfIrp((*UPPER).StackSize);
                let new: *mut IRP = ExAllocatePool2(64, size.into(), 0x6C6F_6F50).cast();
                IoInitializeIrp(new, size as u16, (*UPPER).StackSize);
                prepare(new, SKIP, &mut byte);
                IoSetCompletionRoutine(new, Some(keeping), null_mut(), true, true, true);
                println!("{:#x} {byte}", IofCallDriver(UPPER, new));
                ExFreePoolWithTag(new.cast(), 0);
            }
            BUSY => {
                let new = IoAllocateIrp((*UPPER).StackSize, 0);
                let kept: *mut u8 = ExAllocatePool2(64, 1, 0x6C6F_6F50).cast();
                *kept = 1;
                prepare(new, SKIP, kept);
                IofCallDriver(UPPER, new);
                IoFreeIrp(new);
            }
            THREADED => {
                let new = IoBuildDeviceIoControlRequest(
                    SKIP, UPPER, data, 1, data, 1, 0, event, &mut block,
                );
                IoFreeIrp(new);
            }
            LEFT => {
                let new = IoAllocateIrp((*UPPER).StackSize, 0);
                prepare(new, SKIP, &mut byte);
                IofCallDriver(UPPER, new);
            }
            POINTER => {
                let (mut file, mut device) = (null_mut(), null_mut());
                let status = with(LOWER_NAME, |name| {
                    IoGetDeviceObjectPointer(name, FILE_READ_DATA, &mut file, &mut device)
                });
                let related = IoGetRelatedDeviceObject(file);
                println!("{status} {} {}", device == UPPER, related == UPPER);
                println!("{}", (*LOWER).ReferenceCount);
                ObDereferenceObject(file.cast());
            }
            _ => return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0),
        }
        complete(irp, STATUS_SUCCESS, 0)
    }
}

/// A read in two halves, each by an associated IRP of its own.
unsafe fn split(irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let size = (*IoGetCurrentIrpStackLocation(irp)).Parameters.Read.Length;
        let buffer = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        (*irp).AssociatedIrp.IrpCount = 2;
        (*irp).IoStatus.Anonymous.Status = STATUS_SUCCESS;
        (*irp).IoStatus.Information = size as usize;
        IoMarkIrpPending(irp);
        for half in 0..2u32 {
            let new = IoMakeAssociatedIrp(irp, (*UPPER).StackSize);
            let next = IoGetNextIrpStackLocation(new);
            (*next).MajorFunction = IRP_MJ_WRITE as u8;
            (*next).Parameters.Write.Length = size / 2;
            let at = buffer.add((half * size / 2) as usize);
            *at = half as u8 + 65;
            (*new).UserBuffer = at.cast();
            IoSetCompletionRoutine(new, Some(half_done), null_mut(), true, true, true);
            // The maker's own device answers a write with success.
            IofCallDriver(MAKER, new);
        }
        STATUS_PENDING
    }
}

unsafe extern "system" fn half_done(
    _: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    _: *mut c_void,
) -> NTSTATUS {
    println!("half {}", unsafe { (*irp).IoStatus.Anonymous.Status });
    STATUS_SUCCESS
}
