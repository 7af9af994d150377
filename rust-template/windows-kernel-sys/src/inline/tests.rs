//! What runs without a kernel.

use core::mem::{offset_of, zeroed};
use core::ptr;

use super::*;
use crate::base::*;

#[test]
fn control_codes() {
    // The example of the WDK's "Defining I/O Control Codes".
    const CODE: u32 = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS);
    assert_eq!(CODE, 0x0022_2000);
    let code = CTL_CODE(0x8001, 0x8FF, METHOD_NEITHER, FILE_READ_ACCESS | FILE_WRITE_ACCESS);
    assert_eq!(code, 0x8001_E3FF);
    assert_eq!(DEVICE_TYPE_FROM_CTL_CODE(code), 0x8001);
    assert_eq!(METHOD_FROM_CTL_CODE(code), METHOD_NEITHER);
}

#[test]
fn severities() {
    assert!(NT_SUCCESS(STATUS_SUCCESS) && NT_SUCCESS(STATUS_PENDING));
    assert!(NT_SUCCESS(STATUS_OBJECT_NAME_EXISTS) && NT_INFORMATION(STATUS_OBJECT_NAME_EXISTS));
    assert!(!NT_SUCCESS(STATUS_BUFFER_OVERFLOW) && NT_WARNING(STATUS_BUFFER_OVERFLOW));
    assert!(!NT_SUCCESS(STATUS_ACCESS_DENIED) && NT_ERROR(STATUS_ACCESS_DENIED));
}

#[test]
fn pages() {
    assert_eq!([0, 1, 4096, 4097].map(BYTES_TO_PAGES), [0, 1, 1, 2]);
    assert_eq!(ADDRESS_AND_SIZE_TO_SPAN_PAGES(0x1FFF, 2), 2);
    assert_eq!(ADDRESS_AND_SIZE_TO_SPAN_PAGES(0x1000, 4096), 1);
}

/// Stack locations as the I/O manager lays them out: the first driver has the last one.
struct Request {
    irp: IRP,
    stack: [IO_STACK_LOCATION; 3],
}

impl Request {
    fn new() -> Self {
        // SAFETY: all zero is a valid value of these structs.
        unsafe { Request { irp: zeroed(), stack: zeroed() } }
    }

    fn irp(&mut self) -> *mut IRP {
        self.irp.StackCount = 2;
        self.irp.CurrentLocation = 2;
        self.irp.Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation = &raw mut self.stack[1];
        &raw mut self.irp
    }
}

unsafe extern "system" fn completed(
    _: *mut DEVICE_OBJECT,
    _: *mut IRP,
    _: *mut core::ffi::c_void,
) -> NTSTATUS {
    STATUS_SUCCESS
}

#[test]
fn stack_locations() {
    let mut request = Request::new();
    let irp = request.irp();
    let stack = &raw mut request.stack;
    // SAFETY: the request is valid, and has a location on each side of the current one.
    unsafe {
        let (next, current) = (&raw mut (*stack)[0], &raw mut (*stack)[1]);
        assert_eq!(IoGetCurrentIrpStackLocation(irp), current);
        assert_eq!(IoGetNextIrpStackLocation(irp), next);

        (*current).MajorFunction = IRP_MJ_DEVICE_CONTROL as u8;
        (*current).Parameters.DeviceIoControl.IoControlCode = 0x22_2000;
        (*current).Context = ptr::dangling_mut();
        (*next).Context = ptr::null_mut();
        (*next).Control = 0xFF;
        IoCopyCurrentIrpStackLocationToNext(irp);
        assert_eq!((*next).MajorFunction, IRP_MJ_DEVICE_CONTROL as u8);
        assert_eq!((*next).Parameters.DeviceIoControl.IoControlCode, 0x22_2000);
        assert!((*next).Context.is_null());
        assert_eq!((*next).Control, 0);

        let context = ptr::dangling_mut();
        IoSetCompletionRoutine(irp, Some(completed), context, true, false, true);
        assert!((*next).CompletionRoutine.is_some());
        assert_eq!((*next).Context, context);
        assert_eq!(u32::from((*next).Control), SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_CANCEL);

        IoMarkIrpPending(irp);
        assert_eq!(u32::from((*current).Control), SL_PENDING_RETURNED);

        IoSetNextIrpStackLocation(irp);
        assert_eq!((IoGetCurrentIrpStackLocation(irp), (*irp).CurrentLocation), (next, 1));
        IoSkipCurrentIrpStackLocation(irp);
        assert_eq!((IoGetCurrentIrpStackLocation(irp), (*irp).CurrentLocation), (current, 2));
    }
}

unsafe extern "system" fn cancel(_: *mut DEVICE_OBJECT, _: *mut IRP) {}

#[test]
fn cancel_routines() {
    let mut request = Request::new();
    let irp = request.irp();
    // SAFETY: the request is valid.
    unsafe {
        assert!(IoSetCancelRoutine(irp, Some(cancel)).is_none());
        assert!(IoSetCancelRoutine(irp, None).is_some());
        assert!((*irp).CancelRoutine.is_none());
    }
}

#[test]
fn lists() {
    let mut entries: [LIST_ENTRY; 4] = Default::default();
    let [head, a, b, c] = [0, 1, 2, 3].map(|index| &raw mut entries[index]);
    // SAFETY: the entries outlive the list, and nothing else touches them.
    unsafe {
        InitializeListHead(head);
        assert!(IsListEmpty(head));
        InsertTailList(head, b);
        InsertTailList(head, c);
        InsertHeadList(head, a);
        assert!(!IsListEmpty(head));
        assert_eq!(RemoveHeadList(head), a);
        assert!(!RemoveEntryList(c));
        assert_eq!(RemoveTailList(head), b);
        assert!(IsListEmpty(head));
        assert_eq!(RemoveHeadList(head), head);
    }
}

#[test]
fn mapped_buffers() {
    // SAFETY: all zero is a valid value.
    let mut mdl: MDL = unsafe { zeroed() };
    mdl.StartVa = 0x10_0000 as PVOID;
    mdl.ByteOffset = 0x123;
    mdl.ByteCount = 77;
    // SAFETY: the MDL is valid.
    unsafe {
        assert_eq!(MmGetMdlVirtualAddress(&raw const mdl) as usize, 0x10_0123);
        assert_eq!(MmGetMdlByteCount(&raw const mdl), 77);
        assert_eq!(MmGetMdlByteOffset(&raw const mdl), 0x123);
    }
}

#[test]
fn registers() {
    let mut register = 5_u32;
    // SAFETY: ordinary memory will do.
    unsafe {
        WRITE_REGISTER_ULONG(&raw mut register, 0xABCD);
        assert_eq!(READ_REGISTER_ULONG(&raw const register), 0xABCD);
    }
}

#[test]
fn layouts_that_inline_functions_rest_on() {
    // `KUSER_SHARED_DATA` is the same in all versions of Windows.
    assert_eq!(offset_of!(KUSER_SHARED_DATA, InterruptTime), 0x8);
    assert_eq!(offset_of!(KUSER_SHARED_DATA, SystemTime), 0x14);
    assert_eq!(offset_of!(KUSER_SHARED_DATA, Anonymous4.TickCount), 0x320);
    // The loop of a dispatch table must reach the last one.
    let driver = DRIVER_OBJECT::default();
    assert_eq!(driver.MajorFunction.len(), IRP_MJ_MAXIMUM_FUNCTION as usize + 1);
    assert_eq!(IoSizeOfIrp(2) as usize, 208 + 2 * 72);
    assert_eq!(ZwCurrentProcess() as isize, -1);
}
