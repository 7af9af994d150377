//! [`RegistryNotify`]: keys and values are about to be used.

use core::ffi::c_void;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicI64, Ordering};

use alloc::boxed::Box;

use windows_kernel_sys as sys;
use windows_kernel_sys::{
    CmCallbackGetKeyObjectIDEx, CmCallbackReleaseKeyObjectIDEx, CmRegisterCallbackEx,
    CmUnRegisterCallback, NTSTATUS, STATUS_ACCESS_DENIED, STATUS_CALLBACK_BYPASS, STATUS_SUCCESS,
    UNICODE_STRING,
};

use super::thin;
use crate::error::{Error, Result, check};
use crate::exec::image::ImageHold;
use crate::irql::{Irql, assert_at_most};
use crate::mem::try_box;
use crate::module::Driver;
use crate::string::{AsUnicode, UnicodeStr};

type Callback = Box<dyn Fn(&RegistryEvent<'_>) -> Result<()> + Send + Sync>;

/// What the kernel keeps the address of.
struct Context {
    /// Written by the kernel when it registers, which may call the routine before it returns.
    cookie: AtomicI64,
    callback: Callback,
}

/// What somebody is about to do to the registry. `Err` refuses it, and is what they get.
#[derive(Debug)]
#[non_exhaustive]
pub enum RegistryEvent<'a> {
    /// A value is written.
    SetValue {
        /// The value's key.
        key: RegistryKey<'a>,
        /// The value's name.
        name: &'a UnicodeStr,
        /// Its type, `REG_…`.
        kind: u32,
        /// Its data; `None` where the kernel has not copied it from the program's memory, which
        /// may change at any time.
        data: Option<&'a [u8]>,
    },
    /// A value is deleted.
    DeleteValue {
        /// The value's key.
        key: RegistryKey<'a>,
        /// The value's name.
        name: &'a UnicodeStr,
    },
    /// A value is read.
    QueryValue {
        /// The value's key.
        key: RegistryKey<'a>,
        /// The value's name.
        name: &'a UnicodeStr,
    },
    /// A key is deleted.
    DeleteKey {
        /// The key.
        key: RegistryKey<'a>,
    },
    /// A key gets another name.
    RenameKey {
        /// The key.
        key: RegistryKey<'a>,
        /// Its new name.
        name: &'a UnicodeStr,
    },
    /// A key is opened, and made if it is not there.
    CreateKey {
        /// From where `path` goes, unless it begins with a backslash.
        root: RegistryKey<'a>,
        /// The path.
        path: &'a UnicodeStr,
    },
    /// A key is opened.
    OpenKey {
        /// From where `path` goes, unless it begins with a backslash.
        root: RegistryKey<'a>,
        /// The path.
        path: &'a UnicodeStr,
    },
    /// Something else, `RegNtPre…`.
    Other(i32),
}

/// A key that somebody has open.
#[derive(Clone, Copy, Debug)]
pub struct RegistryKey<'a> {
    object: *mut c_void,
    cookie: &'a AtomicI64,
}

impl RegistryKey<'_> {
    /// Its whole path, `\REGISTRY\MACHINE\…`. IRQL <= APC. WDK: "CmCallbackGetKeyObjectIDEx
    /// function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::DEVICE_NOT_READY`] as long as registering is not complete, and when another thread
    /// has begun to unregister; [`Error::INSUFFICIENT_RESOURCES`].
    #[track_caller]
    pub fn path(&self) -> Result<KeyPath> {
        assert_at_most(Irql::APC, "RegistryKey::path");
        let cookie = self.cookie.load(Ordering::Acquire);
        if cookie == 0 || self.object.is_null() {
            return Err(Error::DEVICE_NOT_READY);
        }
        let mut name = ptr::null_mut();
        // SAFETY: the cookie is the registration's, the object is a key that the kernel keeps
        // during the call; the identifier may be left out.
        let status = check(unsafe {
            CmCallbackGetKeyObjectIDEx(
                &raw const cookie,
                self.object,
                ptr::null_mut(),
                &raw mut name,
                0,
            )
        });
        status.map_err(|error| match error {
            Error::INVALID_PARAMETER => Error::DEVICE_NOT_READY, // the cookie is no longer valid
            other => other,
        })?;
        NonNull::new(name).map(KeyPath).ok_or(Error::DEVICE_NOT_READY)
    }
}

/// A key's path, kept by the kernel until this is dropped.
#[derive(Debug)]
pub struct KeyPath(NonNull<UNICODE_STRING>);

impl Deref for KeyPath {
    type Target = UnicodeStr;

