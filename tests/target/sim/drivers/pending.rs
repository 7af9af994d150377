//! A device that keeps requests: reads in a cancel-safe queue until a write brings them data,
//! control requests until a timer, a thread or another request completes them.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::{addr_of_mut, null, null_mut};

use windows_kernel_rs::println;
use windows_kernel_sys::*;

const fn code(function: u32) -> u32 {
    FILE_DEVICE_UNKNOWN << 16 | function << 2 | METHOD_BUFFERED
}
const LATER: u32 = code(0x800);
const FOREVER: u32 = code(0x801);
const CANCELABLE: u32 = code(0x802);
const THREAD: u32 = code(0x803);
const TWICE: u32 = code(0x804);
const TOUCH: u32 = code(0x805);
const RELEASE: u32 = code(0x806);
const CONTEXT: u32 = code(0x807);
const HELD: u32 = code(0x808);
const BLOCK: u32 = code(0x809);
const UNBLOCK: u32 = code(0x80A);
const SYNCHRONOUS: u32 = code(0x80B);
const WHO: u32 = code(0x80C);
const PERIODIC: u32 = code(0x80D);

static mut CSQ: MaybeUninit<IO_CSQ> = MaybeUninit::zeroed();
static mut QUEUE: MaybeUninit<LIST_ENTRY> = MaybeUninit::zeroed();
static mut LOCK: usize = 0;
static mut TIMER: MaybeUninit<KTIMER> = MaybeUninit::zeroed();
static mut DPC: MaybeUninit<KDPC> = MaybeUninit::zeroed();
static mut EVENT: MaybeUninit<KEVENT> = MaybeUninit::zeroed();
static mut KEPT: *mut IRP = null_mut();
static mut OPENS: usize = 0;

fn csq() -> *mut IO_CSQ {
    addr_of_mut!(CSQ).cast()
}
fn queue() -> *mut LIST_ENTRY {
    addr_of_mut!(QUEUE).cast()
}
fn event() -> *mut KEVENT {
    addr_of_mut!(EVENT).cast()
}

fn with<T>(text: &[u16], then: impl FnOnce(&UNICODE_STRING) -> T) -> T {
    let size = (text.len() * 2) as u16;
    then(&UNICODE_STRING { Length: size, MaximumLength: size, Buffer: text.as_ptr() as *mut u16 })
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
const NAME: &[u16] = &wide(b"\\Device\\Pending");
const LINK: &[u16] = &wide(b"\\DosDevices\\Pending");

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
        InitializeListHead(queue());
        KeInitializeEvent(event(), 0, 0);
        KeInitializeTimer(addr_of_mut!(TIMER).cast());
        KeInitializeDpc(addr_of_mut!(DPC).cast(), Some(timer_dpc), null_mut());
        let status = IoCsqInitialize(
            csq(),
            Some(insert),
            Some(remove),
            Some(peek),
            Some(acquire),
            Some(release),
            Some(complete_canceled),
        );
        assert!(status == 0);
        let mut device = null_mut();
        let status = with(NAME, |name| {
            IoCreateDevice(driver, 0, name, FILE_DEVICE_UNKNOWN, 0, 0, &mut device)
        });
        if status < 0 {
            return status;
        }
        (*device).Flags |= DO_BUFFERED_IO;
        assert!(IoRegisterShutdownNotification(device) == 0);
        assert!(IoRegisterLastChanceShutdownNotification(device) == 0);
        with(NAME, |name| with(LINK, |link| IoCreateSymbolicLink(link, name)))
    }
}

