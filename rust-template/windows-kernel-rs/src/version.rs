//! Which Windows this is.
//!
//! ```no_run
//! use windows_kernel_rs::version::{self, Version};
//! let modern = version::running() >= Version::new(10, 0, 19041);
//! # let _ = modern;
//! ```

use core::fmt;

use windows_kernel_sys::{OSVERSIONINFOW, RtlGetVersion};

use crate::irql::{Irql, assert_at_most};

/// A version of Windows; versions compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 10 for Windows 10 and 11.
    pub major: u32,
    /// 0 for Windows 10 and 11.
    pub minor: u32,
    /// 19041 for Windows 10 2004, from 22000 on for Windows 11.
    pub build: u32,
}

impl Version {
    /// The version of these numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, build: u32) -> Self {
        Version { major, minor, build }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// The version that runs. IRQL: PASSIVE. WDK: "RtlGetVersion function (wdm.h)".
#[must_use]
#[track_caller]
pub fn running() -> Version {
    assert_at_most(Irql::PASSIVE, "version::running");
    let size = size_of::<OSVERSIONINFOW>() as u32;
    let mut found = OSVERSIONINFOW { dwOSVersionInfoSize: size, ..OSVERSIONINFOW::default() };
    // SAFETY: the structure has the size that it says. The routine never fails.
    unsafe { RtlGetVersion(&raw mut found) };
    Version::new(found.dwMajorVersion, found.dwMinorVersion, found.dwBuildNumber)
}