    fn deref(&self) -> &UnicodeStr {
        // SAFETY: a valid string, until it is released.
        unsafe { UnicodeStr::from_raw(self.0.as_ptr()) }.unwrap_or(crate::u16str!(""))
    }
}

impl Drop for KeyPath {
    /// IRQL <= APC.
    fn drop(&mut self) {
        // SAFETY: from `CmCallbackGetKeyObjectIDEx`, and released once.
        unsafe { CmCallbackReleaseKeyObjectIDEx(self.0.as_ptr()) };
    }
}

/// Has a closure called before the registry is used. See the [module](super).
///
/// The closure is called at IRQL <= APC, in the thread that uses the registry. What it does to the
/// registry itself is told to it as well: mind the recursion.
///
/// WDK: "CmRegisterCallbackEx function (wdm.h)", "Filtering Registry Calls".
///
/// ```no_run
/// use windows_kernel_rs::notify::{RegistryEvent, RegistryNotify};
/// use windows_kernel_rs::{Driver, Error, Result, u16str};
///
/// fn guard(driver: &Driver) -> Result<RegistryNotify> {
///     RegistryNotify::try_new(driver, u16str!("380010"), |event| match event {
///         RegistryEvent::SetValue { name, .. } if name.eq_ignore_case(u16str!("Locked")) => {
///             Err(Error::ACCESS_DENIED)
///         }
///         _ => Ok(()),
///     })
/// }
/// ```
#[must_use = "dropping it unregisters the closure"]
pub struct RegistryNotify {
    // From a box; the kernel has the address.
    context: NonNull<Context>,
    // A registration that was forgotten does not outlive the code that it calls.
    _hold: ImageHold,
}

// SAFETY: the closure is `Send` and `Sync`, and the context is only dropped here.
unsafe impl Send for RegistryNotify {}
// SAFETY: as for `Send`.
unsafe impl Sync for RegistryNotify {}

