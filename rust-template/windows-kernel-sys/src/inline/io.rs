//! IRPs and their stack locations (`wdm.h`).

use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::base::*;
use crate::ntoskrnl::*;

use super::constants::*;

/// `IoGetCurrentIrpStackLocation`. IRQL <= DISPATCH.
///
/// # Safety
/// `irp` is an IRP that the caller owns.
#[inline]
#[must_use]
pub unsafe fn IoGetCurrentIrpStackLocation(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller's IRP is valid; of this union every IRP of a driver has the overlay.
    unsafe { (*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation }
}

/// `IoGetNextIrpStackLocation`. IRQL <= DISPATCH.
///
/// # Safety
/// `irp` is an IRP that the caller owns and has a lower driver's stack location left.
#[inline]
#[must_use]
pub unsafe fn IoGetNextIrpStackLocation(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller promises that there is a location below the current one.
    unsafe { IoGetCurrentIrpStackLocation(irp).sub(1) }
}

/// `IoSetNextIrpStackLocation`. IRQL <= DISPATCH.
///
/// # Safety
/// As [`IoGetNextIrpStackLocation`].
#[inline]
pub unsafe fn IoSetNextIrpStackLocation(irp: *mut IRP) {
    // SAFETY: the caller promises that there is a location below the current one.
    unsafe {
        (*irp).CurrentLocation -= 1;
        (*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation =
            IoGetNextIrpStackLocation(irp);
    }
}

/// `IoSkipCurrentIrpStackLocation`: the next driver gets this driver's stack location.
/// IRQL <= DISPATCH.
///
/// # Safety
/// `irp` is an IRP that the caller owns and is about to pass down.
#[inline]
pub unsafe fn IoSkipCurrentIrpStackLocation(irp: *mut IRP) {
    // SAFETY: the location array has one more element than drivers use, so this stays inside.
    unsafe {
        (*irp).CurrentLocation += 1;
        (*irp).Tail.Overlay.Anonymous2.Anonymous.CurrentStackLocation =
            IoGetCurrentIrpStackLocation(irp).add(1);
    }
}

/// `IoCopyCurrentIrpStackLocationToNext`: all but the completion routine. IRQL <= DISPATCH.
///
/// # Safety
/// As [`IoGetNextIrpStackLocation`].
#[inline]
pub unsafe fn IoCopyCurrentIrpStackLocationToNext(irp: *mut IRP) {
    // SAFETY: both locations are in the IRP's array and do not overlap.
    unsafe {
        let next = IoGetNextIrpStackLocation(irp);
        ptr::copy_nonoverlapping(
            IoGetCurrentIrpStackLocation(irp).cast::<u8>(),
            next.cast::<u8>(),
            offset_of!(IO_STACK_LOCATION, CompletionRoutine),
        );
        (*next).Control = 0;
    }
}

/// `IoSetCompletionRoutine`. IRQL <= DISPATCH.
///
/// # Safety
/// As [`IoGetNextIrpStackLocation`]; `routine` and `context` stay valid until it has run.
#[inline]
pub unsafe fn IoSetCompletionRoutine(
    irp: *mut IRP,
    routine: PIO_COMPLETION_ROUTINE,
    context: PVOID,
    invoke_on_success: bool,
    invoke_on_error: bool,
    invoke_on_cancel: bool,
) {
    let mut control = 0;
    if invoke_on_success {
        control |= SL_INVOKE_ON_SUCCESS as u8;
    }
    if invoke_on_error {
        control |= SL_INVOKE_ON_ERROR as u8;
    }
    if invoke_on_cancel {
        control |= SL_INVOKE_ON_CANCEL as u8;
    }
    // SAFETY: the caller promises that there is a location below the current one.
    unsafe {
        let next = IoGetNextIrpStackLocation(irp);
        (*next).CompletionRoutine = routine;
        (*next).Context = context;
        (*next).Control = control;
    }
}

/// `IoMarkIrpPending`: the dispatch routine will return `STATUS_PENDING`. IRQL <= DISPATCH.
///
/// # Safety
/// `irp` is an IRP that the caller owns.
#[inline]
pub unsafe fn IoMarkIrpPending(irp: *mut IRP) {
    // SAFETY: the caller owns the IRP, so its current location is valid.
    unsafe { (*IoGetCurrentIrpStackLocation(irp)).Control |= SL_PENDING_RETURNED as u8 }
}

/// `IoSetCancelRoutine`: sets and returns the old one, atomically. IRQL <= DISPATCH.
///
/// # Safety
/// `irp` is a valid IRP.
#[inline]
pub unsafe fn IoSetCancelRoutine(irp: *mut IRP, routine: DRIVER_CANCEL) -> DRIVER_CANCEL {
    // SAFETY: the field is a pointer in size and alignment, and a null pointer is `None`.
    unsafe {
        let field = AtomicUsize::from_ptr((&raw mut (*irp).CancelRoutine).cast());
        let new = core::mem::transmute::<DRIVER_CANCEL, usize>(routine);
        core::mem::transmute::<usize, DRIVER_CANCEL>(field.swap(new, Ordering::AcqRel))
    }
}

/// `IoSizeOfIrp`
#[inline]
#[must_use]
pub const fn IoSizeOfIrp(stack_size: i8) -> u16 {
    (size_of::<IRP>() + stack_size as usize * size_of::<IO_STACK_LOCATION>()) as u16
}

/// `IoCompleteRequest`. IRQL <= DISPATCH.
///
/// # Safety
/// The caller owns `irp`, and does not touch it afterwards.
#[inline]
pub unsafe fn IoCompleteRequest(irp: *mut IRP, priority_boost: i8) {
    // SAFETY: passed on to the caller.
    unsafe { IofCompleteRequest(irp, priority_boost) }
}

/// `IoCallDriver`. IRQL <= DISPATCH.
///
/// # Safety
/// The next stack location of `irp` is set up for `device`; the caller gives up the IRP.
#[inline]
pub unsafe fn IoCallDriver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    // SAFETY: passed on to the caller.
    unsafe { IofCallDriver(device, irp) }
}

/// `InitializeObjectAttributes`
#[inline]
#[must_use]
pub const fn InitializeObjectAttributes(
    name: *mut UNICODE_STRING,
    attributes: u32,
    root: HANDLE,
    security: PSECURITY_DESCRIPTOR,
) -> OBJECT_ATTRIBUTES {
    OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        RootDirectory: root,
        ObjectName: name,
        Attributes: attributes,
        SecurityDescriptor: security.cast(),
        SecurityQualityOfService: ptr::null_mut(),
    }
}

/// `ObReferenceObject`. IRQL <= DISPATCH.
///
/// # Safety
/// `object` is a live object that the caller holds a reference to.
#[inline]
pub unsafe fn ObReferenceObject(object: PVOID) -> isize {
    // SAFETY: passed on to the caller.
    unsafe { ObfReferenceObject(object) }
}

/// `ObDereferenceObject`. IRQL <= DISPATCH.
///
/// # Safety
/// The caller gives up one reference to `object`.
#[inline]
pub unsafe fn ObDereferenceObject(object: PVOID) -> isize {
    // SAFETY: passed on to the caller.
    unsafe { ObfDereferenceObject(object) }
}
