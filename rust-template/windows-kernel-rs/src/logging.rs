//! The [`log`] crate's messages in the kernel's debug output.
//!
//! | [`log`] | [`Level`] |
//! |---|---|
//! | `error!` | [`Level::Error`], the only one that Windows shows by default |
//! | `warn!` | [`Level::Warning`] |
//! | `info!` | [`Level::Info`] |
//! | `debug!`, `trace!` | [`Level::Trace`] |
//!
//! A cell that names `log` has the crate and this module. Messages may be logged at IRQL <= DIRQL,
//! if what they show may be read there; nothing is allocated.
//!
//! ```no_run
//! use log::{LevelFilter, info, warn};
//! use windows_kernel_rs::{Driver, Result, logging};
//!
//! fn init(_: Driver, path: &str) -> Result<()> {
//!     logging::init(LevelFilter::Info)?;
//!     info!("started as {path}");
//!     warn!("nothing to do");
//!     Ok(())
//! }
//! ```

use log::{LevelFilter, Log, Metadata, Record};

use crate::error::{Error, Result};
use crate::print::{Level, print_at};

/// Prints what is logged: the target, which is a module's path unless it was said otherwise, and
/// the message.
struct DebugOutput;

impl Log for DebugOutput {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = format_args!("{}: {}\n", record.target(), record.args());
            print_at(level(record.level()), text);
        }
    }

    fn flush(&self) {}
}

fn level(level: log::Level) -> Level {
    match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warning,
        log::Level::Info => Level::Info,
        log::Level::Debug | log::Level::Trace => Level::Trace,
    }
}

/// Has messages printed that are at least as important as `most`. Call it once, in
/// [`KernelModule::init`](crate::KernelModule::init). IRQL: any.
///
/// # Errors
/// [`Error::ALREADY_REGISTERED`] when there is a logger already.
pub fn init(most: LevelFilter) -> Result<()> {
    log::set_logger(&DebugOutput).map_err(|_| Error::ALREADY_REGISTERED)?;
    log::set_max_level(most);
    Ok(())
}
