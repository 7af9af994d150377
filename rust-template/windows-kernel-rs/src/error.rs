//! Errors: an NTSTATUS that is a failure.
//!
//! WDK: "Using NTSTATUS Values". A status has a severity: success and information are not
//! failures (`NT_SUCCESS`), warnings and errors are.

use core::fmt;
use core::num::NonZeroI32;

use windows_kernel_sys as sys;
use windows_kernel_sys::{NT_SUCCESS, NTSTATUS};

/// `Ok`, or an [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// A failure status. Never a success: returning one from `DriverEntry` always fails the load.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Error(NonZeroI32);

/// The result of a routine that returns an NTSTATUS: `Ok` with the status itself if it is
/// success or information (`STATUS_PENDING`, say), else the error.
///
/// # Errors
/// If `status` is a warning or an error.
pub const fn check(status: NTSTATUS) -> Result<NTSTATUS> {
    if NT_SUCCESS(status) { Ok(status) } else { Err(Error::from_kernel_errno(status)) }
}

impl Error {
    /// The error of a status that a kernel routine returned. A status that is no failure is no
    /// error and becomes [`Error::INTERNAL_ERROR`]: ask [`check`] where it is not known.
    #[must_use]
    pub const fn from_kernel_errno(status: NTSTATUS) -> Self {
        match NonZeroI32::new(status) {
            Some(code) if !NT_SUCCESS(status) => Error(code),
            _ => Self::INTERNAL_ERROR,
        }
    }

    /// The status to return to the kernel. Always a failure.
    #[must_use]
    pub const fn to_kernel_errno(self) -> NTSTATUS {
        self.0.get()
    }
}

macro_rules! errors {
    ($($name:ident = $status:ident, $doc:literal;)*) => {
        impl Error {
            $(
                #[doc = concat!("`", stringify!($status), "`: ", $doc, ".")]
                pub const $name: Error = match NonZeroI32::new(sys::$status) {
                    Some(code) if code.get() < 0 => Error(code),
                    _ => panic!("not a failure"),
                };
            )*

            /// The name of the status, `STATUS_…`, if it is one of the constants here.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                Some(match self {
                    $(Error::$name => stringify!($status),)*
                    _ => return None,
                })
            }
        }

        #[cfg(test)]
        const ALL: &[(Error, &str)] = &[$((Error::$name, stringify!($status))),*];
    };
}

