"""Sources of the small drivers that tests build."""

from __future__ import annotations

#: A driver in Rust: BODY runs in ``init``, CLEANUP in ``cleanup``, EXTRA stands before.
DRIVER = """\
use windows_kernel_rs::{kernel_module, println, Driver, Error, KernelModule};

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> {
        BODY
        #[allow(unreachable_code)]
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {
        CLEANUP
    }
}

kernel_module!(Module);
EXTRA
"""

#: The line of DRIVER that BODY is on.
BODY_LINE = 7


def driver_source(body: str, cleanup: str = 'println!("bye");', extra: str = "") -> str:
    """The source of a driver whose ``init`` is ``body``, on line :data:`BODY_LINE`."""
    return DRIVER.replace("BODY", body).replace("CLEANUP", cleanup).replace("EXTRA", extra)
