//! Time: what the clock shows, what has passed since the start, and what can be measured.
//!
//! | | |
//! |---|---|
//! | [`SystemTime`] | date and time, UTC; somebody may set the clock |
//! | [`Instant`] | time since the start, which only grows: for time-outs |
//! | [`Counter`] | the performance counter: for short times |
//!
//! The kernel counts in units of 100 ns; [`Duration`] is Rust's own. All of it may be used at any
//! IRQL unless said otherwise.
//!
//! ```no_run
//! use core::time::Duration;
//! use windows_kernel_rs::println;
//! use windows_kernel_rs::time::{Instant, SystemTime};
//!
//! let end = Instant::now() + Duration::from_millis(50);
//! let date = SystemTime::now().fields();
//! println!("{}-{:02}-{:02}", date.year, date.month, date.day);
//! assert!(Instant::now() < end);
//! ```

use core::ops::{Add, Sub};
use core::time::Duration;

use windows_kernel_sys as sys;
use windows_kernel_sys::TIME_FIELDS;

use crate::error::{Error, Result};

/// Units of 100 ns in a second.
const UNITS: u64 = 10_000_000;

/// A duration in the kernel's units of 100 ns; the rest is cut off, what is too long becomes the
/// longest.
#[must_use]
pub const fn to_units(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(UNITS);
    seconds.saturating_add(duration.subsec_nanos() as u64 / 100)
}

/// A duration of so many units of 100 ns.
#[must_use]
pub const fn from_units(units: u64) -> Duration {
    Duration::new(units / UNITS, (units % UNITS * 100) as u32)
}

/// Date and time: units of 100 ns since 1601, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemTime(i64);

impl SystemTime {
    /// The beginning of 1970, from which other systems count.
    pub const UNIX_EPOCH: SystemTime = SystemTime(116_444_736_000_000_000);

    /// Now, as of the last clock tick. WDK: "KeQuerySystemTime function (wdm.h)".
    #[must_use]
    pub fn now() -> Self {
        SystemTime(sys::KeQuerySystemTime())
    }

    /// Now, to the microsecond. WDK: "KeQuerySystemTimePrecise function (wdm.h)".
    #[must_use]
    pub fn precise() -> Self {
        let mut time = 0;
        // SAFETY: the place may be written.
        unsafe { sys::KeQuerySystemTimePrecise(&raw mut time) };
        SystemTime(time)
    }

    /// The time of the kernel's number.
    #[must_use]
    pub const fn from_raw(raw: i64) -> Self {
        SystemTime(raw)
    }

    /// The kernel's number.
    #[must_use]
    pub const fn as_raw(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; `None` if it is before.
    #[must_use]
    pub fn duration_since(self, earlier: SystemTime) -> Option<Duration> {
        let units = u64::try_from(self.0.checked_sub(earlier.0)?).ok()?;
        Some(from_units(units))
    }

    /// Year, month and so on, UTC. WDK: "RtlTimeToTimeFields function (wdm.h)".
    #[must_use]
    pub fn fields(self) -> TimeFields {
        let mut raw = TIME_FIELDS::default();
        // SAFETY: the places may be read and written.
        unsafe { sys::RtlTimeToTimeFields(&raw const self.0, &raw mut raw) };
        TimeFields {
            year: raw.Year as u16,
            month: raw.Month as u8,
            day: raw.Day as u8,
            hour: raw.Hour as u8,
            minute: raw.Minute as u8,
            second: raw.Second as u8,
            millisecond: raw.Milliseconds as u16,
            weekday: raw.Weekday as u8,
        }
    }

    /// The time of year, month and so on; the day of the week is not looked at. WDK:
    /// "RtlTimeFieldsToTime function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::INVALID_PARAMETER`] when there is no such day or time.
    pub fn from_fields(fields: &TimeFields) -> Result<Self> {
        let raw = TIME_FIELDS {
            Year: i16::try_from(fields.year)?,
            Month: fields.month.into(),
            Day: fields.day.into(),
            Hour: fields.hour.into(),
            Minute: fields.minute.into(),
            Second: fields.second.into(),
            Milliseconds: i16::try_from(fields.millisecond)?,
            Weekday: 0,
        };
        let mut time = 0;
        // SAFETY: the places may be read and written.
        match unsafe { sys::RtlTimeFieldsToTime(&raw const raw, &raw mut time) } {
            0 => Err(Error::INVALID_PARAMETER),
            _ => Ok(SystemTime(time)),
        }
    }

    /// The same moment as clocks of the computer's time zone show it. WDK:
    /// "ExSystemTimeToLocalTime function (wdm.h)".
    #[must_use]
    pub fn to_local(self) -> SystemTime {
        let mut local = 0;
        // SAFETY: the places may be read and written.
        unsafe { sys::ExSystemTimeToLocalTime(&raw const self.0, &raw mut local) };
        SystemTime(local)
    }
}

/// A date and a time of day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeFields {
    /// From 1601 on.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999.
    pub millisecond: u16,
    /// 0 to 6, from Sunday on.
    pub weekday: u8,
}