unsafe extern "system" fn unload(driver: *mut DRIVER_OBJECT) {
    unsafe {
        let _ = with(LINK, |link| IoDeleteSymbolicLink(link));
        KeCancelTimer(addr_of_mut!(TIMER).cast());
        IoUnregisterShutdownNotification((*driver).DeviceObject);
        IoDeleteDevice((*driver).DeviceObject);
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

// -- the cancel-safe queue -----------------------------------------------------------------------

unsafe fn entry_of(irp: *mut IRP) -> *mut LIST_ENTRY {
    unsafe { &raw mut (*irp).Tail.Overlay.Anonymous2.ListEntry }
}
unsafe fn irp_of(entry: *mut LIST_ENTRY) -> *mut IRP {
    let offset = core::mem::offset_of!(IRP, Tail.Overlay.Anonymous2);
    unsafe { entry.byte_sub(offset).cast() }
}
unsafe extern "system" fn insert(_: *mut IO_CSQ, irp: *mut IRP) {
    unsafe { InsertTailList(queue(), entry_of(irp)) }
}
unsafe extern "system" fn remove(_: *mut IO_CSQ, irp: *mut IRP) {
    unsafe {
        RemoveEntryList(entry_of(irp));
    }
}
unsafe extern "system" fn peek(_: *mut IO_CSQ, irp: *mut IRP, file: *mut c_void) -> *mut IRP {
    unsafe {
        let mut entry = if irp.is_null() { (*queue()).Flink } else { (*entry_of(irp)).Flink };
        while entry != queue() {
            let next = irp_of(entry);
            let of = (*IoGetCurrentIrpStackLocation(next)).FileObject;
            if file.is_null() || of.cast() == file {
                return next;
            }
            entry = (*entry).Flink;
        }
        null_mut()
    }
}
unsafe extern "system" fn acquire(_: *mut IO_CSQ, irql: *mut u8) {
    unsafe { *irql = KeAcquireSpinLockRaiseToDpc(addr_of_mut!(LOCK)) }
}
unsafe extern "system" fn release(_: *mut IO_CSQ, irql: u8) {
    unsafe { KeReleaseSpinLock(addr_of_mut!(LOCK), irql) }
}
unsafe extern "system" fn complete_canceled(_: *mut IO_CSQ, irp: *mut IRP) {
    println!("canceled");
    unsafe {
        complete(irp, STATUS_CANCELLED, 0);
    }
}

// -- who completes later -------------------------------------------------------------------------

unsafe extern "system" fn timer_dpc(
    _: *mut KDPC,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
) {
    unsafe {
        let irp = KEPT;
        KEPT = null_mut();
        println!("dpc at {}", KeGetCurrentIrql());
        (*irp).AssociatedIrp.SystemBuffer.cast::<u8>().write_bytes(0x5A, 4);
        complete(irp, STATUS_SUCCESS, 4);
    }
}

unsafe extern "system" fn worker(context: *mut c_void) {
    unsafe {
        let mut interval: i64 = -50_000_000;
        KeDelayExecutionThread(0, 0, &raw mut interval as _);
        println!("thread");
        complete(context.cast(), STATUS_SUCCESS, 0);
    }
}

unsafe extern "system" fn cancel(_: *mut DEVICE_OBJECT, irp: *mut IRP) {
    unsafe {
        println!("cancel routine at {}", KeGetCurrentIrql());
        IoReleaseCancelSpinLock((*irp).CancelIrql);
        KEPT = null_mut();
        complete(irp, STATUS_CANCELLED, 0);
    }
}

// -- dispatch ------------------------------------------------------------------------------------

unsafe extern "system" fn dispatch(_: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    unsafe {
        let here = IoGetCurrentIrpStackLocation(irp);
        let file = (*here).FileObject;
        match u32::from((*here).MajorFunction) {
            IRP_MJ_CREATE => {
                OPENS += 1;
                (*file).FsContext = OPENS as *mut c_void;
                complete(irp, STATUS_SUCCESS, 0)
            }
            IRP_MJ_CLEANUP => {
                println!("cleanup {}", (*file).FsContext as usize);
                // A file called \keep leaves its reads to the I/O manager.
                while (*file).FileName.Length == 0 {
                    let next = IoCsqRemoveNextIrp(csq(), file.cast());
                    if next.is_null() {
                        break;
                    }
                    complete(next, STATUS_CANCELLED, 0);
                }
                complete(irp, STATUS_SUCCESS, 0)
            }
            IRP_MJ_CLOSE => {
                println!("close {}", (*file).FsContext as usize);
                complete(irp, STATUS_SUCCESS, 0)
            }
            IRP_MJ_READ => {
                IoCsqInsertIrp(csq(), irp, null_mut());
                STATUS_PENDING
            }
            IRP_MJ_WRITE => {
                let size = (*here).Parameters.Write.Length as usize;
                let next = IoCsqRemoveNextIrp(csq(), null());
                if next.is_null() {
                    return complete(irp, STATUS_DEVICE_NOT_READY, 0);
                }
                let room = (*IoGetCurrentIrpStackLocation(next)).Parameters.Read.Length as usize;
                let size = size.min(room);
                core::ptr::copy_nonoverlapping(
                    (*irp).AssociatedIrp.SystemBuffer.cast::<u8>(),
                    (*next).AssociatedIrp.SystemBuffer.cast::<u8>(),
                    size,
                );
                complete(next, STATUS_SUCCESS, size);
                complete(irp, STATUS_SUCCESS, size)
            }
            IRP_MJ_FLUSH_BUFFERS => {
                println!("flush");
                complete(irp, STATUS_SUCCESS, 0)
            }
            IRP_MJ_SHUTDOWN => {
                println!("shutdown");
                complete(irp, STATUS_SUCCESS, 0)
            }
            IRP_MJ_DEVICE_CONTROL => control(irp, here, file),
            _ => complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0),
        }
    }
}

unsafe fn control(
    irp: *mut IRP,
    here: *mut IO_STACK_LOCATION,
    file: *mut FILE_OBJECT,
) -> NTSTATUS {
    unsafe {
        let buffer = (*irp).AssociatedIrp.SystemBuffer.cast::<u8>();
        match (*here).Parameters.DeviceIoControl.IoControlCode {
            LATER => {
                let due = -10_000 * i64::from(buffer.cast::<u32>().read());
                KEPT = irp;
                IoMarkIrpPending(irp);
                KeSetTimer(addr_of_mut!(TIMER).cast(), due, addr_of_mut!(DPC).cast());
                STATUS_PENDING
            }
            FOREVER => {
                KEPT = irp;
                IoMarkIrpPending(irp);
                STATUS_PENDING
            }
            CANCELABLE => {
                KEPT = irp;
                IoMarkIrpPending(irp);
                IoSetCancelRoutine(irp, Some(cancel));
                STATUS_PENDING
            }
            THREAD => {
                IoMarkIrpPending(irp);
                let mut handle: HANDLE = null_mut();
                let status = PsCreateSystemThread(
                    &mut handle,
                    0x1F_FFFF,
                    null(),
                    null_mut(),
                    null_mut(),
                    Some(worker),
                    irp.cast(),
                );
                assert!(status == 0);
                ZwClose(handle);
                STATUS_PENDING
            }
            TWICE => {
                complete(irp, STATUS_SUCCESS, 0);
                complete_again(irp)
            }
            TOUCH => {
                complete(irp, STATUS_SUCCESS, 0);
                println!("{}", (*irp).StackCount);
                STATUS_SUCCESS
            }
            RELEASE => {
                let kept = KEPT;
                KEPT = null_mut();
                IoSetCancelRoutine(kept, None);
                complete(kept, STATUS_SUCCESS, 0);
                complete(irp, STATUS_SUCCESS, 0)
            }
            CONTEXT => {
                buffer.cast::<u64>().write_unaligned((*file).FsContext as u64);
                complete(irp, STATUS_SUCCESS, 8)
            }
            HELD => {
                // The lock keeps it from being cancelled while it is looked at.
                let mut irql = 0;
                IoAcquireCancelSpinLock(&mut irql);
                let held = KeGetCurrentIrql();
                IoReleaseCancelSpinLock(irql);
                let found = IoCancelIrp(irp);
                println!("{irql} {held} {found} {}", (*irp).Cancel);
                complete(irp, STATUS_SUCCESS, 0)
            }
            BLOCK => {
                KeWaitForSingleObject(event().cast(), 0, 0, 0, null());
                println!("unblocked");
                complete(irp, STATUS_SUCCESS, 0)
            }
            UNBLOCK => {
                KeSetEvent(event(), 0, 0);
                complete(irp, STATUS_SUCCESS, 0)
            }
            SYNCHRONOUS => {
                println!("synchronous {}", IoIsOperationSynchronous(irp));
                complete(irp, STATUS_SUCCESS, 0)
            }
            PERIODIC => {
                // A timer that rings for ever, each millisecond, and does nothing.
                KeSetTimerEx(addr_of_mut!(TIMER).cast(), -10_000, 1, null_mut());
                complete(irp, STATUS_SUCCESS, 0)
            }
            WHO => {
                let mut session = 7;
                let status = IoGetRequestorSessionId(irp, &mut session);
                println!(
                    "{} {} {status} {session} {}",
                    IoGetRequestorProcess(irp) as usize == IoGetCurrentProcess() as usize,
                    IoGetRequestorProcessId(irp) == PsGetCurrentProcessId() as u32,
                    IoIs32bitProcess(irp),
                );
                println!("{}", IoValidateDeviceIoControlAccess(irp, 2) as u32);
                IoSetTopLevelIrp(irp);
                println!("{}", IoGetTopLevelIrp() == irp);
                IoSetTopLevelIrp(null());
                complete(irp, STATUS_SUCCESS, 0)
            }
            _ => complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0),
        }
    }
}

#[inline(never)]
unsafe fn complete_again(irp: *mut IRP) -> NTSTATUS {
    unsafe { IoCompleteRequest(irp, 0) };
    STATUS_SUCCESS
}