impl RegistryNotify {
    /// Registers. `altitude` says where among others: a decimal number as text, the highest is
    /// called first; Microsoft hands them out. IRQL <= APC.
    ///
    /// # Errors
    /// `STATUS_FLT_INSTANCE_ALTITUDE_COLLISION` when somebody has this altitude,
    /// [`Error::INVALID_PARAMETER`], [`Error::INSUFFICIENT_RESOURCES`].
    #[track_caller]
    pub fn try_new<F>(driver: &Driver, altitude: impl AsUnicode, callback: F) -> Result<Self>
    where
        F: Fn(&RegistryEvent<'_>) -> Result<()> + Send + Sync + 'static,
    {
        assert_at_most(Irql::APC, "RegistryNotify::try_new");
        let hold = ImageHold::try_new()?;
        let callback: Callback = try_box(callback)?;
        let context =
            NonNull::from(Box::leak(thin(Context { cookie: AtomicI64::new(0), callback })?));
        // From here on, dropping `this` takes the context back; the cookie says if unregistering
        // is needed.
        let this = RegistryNotify { context, _hold: hold };
        let status = altitude.with_unicode(|altitude| {
            // SAFETY: the routine has the signature that is wanted, and its context lives until
            // it was unregistered; the cookie may be written.
            unsafe {
                CmRegisterCallbackEx(
                    Some(notify),
                    altitude.as_raw(),
                    driver.as_raw().cast(),
                    context.as_ptr().cast_const().cast(),
                    context.as_ref().cookie.as_ptr(),
                    ptr::null(),
                )
            }
        })?;
        if let Err(error) = check(status) {
            // SAFETY: the context is there.
            unsafe { context.as_ref() }.cookie.store(0, Ordering::Release);
            return Err(error);
        }
        Ok(this)
    }
}

impl Drop for RegistryNotify {
    /// Unregisters, and waits for calls that run. IRQL <= APC. WDK: "CmUnRegisterCallback function
    /// (wdm.h)".
    fn drop(&mut self) {
        assert_at_most(Irql::APC, "RegistryNotify::drop");
        // SAFETY: the context is there.
        let cookie = unsafe { self.context.as_ref() }.cookie.load(Ordering::Acquire);
        // SAFETY: the cookie is that of the registration. The call waits until the routine runs
        // nowhere: it would deadlock, the WDK says, if the routine itself made it.
        if cookie == 0 || check(unsafe { CmUnRegisterCallback(cookie) }).is_ok() {
            // SAFETY: from a box; the kernel does not use it any more.
            drop(unsafe { Box::from_raw(self.context.as_ptr()) });
        }
    }
}

unsafe extern "system" fn notify(
    context: *mut c_void,
    class: *mut c_void,
    information: *mut c_void,
) -> NTSTATUS {
    // SAFETY: the context that was registered, which lives until it was unregistered.
    let context = unsafe { &*context.cast_const().cast::<Context>() };
    let class = class.addr() as i32;
    // SAFETY: the kernel passes the structure of the class.
    let Some(event) = (unsafe { event(class, information, &context.cookie) }) else {
        return STATUS_SUCCESS;
    };
    match (context.callback)(&event) {
        Ok(()) => STATUS_SUCCESS,
        // This would say that the driver has done the operation itself, and filled in its results.
        Err(error) if error.to_kernel_errno() == STATUS_CALLBACK_BYPASS => STATUS_ACCESS_DENIED,
        Err(error) => error.to_kernel_errno(),
    }
}

/// The event of a class; `None` for what is over already or cannot be refused.
///
/// # Safety
/// `information` is the kernel's structure of the class, valid during `'a`.
unsafe fn event<'a>(
    class: i32,
    information: *mut c_void,
    cookie: &'a AtomicI64,
) -> Option<RegistryEvent<'a>> {
    let key = |object| RegistryKey { object, cookie };
    macro_rules! info {
        ($kind:ident) => {
            // SAFETY: the caller's promise.
            unsafe { information.cast_const().cast::<sys::$kind>().as_ref() }?
        };
    }
    Some(match class {
        sys::RegNtPreSetValueKey => {
            let info = info!(REG_SET_VALUE_KEY_INFORMATION);
            // SAFETY: the kernel's strings and data, valid during `'a`.
            let (name, data) = unsafe { (text(info.ValueName), data(info.Data, info.DataSize)) };
            RegistryEvent::SetValue { key: key(info.Object), name, kind: info.Type, data }
        }
        sys::RegNtPreDeleteValueKey => {
            let info = info!(REG_DELETE_VALUE_KEY_INFORMATION);
            // SAFETY: as above.
            let name = unsafe { text(info.ValueName) };
            RegistryEvent::DeleteValue { key: key(info.Object), name }
        }
        sys::RegNtPreQueryValueKey => {
            let info = info!(REG_QUERY_VALUE_KEY_INFORMATION);
            // SAFETY: as above.
            let name = unsafe { text(info.ValueName) };
            RegistryEvent::QueryValue { key: key(info.Object), name }
        }
        sys::RegNtPreDeleteKey => {
            RegistryEvent::DeleteKey { key: key(info!(REG_DELETE_KEY_INFORMATION).Object) }
        }
        sys::RegNtPreRenameKey => {
            let info = info!(REG_RENAME_KEY_INFORMATION);
            // SAFETY: as above.
            let name = unsafe { text(info.NewName) };
            RegistryEvent::RenameKey { key: key(info.Object), name }
        }
        sys::RegNtPreCreateKeyEx | sys::RegNtPreOpenKeyEx => {
            let info = info!(REG_CREATE_KEY_INFORMATION);
            // SAFETY: as above.
            let path = unsafe { text(info.CompleteName) };
            let root = key(info.RootObject);
            if class == sys::RegNtPreCreateKeyEx {
                RegistryEvent::CreateKey { root, path }
            } else {
                RegistryEvent::OpenKey { root, path }
            }
        }
        sys::RegNtPreSetInformationKey
        | sys::RegNtPreEnumerateKey
        | sys::RegNtPreEnumerateValueKey
        | sys::RegNtPreQueryKey
        | sys::RegNtPreQueryMultipleValueKey
        | sys::RegNtPreFlushKey
        | sys::RegNtPreLoadKey
        | sys::RegNtPreUnLoadKey
        | sys::RegNtPreQueryKeySecurity
        | sys::RegNtPreSetKeySecurity
        | sys::RegNtPreRestoreKey
        | sys::RegNtPreSaveKey
        | sys::RegNtPreReplaceKey
        | sys::RegNtPreQueryKeyName
        | sys::RegNtPreSaveMergedKey => RegistryEvent::Other(class),
        _ => return None,
    })
}

/// # Safety
/// `raw` is null or a string that the kernel keeps during `'a`.
unsafe fn text<'a>(raw: *const UNICODE_STRING) -> &'a UnicodeStr {
    // SAFETY: the caller's promise.
    unsafe { UnicodeStr::from_raw(raw) }.unwrap_or(crate::u16str!(""))
}

/// # Safety
/// `data` has `size` bytes; where it is in the kernel half, the kernel keeps it as it is during
/// `'a`.
unsafe fn data<'a>(data: *const c_void, size: u32) -> Option<&'a [u8]> {
    if size == 0 {
        return Some(&[]);
    }
    // The kernel half has the highest bit set.
    let kernel = (data.addr() as isize) < 0;
    // SAFETY: the caller's promise.
    kernel.then(|| unsafe { slice::from_raw_parts(data.cast(), size as usize) })
}