/// A moment, counted in units of 100 ns from the start. Never goes back.
///
/// WDK: "KeQueryInterruptTime function (wdm.h)".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Now, as of the last clock tick.
    #[must_use]
    pub fn now() -> Self {
        Instant(sys::KeQueryInterruptTime())
    }

    /// Now, to the microsecond. WDK: "KeQueryInterruptTimePrecise function (wdm.h)".
    #[must_use]
    pub fn precise() -> Self {
        let mut counter = 0;
        // SAFETY: the place may be written.
        Instant(unsafe { sys::KeQueryInterruptTimePrecise(&raw mut counter) })
    }

    /// The kernel's number.
    #[must_use]
    pub const fn as_raw(self) -> u64 {
        self.0
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Instant::now() - self
    }

    /// How long after `earlier` this is; zero if it is before.
    #[must_use]
    pub const fn duration_since(self, earlier: Instant) -> Duration {
        from_units(self.0.saturating_sub(earlier.0))
    }
}

/// How long after the other this is; zero if it is before.
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

/// Later; at the latest the last moment there is.
impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, later: Duration) -> Instant {
        Instant(self.0.saturating_add(to_units(later)))
    }
}

/// A reading of the performance counter.
///
/// WDK: "KeQueryPerformanceCounter function (wdm.h)".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    ticks: i64,
    frequency: i64,
}

impl Counter {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let mut frequency = 0;
        // SAFETY: the place may be written.
        let ticks = unsafe { sys::KeQueryPerformanceCounter(&raw mut frequency) };
        Counter { ticks, frequency }
    }

    /// The time since then.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        let ticks = (Counter::now().ticks.saturating_sub(self.ticks)).max(0) as u128;
        let nanoseconds = ticks * 1_000_000_000 / self.frequency.max(1) as u128;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// Clock interrupts since the start. WDK: "KeQueryTickCount macro (wdm.h)".
#[must_use]
pub fn ticks() -> u64 {
    sys::KeQueryTickCount() as u64
}

/// The time between two clock interrupts. WDK: "KeQueryTimeIncrement function (wdm.h)".
#[must_use]
pub fn tick() -> Duration {
    // SAFETY: it has no precondition.
    from_units(unsafe { sys::KeQueryTimeIncrement() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_durations() {
        for units in [0, 1, 9_999_999, 10_000_000, 123_456_789_012] {
            assert_eq!(to_units(from_units(units)), units);
        }
        assert_eq!(to_units(Duration::from_nanos(199)), 1);
        assert_eq!(to_units(Duration::MAX), u64::MAX);
        assert_eq!(from_units(u64::MAX).as_secs(), u64::MAX / UNITS);
    }

    #[test]
    fn moments() {
        let (early, late) = (Instant(5), Instant(15));
        assert_eq!(late - early, Duration::from_micros(1));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(early + Duration::from_micros(1), late);
        assert_eq!(Instant(1) + Duration::MAX, Instant(u64::MAX));
        let epoch = SystemTime::UNIX_EPOCH;
        let later = SystemTime::from_raw(epoch.as_raw() + 10_000_000);
        assert_eq!(later.duration_since(epoch), Some(Duration::from_secs(1)));
        assert_eq!(epoch.duration_since(later), None);
    }
}
