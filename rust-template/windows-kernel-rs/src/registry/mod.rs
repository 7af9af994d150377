//! The registry: [`Key`]s and their typed [`value`]s.
//!
//! All of it is for IRQL PASSIVE. Paths are those of the object manager:
//! `\Registry\Machine\Software\Lab`, not `HKLM\…`. WDK: "Using the Registry in a Driver".
//!
//! ```no_run
//! use windows_kernel_rs::registry::{Access, Key};
//! use windows_kernel_rs::{Driver, Result};
//!
//! fn init(_: Driver, registry_path: &str) -> Result<()> {
//!     let parameters = Key::parameters(registry_path, Access::Write)?;
//!     let depth: u32 = parameters.get_or("Depth", 16)?;
//!     parameters.set("Starts", &(parameters.get_or("Starts", 0_u32)? + 1))?;
//!     for name in parameters.values() {
//!         let (name, value) = name?;
//!         windows_kernel_rs::println!("{} has {} bytes", name.display(), value.data().len());
//!     }
//!     # let _ = depth; Ok(())
//! }
//! ```

mod enumerate;
pub mod value;

use core::ffi::c_void;
use core::mem::offset_of;
use core::ptr;

use alloc::vec::Vec;

use windows_kernel_sys as sys;
use windows_kernel_sys::{KEY_VALUE_PARTIAL_INFORMATION, NTSTATUS};

pub use enumerate::{Keys, Values};
pub use value::{FromValue, ToValue, Value};

use crate::error::{Error, Result, check};
use crate::irql::{Irql, assert_at_most};
use crate::ob::{Handle, with_attributes};
use crate::string::{AsUnicode, UnicodeString};

/// What a key is opened for. The kernel does not hold a driver to it; [`Key`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// `KEY_READ`: values and keys below it can be read.
    Read,
    /// `KEY_READ` and `KEY_WRITE`: they can be made and changed too.
    Write,
    /// `KEY_ALL_ACCESS`: the key can also be deleted.
    All,
}

impl Access {
    fn mask(self) -> u32 {
        match self {
            Access::Read => sys::KEY_READ,
            Access::Write => sys::KEY_READ | sys::KEY_WRITE,
            Access::All => sys::KEY_ALL_ACCESS,
        }
    }
}

/// An open key of the registry, closed when it is dropped. IRQL: PASSIVE.
#[derive(Debug)]
pub struct Key {
    handle: Handle,
    access: Access,
}

impl Key {
    /// Opens the key of a whole path. IRQL: PASSIVE. WDK: "ZwOpenKey function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::OBJECT_NAME_NOT_FOUND`], or what a registry callback answers.
    #[track_caller]
    pub fn open(path: impl AsUnicode, access: Access) -> Result<Key> {
        open(path, None, access)
    }

    /// Opens the key of a whole path, and makes it where it is missing; those above it have to be
    /// there. IRQL: PASSIVE. WDK: "ZwCreateKey function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::OBJECT_NAME_NOT_FOUND`] when a key above it is missing, or what a registry callback
    /// answers.
    #[track_caller]
    pub fn create(path: impl AsUnicode, access: Access) -> Result<Key> {
        create(path, None, access)
    }

    /// The driver's `Parameters` key, below the `registry_path` that
    /// [`KernelModule::init`](crate::KernelModule::init) gets. Unless it is for reading, it is made
    /// where it is missing. IRQL: PASSIVE.
    ///
    /// # Errors
    /// As for [`open`](Self::open) and [`create`](Self::create).
    #[track_caller]
    pub fn parameters(registry_path: &str, access: Access) -> Result<Key> {
        let path = UnicodeString::try_new(&[registry_path, "\\Parameters"])?;
        if access == Access::Read { Key::open(&path, access) } else { Key::create(&path, access) }
    }

    /// Opens a key below this one. IRQL: PASSIVE. WDK: "ZwOpenKey function (wdm.h)".
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    #[track_caller]
    pub fn open_key(&self, path: impl AsUnicode, access: Access) -> Result<Key> {
        open(path, Some(&self.handle), access)
    }