errors! {
    ACCESS_DENIED = STATUS_ACCESS_DENIED, "the caller may not do this";
    ACCESS_VIOLATION = STATUS_ACCESS_VIOLATION, "an address could not be read or written";
    ALREADY_REGISTERED = STATUS_ALREADY_REGISTERED, "it is registered already";
    BUFFER_OVERFLOW = STATUS_BUFFER_OVERFLOW, "a warning: the data is longer than the buffer";
    BUFFER_TOO_SMALL = STATUS_BUFFER_TOO_SMALL, "the buffer is too small, nothing was written";
    CANCELLED = STATUS_CANCELLED, "the request was cancelled";
    DATATYPE_MISALIGNMENT = STATUS_DATATYPE_MISALIGNMENT, "a warning: a pointer is not aligned";
    DATA_ERROR = STATUS_DATA_ERROR, "the data is damaged";
    DELETE_PENDING = STATUS_DELETE_PENDING, "it is about to be deleted";
    DEVICE_BUSY = STATUS_DEVICE_BUSY, "a warning: the device is busy";
    DEVICE_DATA_ERROR = STATUS_DEVICE_DATA_ERROR, "the device's data is damaged";
    DEVICE_DOES_NOT_EXIST = STATUS_DEVICE_DOES_NOT_EXIST, "there is no such device";
    DEVICE_NOT_CONNECTED = STATUS_DEVICE_NOT_CONNECTED, "the device is not connected";
    DEVICE_NOT_READY = STATUS_DEVICE_NOT_READY, "the device is not ready";
    DEVICE_REMOVED = STATUS_DEVICE_REMOVED, "the device was removed";
    END_OF_FILE = STATUS_END_OF_FILE, "there is nothing left to read";
    FILE_CLOSED = STATUS_FILE_CLOSED, "the file is closed";
    FLOAT_DIVIDE_BY_ZERO = STATUS_FLOAT_DIVIDE_BY_ZERO, "division by zero";
    ILLEGAL_CHARACTER = STATUS_ILLEGAL_CHARACTER, "a character that may not be there";
    INFO_LENGTH_MISMATCH = STATUS_INFO_LENGTH_MISMATCH, "the length does not fit what is asked";
    INSUFFICIENT_RESOURCES = STATUS_INSUFFICIENT_RESOURCES, "memory or another resource ran out";
    INTEGER_DIVIDE_BY_ZERO = STATUS_INTEGER_DIVIDE_BY_ZERO, "division by zero";
    INTEGER_OVERFLOW = STATUS_INTEGER_OVERFLOW, "a number does not fit";
    INTERNAL_ERROR = STATUS_INTERNAL_ERROR, "a mistake in the program";
    INVALID_ADDRESS = STATUS_INVALID_ADDRESS, "the address is not valid";
    INVALID_BUFFER_SIZE = STATUS_INVALID_BUFFER_SIZE, "the buffer's size is not valid";
    INVALID_DEVICE_REQUEST = STATUS_INVALID_DEVICE_REQUEST, "the device does not do that";
    INVALID_DEVICE_STATE = STATUS_INVALID_DEVICE_STATE, "the device does not do that now";
    INVALID_HANDLE = STATUS_INVALID_HANDLE, "the handle is not valid";
    INVALID_IMAGE_FORMAT = STATUS_INVALID_IMAGE_FORMAT, "the file is no image for this machine";
    INVALID_INFO_CLASS = STATUS_INVALID_INFO_CLASS, "there is no such information";
    INVALID_PARAMETER = STATUS_INVALID_PARAMETER, "an argument is not valid";
    INVALID_PARAMETER_1 = STATUS_INVALID_PARAMETER_1, "the first argument is not valid";
    INVALID_PARAMETER_2 = STATUS_INVALID_PARAMETER_2, "the second argument is not valid";
    INVALID_PARAMETER_3 = STATUS_INVALID_PARAMETER_3, "the third argument is not valid";
    INVALID_PARAMETER_4 = STATUS_INVALID_PARAMETER_4, "the fourth argument is not valid";
    INVALID_USER_BUFFER = STATUS_INVALID_USER_BUFFER, "the caller's buffer is not valid";
    IN_PAGE_ERROR = STATUS_IN_PAGE_ERROR, "a page could not be read in";
    IO_DEVICE_ERROR = STATUS_IO_DEVICE_ERROR, "the device failed";
    IO_TIMEOUT = STATUS_IO_TIMEOUT, "the device did not answer in time";
    NAME_TOO_LONG = STATUS_NAME_TOO_LONG, "the name is too long";
    NOT_A_DIRECTORY = STATUS_NOT_A_DIRECTORY, "it is no directory";
    NOT_FOUND = STATUS_NOT_FOUND, "it was not found";
    NOT_IMPLEMENTED = STATUS_NOT_IMPLEMENTED, "this is not implemented";
    NOT_SUPPORTED = STATUS_NOT_SUPPORTED, "this is not supported";
    NO_MEMORY = STATUS_NO_MEMORY, "virtual memory ran out";
    NO_MORE_ENTRIES = STATUS_NO_MORE_ENTRIES, "a warning: there are no more entries";
    NO_SUCH_DEVICE = STATUS_NO_SUCH_DEVICE, "there is no such device";
    NO_SUCH_FILE = STATUS_NO_SUCH_FILE, "there is no such file";
    OBJECT_NAME_COLLISION = STATUS_OBJECT_NAME_COLLISION, "the name is taken";
    OBJECT_NAME_INVALID = STATUS_OBJECT_NAME_INVALID, "the name is not valid";
    OBJECT_NAME_NOT_FOUND = STATUS_OBJECT_NAME_NOT_FOUND, "there is nothing of that name";
    OBJECT_PATH_NOT_FOUND = STATUS_OBJECT_PATH_NOT_FOUND, "there is no such folder";
    OBJECT_TYPE_MISMATCH = STATUS_OBJECT_TYPE_MISMATCH, "the object is of another type";
    POSSIBLE_DEADLOCK = STATUS_POSSIBLE_DEADLOCK, "waiting for it would never end";
    PRIVILEGED_INSTRUCTION = STATUS_PRIVILEGED_INSTRUCTION, "the instruction is privileged";
    PRIVILEGE_NOT_HELD = STATUS_PRIVILEGE_NOT_HELD, "the caller lacks a privilege";
    PROCESS_IS_TERMINATING = STATUS_PROCESS_IS_TERMINATING, "the process is ending";
    QUOTA_EXCEEDED = STATUS_QUOTA_EXCEEDED, "a quota is used up";
    RANGE_NOT_FOUND = STATUS_RANGE_NOT_FOUND, "there is no such range";
    REQUEST_ABORTED = STATUS_REQUEST_ABORTED, "the driver let go of the request";
    REVISION_MISMATCH = STATUS_REVISION_MISMATCH, "the version is another one";
    SHARING_VIOLATION = STATUS_SHARING_VIOLATION, "it is in use";
    STACK_OVERFLOW = STATUS_STACK_OVERFLOW, "the stack is used up";
    TIMER_NOT_CANCELED = STATUS_TIMER_NOT_CANCELED, "the timer is not set";
    TOO_LATE = STATUS_TOO_LATE, "it is too late for that";
    UNMAPPABLE_CHARACTER = STATUS_UNMAPPABLE_CHARACTER, "a character has no counterpart";
    UNSUCCESSFUL = STATUS_UNSUCCESSFUL, "a failure without a better name";
    USER_MAPPED_FILE = STATUS_USER_MAPPED_FILE, "the file is mapped";
    WRONG_VOLUME = STATUS_WRONG_VOLUME, "the volume is another one";
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "NTSTATUS {:#010X}", self.0),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({:#010X})", self.0),
            None => write!(f, "NTSTATUS {:#010X}", self.0),
        }
    }
}

