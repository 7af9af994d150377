//! Strings of the kernel: counted UTF-16, `UNICODE_STRING`.
//!
//! | | |
//! |---|---|
//! | [`UnicodeStr`] | a string that somebody else keeps: what `PUNICODE_STRING` points to |
//! | [`UnicodeString`] | one that is owned |
//! | [`u16str!`](crate::u16str) | a constant, converted by the compiler |
//!
//! A counted string need not end in NUL and may have NULs inside, and what the kernel gives is not
//! always valid UTF-16. So there is no `Display` that hides this: [`UnicodeStr::display`] shows
//! U+FFFD for what is invalid and says so in its name, [`UnicodeStr::try_to_string`] fails.
//!
//! Where a name is wanted, [`AsUnicode`] takes all of these and Rust's own strings.
//!
//! ```no_run
//! use windows_kernel_rs::string::UnicodeString;
//! use windows_kernel_rs::{println, u16str};
//!
//! # fn f() -> windows_kernel_rs::Result<()> {
//! let path = UnicodeString::try_new(&["\\Device\\", "Lab"])?;
//! assert!(*path == *u16str!("\\Device\\Lab"));
//! println!("{}", path.display());
//! # Ok(()) }
//! ```

mod literal;
mod owned;
mod view;

pub use literal::{encode, units};
pub use owned::UnicodeString;
pub use view::{Display, UnicodeStr};

use alloc::string::String;

use windows_kernel_sys::UNICODE_STRING;

use crate::error::{Error, Result};

/// The most UTF-16 units that a counted string can have: its length is 16 bits of bytes.
pub const MAX_UNITS: usize = u16::MAX as usize / 2;

/// The text of a `UNICODE_STRING`, by its `Length`: there need not be a NUL, and there may be
/// one inside. What is not valid UTF-16 becomes U+FFFD. Fails only when memory runs out.
///
/// IRQL <= DISPATCH, if the string may be read there.
///
/// # Errors
/// [`Error::INSUFFICIENT_RESOURCES`].
///
/// # Safety
/// `string` is null or points to a `UNICODE_STRING` whose `Buffer` has `Length` bytes.
pub unsafe fn to_string_lossy(string: *const UNICODE_STRING) -> Result<String> {
    // SAFETY: the caller's promise.
    match unsafe { UnicodeStr::from_raw(string) } {
        Some(string) => string.to_string_lossy(),
        None => Ok(String::new()),
    }
}

/// What can be passed where the kernel wants a counted string.
///
/// A [`UnicodeStr`] (and so [`u16str!`](crate::u16str)) is passed as it is; a `str` is converted,
/// which needs memory and can fail.
///
/// ```no_run
/// # use windows_kernel_rs::{Result, u16str, registry::{Access, Key}};
/// # fn f(name: &str) -> Result<()> {
/// let first = Key::open(u16str!("\\Registry\\Machine\\Software"), Access::Read)?;
/// let second = first.open_key(name, Access::Read)?;
/// # Ok(()) }
/// ```
pub trait AsUnicode {
    /// Calls `f` with the string. IRQL <= DISPATCH.
    ///
    /// # Errors
    /// [`Error::NAME_TOO_LONG`] for more than [`MAX_UNITS`], [`Error::INSUFFICIENT_RESOURCES`].
    fn with_unicode<R>(&self, f: impl FnOnce(&UnicodeStr) -> R) -> Result<R>;
}

impl AsUnicode for UnicodeStr {
    fn with_unicode<R>(&self, f: impl FnOnce(&UnicodeStr) -> R) -> Result<R> {
        Ok(f(self))
    }
}

impl AsUnicode for UnicodeString {
    fn with_unicode<R>(&self, f: impl FnOnce(&UnicodeStr) -> R) -> Result<R> {
        Ok(f(self))
    }
}

impl AsUnicode for str {
    fn with_unicode<R>(&self, f: impl FnOnce(&UnicodeStr) -> R) -> Result<R> {
        Ok(f(&*UnicodeString::try_new(&[self])?))
    }
}

impl AsUnicode for String {
    fn with_unicode<R>(&self, f: impl FnOnce(&UnicodeStr) -> R) -> Result<R> {
        self.as_str().with_unicode(f)
    }
}

impl<T: AsUnicode + ?Sized> AsUnicode for &T {
    fn with_unicode<R>(&self, f: impl FnOnce(&UnicodeStr) -> R) -> Result<R> {
        (**self).with_unicode(f)
    }
}

/// The length in bytes of so many units.
fn bytes(units: usize) -> Result<u16> {
    if units > MAX_UNITS { Err(Error::NAME_TOO_LONG) } else { Ok((units * 2) as u16) }
}