    /// Opens a key below this one, and makes it where it is missing. IRQL: PASSIVE. WDK:
    /// "ZwCreateKey function (wdm.h)".
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    #[track_caller]
    pub fn create_key(&self, path: impl AsUnicode, access: Access) -> Result<Key> {
        create(path, Some(&self.handle), access)
    }

    /// A value, as `T` wants it; see [`FromValue`]. The empty name is the key's default value.
    ///
    /// IRQL: PASSIVE. WDK: "ZwQueryValueKey function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::OBJECT_NAME_NOT_FOUND`] when there is none, [`Error::OBJECT_TYPE_MISMATCH`] when it
    /// is of another type, [`Error::INVALID_BUFFER_SIZE`] when its data does not fit its type.
    #[track_caller]
    pub fn get<T: FromValue>(&self, name: impl AsUnicode) -> Result<T> {
        assert_at_most(Irql::PASSIVE, "Key::get");
        let header = offset_of!(KEY_VALUE_PARTIAL_INFORMATION, Data);
        let mut block = name.with_unicode(|name| {
            query(|buffer, size, needed| {
                // SAFETY: the handle and the name are valid, the buffer has `size` bytes.
                unsafe {
                    sys::ZwQueryValueKey(
                        self.as_raw(),
                        name.as_raw(),
                        sys::KeyValuePartialInformation,
                        buffer,
                        size,
                        needed,
                    )
                }
            })
        })??;
        let kind = u32_at(&block, offset_of!(KEY_VALUE_PARTIAL_INFORMATION, Type))?;
        let size = u32_at(&block, offset_of!(KEY_VALUE_PARTIAL_INFORMATION, DataLength))?;
        block.drain(..header.min(block.len()));
        block.truncate(size as usize);
        T::from_value(Value::new(kind, block))
    }

    /// As [`get`](Self::get), with a default for what is not there. IRQL: PASSIVE.
    ///
    /// # Errors
    /// As for `get`: a value of another type is an error, not the default.
    #[track_caller]
    pub fn get_or<T: FromValue>(&self, name: impl AsUnicode, default: T) -> Result<T> {
        match self.get(name) {
            Err(Error::OBJECT_NAME_NOT_FOUND) => Ok(default),
            other => other,
        }
    }

    /// Writes a value; see [`ToValue`]. IRQL: PASSIVE. WDK: "ZwSetValueKey function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::ACCESS_DENIED`] when the key was opened for reading,
    /// [`Error::INSUFFICIENT_RESOURCES`], or what a registry callback answers.
    #[track_caller]
    pub fn set<T: ToValue + ?Sized>(&self, name: impl AsUnicode, value: &T) -> Result<()> {
        assert_at_most(Irql::PASSIVE, "Key::set");
        self.require(Access::Write)?;
        name.with_unicode(|name| {
            value.with_value(|kind, data| {
                let size = u32::try_from(data.len())?;
                // SAFETY: the handle and the name are valid, the data has `size` bytes.
                check(unsafe {
                    sys::ZwSetValueKey(
                        self.as_raw(),
                        name.as_raw(),
                        0,
                        kind,
                        data.as_ptr().cast(),
                        size,
                    )
                })
            })
        })???;
        Ok(())
    }

    /// Deletes a value. IRQL: PASSIVE. WDK: "ZwDeleteValueKey function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::OBJECT_NAME_NOT_FOUND`]; [`Error::ACCESS_DENIED`] when the key was opened for
    /// reading.
    #[track_caller]
    pub fn delete_value(&self, name: impl AsUnicode) -> Result<()> {
        assert_at_most(Irql::PASSIVE, "Key::delete_value");
        self.require(Access::Write)?;
        name.with_unicode(|name| {
            // SAFETY: the handle and the name are valid.
            check(unsafe { sys::ZwDeleteValueKey(self.as_raw(), name.as_raw()) })
        })??;
        Ok(())
    }