impl core::error::Error for Error {}

impl From<Error> for NTSTATUS {
    fn from(error: Error) -> NTSTATUS {
        error.to_kernel_errno()
    }
}

macro_rules! from {
    ($($source:ty => $name:ident;)*) => {$(
        impl From<$source> for Error {
            fn from(_: $source) -> Self {
                Error::$name
            }
        }
    )*};
}

from! {
    alloc::collections::TryReserveError => INSUFFICIENT_RESOURCES;
    alloc::ffi::NulError => OBJECT_NAME_INVALID;
    alloc::string::FromUtf16Error => UNMAPPABLE_CHARACTER;
    alloc::string::FromUtf8Error => UNMAPPABLE_CHARACTER;
    core::alloc::LayoutError => INTEGER_OVERFLOW;
    core::array::TryFromSliceError => INVALID_BUFFER_SIZE;
    core::char::DecodeUtf16Error => UNMAPPABLE_CHARACTER;
    core::fmt::Error => UNSUCCESSFUL;
    core::num::ParseFloatError => INVALID_PARAMETER;
    core::num::ParseIntError => INVALID_PARAMETER;
    core::num::TryFromIntError => INTEGER_OVERFLOW;
    core::str::Utf8Error => UNMAPPABLE_CHARACTER;
}

impl From<core::convert::Infallible> for Error {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn success_is_no_error() {
        for status in [
            sys::STATUS_SUCCESS,
            sys::STATUS_PENDING,
            sys::STATUS_TIMEOUT,
            sys::STATUS_OBJECT_NAME_EXISTS, // information
        ] {
            assert_eq!(check(status), Ok(status));
            assert_eq!(Error::from_kernel_errno(status), Error::INTERNAL_ERROR);
        }
    }

    #[test]
    fn warnings_and_errors_are() {
        for status in [sys::STATUS_BUFFER_OVERFLOW, sys::STATUS_ACCESS_DENIED, i32::MIN, -1] {
            let error = check(status).expect_err("a failure");
            assert_eq!(error.to_kernel_errno(), status);
            assert_eq!(NTSTATUS::from(error), status);
        }
    }

    #[test]
    fn names() {
        assert_eq!(Error::ACCESS_DENIED.to_string(), "STATUS_ACCESS_DENIED");
        assert_eq!(format!("{:?}", Error::ACCESS_DENIED), "STATUS_ACCESS_DENIED (0xC0000022)");
        let unnamed = Error::from_kernel_errno(0xE000_1234_u32 as i32);
        assert_eq!(unnamed.to_string(), "NTSTATUS 0xE0001234");
        for (error, name) in ALL {
            assert_eq!(error.to_string(), *name);
            assert!(error.to_kernel_errno() < 0);
        }
    }

    #[test]
    fn question_mark() {
        fn narrow(value: u64) -> Result<u8> {
            Ok(u8::try_from(value)?)
        }
        assert_eq!(narrow(300), Err(Error::INTEGER_OVERFLOW));
        assert_eq!(narrow(30), Ok(30));
        assert_eq!(size_of::<Result<()>>(), 4);
    }
}
