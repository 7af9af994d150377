//! What the object manager counts: [`Handle`]s, and [`ObjectRef`]erences to objects.
//!
//! The handles of this crate are kernel handles: they mean the same in every process, and no
//! program can use or close them. WDK: "Object Handles", "Life Cycle of an Object".

use core::ffi::c_void;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

use windows_kernel_sys::{
    HANDLE, InitializeObjectAttributes, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES,
    ObfDereferenceObject, ObfReferenceObject, ZwClose,
};

use crate::error::{Error, Result, check};
use crate::irql::{Irql, assert_at_most};
use crate::string::AsUnicode;

/// An open handle, closed when it is dropped. IRQL: PASSIVE.
///
/// WDK: "ZwClose function (wdm.h)".
#[derive(Debug)]
pub struct Handle(NonNull<c_void>);

// SAFETY: a kernel handle may be used by any thread.
unsafe impl Send for Handle {}
// SAFETY: as for `Send`.
unsafe impl Sync for Handle {}

impl Handle {
    /// Owns `handle`; `None` for a null one. IRQL: any.
    ///
    /// # Safety
    /// `handle` is null or an open kernel handle that nobody else closes.
    #[must_use]
    pub unsafe fn from_raw(handle: HANDLE) -> Option<Self> {
        NonNull::new(handle).map(Handle)
    }

    /// The handle, for `windows-kernel-sys`; it stays this value's own. IRQL: any.
    #[must_use]
    pub fn as_raw(&self) -> HANDLE {
        self.0.as_ptr()
    }

    /// Calls a routine that opens something.
    ///
    /// # Safety
    /// Where `open` succeeds, it has stored a kernel handle that it gives away.
    pub(crate) unsafe fn open(
        open: impl FnOnce(*mut HANDLE) -> windows_kernel_sys::NTSTATUS,
    ) -> Result<Self> {
        let mut handle = ptr::null_mut();
        check(open(&raw mut handle))?;
        // SAFETY: the caller's promise.
        unsafe { Self::from_raw(handle) }.ok_or(Error::INVALID_HANDLE)
    }
}

impl Drop for Handle {
    /// IRQL: PASSIVE.
    fn drop(&mut self) {
        assert_at_most(Irql::PASSIVE, "Handle::drop");
        // SAFETY: the handle is open, and this value's own.
        unsafe { ZwClose(self.as_raw()) };
    }
}

/// Calls `f` with the attributes of a kernel handle to what `name` is below `root`, or by itself.
pub(crate) fn with_attributes<R>(
    name: impl AsUnicode,
    root: Option<&Handle>,
    f: impl FnOnce(*const OBJECT_ATTRIBUTES) -> R,
) -> Result<R> {
    name.with_unicode(|name| {
        let attributes = InitializeObjectAttributes(
            name.as_raw().cast_mut(),
            OBJ_KERNEL_HANDLE | OBJ_CASE_INSENSITIVE,
            root.map_or(ptr::null_mut(), Handle::as_raw),
            ptr::null_mut(),
        );
        f(&raw const attributes)
    })
}

/// A counted reference to an object of the kernel, given back when it is dropped. IRQL <=
/// DISPATCH.
///
/// `T` tells kinds of objects apart; nothing of it is reached through this type.
///
/// WDK: "ObReferenceObject macro (wdm.h)", "ObDereferenceObject macro (wdm.h)".
#[derive(Debug)]
pub struct ObjectRef<T> {
    object: NonNull<c_void>,
    kind: PhantomData<fn() -> T>,
}

// SAFETY: objects are counted and used by kernel routines, from any thread.
unsafe impl<T> Send for ObjectRef<T> {}
// SAFETY: as for `Send`.
unsafe impl<T> Sync for ObjectRef<T> {}

impl<T> ObjectRef<T> {
    /// Owns the reference that a kernel routine has made for its caller. `None` for null.
    ///
    /// # Safety
    /// `object` is null or an object of kind `T`, with a reference that is given away here.
    #[must_use]
    pub unsafe fn from_referenced(object: *mut c_void) -> Option<Self> {
        Some(ObjectRef { object: NonNull::new(object)?, kind: PhantomData })
    }

    /// One more reference to `object`. `None` for null. IRQL <= DISPATCH.
    ///
    /// # Safety
    /// `object` is null or an object of kind `T` that somebody keeps meanwhile.
    #[must_use]
    pub unsafe fn reference(object: *mut c_void) -> Option<Self> {
        if !object.is_null() {
            // SAFETY: the caller's promise.
            unsafe { ObfReferenceObject(object) };
        }
        // SAFETY: the reference was just made.
        unsafe { Self::from_referenced(object) }
    }

    /// The object, for `windows-kernel-sys`; it is there as long as this value. IRQL: any.
    #[must_use]
    pub fn as_raw(&self) -> *mut c_void {
        self.object.as_ptr()
    }
}

impl<T> Clone for ObjectRef<T> {
    /// One more reference. IRQL <= DISPATCH.
    fn clone(&self) -> Self {
        // SAFETY: this value keeps the object.
        unsafe { ObfReferenceObject(self.as_raw()) };
        ObjectRef { object: self.object, kind: PhantomData }
    }
}

impl<T> Drop for ObjectRef<T> {
    /// IRQL <= DISPATCH.
    fn drop(&mut self) {
        assert_at_most(Irql::DISPATCH, "ObjectRef::drop");
        // SAFETY: the reference is this value's own.
        unsafe { ObfDereferenceObject(self.as_raw()) };
    }
}
