//! Control codes with types, and their way to the code that answers them.

use core::marker::PhantomData;

use windows_kernel_sys::{
    CTL_CODE, FILE_ANY_ACCESS, FILE_READ_ACCESS, FILE_WRITE_ACCESS, METHOD_BUFFERED,
    METHOD_FROM_CTL_CODE, METHOD_IN_DIRECT, METHOD_NEITHER, METHOD_OUT_DIRECT,
};

use super::request::{Ioctl, Request};
use crate::error::Error;

/// What the caller's handle must have been opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anything.
    Any,
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Both.
    ReadWrite,
}

/// How a control code's data comes and goes. WDK: "Buffer Descriptions for I/O Control Codes".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Both ways through a buffer of the I/O manager's: right for most.
    Buffered,
    /// The input through such a buffer, and the caller's second buffer mapped, to read from.
    InDirect,
    /// The input through such a buffer, the output into the caller's own pages, mapped.
    OutDirect,
    /// The caller's pointers as they are; see [`mem::user`](crate::mem::user).
    Neither,
}

/// A control code: its number, what it takes and what it gives, `()` for nothing.
///
/// Made at compile time, where a number that Windows keeps for itself is an error.
/// WDK: "Defining I/O Control Codes".
///
/// ```
/// use windows_kernel_rs::io::{Access, IoctlCode};
///
/// const ADD: IoctlCode<[u32; 2], u32> = IoctlCode::buffered(0x8000, 0x800, Access::Any);
/// assert_eq!(ADD.value(), 0x8000_2000);
/// ```
pub struct IoctlCode<I = (), O = ()> {
    value: u32,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> Clone for IoctlCode<I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for IoctlCode<I, O> {}

impl<I, O> IoctlCode<I, O> {
    /// A code. `device_type` is the device's, `function` 0x800 to 0xFFF.
    ///
    /// # Panics
    /// At compile time where it is a constant, when `function` is not in that range or
    /// `device_type` is larger than 0xFFFF.
    #[must_use]
    pub const fn new(device_type: u32, function: u32, method: Method, access: Access) -> Self {
        assert!(function >= 0x800 && function <= 0xFFF, "functions are 0x800 to 0xFFF");
        assert!(device_type <= 0xFFFF, "device types have 16 bits");
        let access = match access {
            Access::Any => FILE_ANY_ACCESS,
            Access::Read => FILE_READ_ACCESS,
            Access::Write => FILE_WRITE_ACCESS,
            Access::ReadWrite => FILE_READ_ACCESS | FILE_WRITE_ACCESS,
        };
        let method = match method {
            Method::Buffered => METHOD_BUFFERED,
            Method::InDirect => METHOD_IN_DIRECT,
            Method::OutDirect => METHOD_OUT_DIRECT,
            Method::Neither => METHOD_NEITHER,
        };
        let value = CTL_CODE(device_type, function, method, access);
        IoctlCode { value, types: PhantomData }
    }

    /// A code with METHOD_BUFFERED; see [`new`](Self::new).
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub const fn buffered(device_type: u32, function: u32, access: Access) -> Self {
        Self::new(device_type, function, Method::Buffered, access)
    }

    /// The number that callers send.
    #[must_use]
    pub const fn value(&self) -> u32 {
        self.value
    }

    /// How its data comes and goes.
    #[must_use]
    pub const fn method(&self) -> Method {
        match METHOD_FROM_CTL_CODE(self.value) {
            METHOD_BUFFERED => Method::Buffered,
            METHOD_IN_DIRECT => Method::InDirect,
            METHOD_OUT_DIRECT => Method::OutDirect,
            _ => Method::Neither,
        }
    }
}

/// A request on its way to the code that answers it; see [`Request::route`].
#[must_use = "what is left unanswered fails with STATUS_INVALID_DEVICE_REQUEST"]
pub struct Route {
    request: Option<Request<Ioctl>>,
}

impl Request<Ioctl> {
    /// Goes from code to code: the first that is the request's answers it, and what is left is
    /// completed with [`Error::INVALID_DEVICE_REQUEST`].
    ///
    /// ```no_run
    /// # use windows_kernel_rs::io::{Access, Ioctl, IoctlCode, Queue, Request};
    /// const WAIT: IoctlCode = IoctlCode::buffered(0x8000, 0x801, Access::Any);
    ///
    /// fn ioctl(request: Request<Ioctl>, waiting: &Queue<Ioctl>) {
    ///     request.route().take(WAIT, |request| waiting.push(request)).end();
    /// }
    /// ```
    pub fn route(self) -> Route {
        Route { request: Some(self) }
    }
}

impl Route {
    /// Gives the request itself to `f` if its code is `code`: to be answered later, say.
    pub fn take<I, O>(mut self, code: IoctlCode<I, O>, f: impl FnOnce(Request<Ioctl>)) -> Self {
        if let Some(request) = self.request.take_if(|request| request.code() == code.value()) {
            f(request);
        }
        self
    }

    /// No further codes.
    pub fn end(self) {}
}

impl Drop for Route {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            request.complete(Err(Error::INVALID_DEVICE_REQUEST));
        }
    }
}