    /// Deletes the key, which must have none below it and be open for [`Access::All`]. IRQL:
    /// PASSIVE. WDK: "ZwDeleteKey function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::ACCESS_DENIED`] when it is not open for that, `STATUS_CANNOT_DELETE`.
    #[track_caller]
    pub fn delete(self) -> Result<()> {
        assert_at_most(Irql::PASSIVE, "Key::delete");
        self.require(Access::All)?;
        // SAFETY: the handle is valid.
        check(unsafe { sys::ZwDeleteKey(self.as_raw()) })?;
        Ok(())
    }

    /// Writes what was changed to the disk; slow. IRQL: PASSIVE. WDK: "ZwFlushKey function
    /// (wdm.h)".
    ///
    /// # Errors
    /// What the disk answers.
    #[track_caller]
    pub fn flush(&self) -> Result<()> {
        assert_at_most(Irql::PASSIVE, "Key::flush");
        // SAFETY: the handle is valid.
        check(unsafe { sys::ZwFlushKey(self.as_raw()) })?;
        Ok(())
    }

    /// The names of the keys below it. IRQL: PASSIVE. WDK: "ZwEnumerateKey function (wdm.h)".
    ///
    /// They are asked for one by one: what is made or deleted meanwhile may be missed.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        Keys::new(self)
    }

    /// Its values with their names. IRQL: PASSIVE. WDK: "ZwEnumerateValueKey function (wdm.h)".
    ///
    /// They are asked for one by one: what is made or deleted meanwhile may be missed.
    #[must_use]
    pub fn values(&self) -> Values<'_> {
        Values::new(self)
    }

    fn require(&self, access: Access) -> Result<()> {
        if self.access >= access { Ok(()) } else { Err(Error::ACCESS_DENIED) }
    }

    /// The handle, for `windows-kernel-sys`.
    #[must_use]
    pub fn as_raw(&self) -> sys::HANDLE {
        self.handle.as_raw()
    }
}

#[track_caller]
fn open(path: impl AsUnicode, root: Option<&Handle>, access: Access) -> Result<Key> {
    assert_at_most(Irql::PASSIVE, "Key::open");
    let handle = with_attributes(path, root, |attributes| {
        // SAFETY: the attributes are valid, and ask for a kernel handle.
        unsafe { Handle::open(|handle| sys::ZwOpenKey(handle, access.mask(), attributes)) }
    })??;
    Ok(Key { handle, access })
}

#[track_caller]
fn create(path: impl AsUnicode, root: Option<&Handle>, access: Access) -> Result<Key> {
    assert_at_most(Irql::PASSIVE, "Key::create");
    let handle = with_attributes(path, root, |attributes| {
        let options = sys::REG_OPTION_NON_VOLATILE;
        // SAFETY: the attributes are valid, and ask for a kernel handle; class and disposition
        // may be left out.
        unsafe {
            Handle::open(|handle| {
                sys::ZwCreateKey(
                    handle,
                    access.mask(),
                    attributes,
                    0,
                    ptr::null(),
                    options,
                    ptr::null_mut(),
                )
            })
        }
    })??;
    Ok(Key { handle, access })
}

/// What fits most values.
const FIRST: usize = 128;

/// Asks with a larger buffer until it suffices.
fn query(mut ask: impl FnMut(*mut c_void, u32, *mut u32) -> NTSTATUS) -> Result<Vec<u8>> {
    let mut buffer = Vec::new();
    let mut size = FIRST;
    loop {
        buffer.try_reserve_exact(size).map_err(Error::from)?;
        buffer.resize(size, 0);
        let mut needed = 0;
        match check(ask(buffer.as_mut_ptr().cast(), u32::try_from(size)?, &raw mut needed)) {
            Ok(_) => {
                buffer.truncate(needed as usize);
                return Ok(buffer);
            }
            // Somebody may write a larger value in between, so this can come more than once.
            Err(Error::BUFFER_OVERFLOW | Error::BUFFER_TOO_SMALL) if needed as usize > size => {
                buffer.clear();
                size = needed as usize;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A field of what the registry answered.
fn u32_at(block: &[u8], offset: usize) -> Result<u32> {
    let bytes = block.get(offset..).and_then(<[u8]>::first_chunk);
    bytes.map(|bytes| u32::from_le_bytes(*bytes)).ok_or(Error::INVALID_BUFFER_SIZE)
}
