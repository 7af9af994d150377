//! Records of printed lines, as events.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::json::object;
use crate::out;
use crate::rt::Mutex;
use crate::shared::HEAD;
use crate::wine::text_of;

/// The IRQL of a record whose is not known.
const UNKNOWN: u8 = 0xff;

/// The drivers that are loaded or being loaded.
static DRIVERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A driver is about to be loaded.
pub fn add_driver(name: &str) {
    let mut all = DRIVERS.lock();
    if !all.iter().any(|d| d == name) {
        all.push(name.to_string());
    }
}

/// A driver is gone.
pub fn remove_driver(name: &str) {
    DRIVERS.lock().retain(|d| d != name);
}

/// The driver whose image is called `module`.
pub fn driver_of(module: &str) -> Option<String> {
    let (stem, ending) = module.rsplit_once('.')?;
    let all = DRIVERS.lock();
    let found = all.iter().find(|d| ending == "sys" && d.eq_ignore_ascii_case(stem));
    found.cloned()
}

/// Tell of one record; `driver` finds who printed by an address.
pub fn tell(record: &[u8], start: u64, driver: impl Fn(u64) -> Option<String>) {
    if record.len() < HEAD {
        return;
    }
    let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"));
    let long = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
    let lost = word(4);
    if lost > 0 {
        out::event("dropped", object([("count", lost.into())]));
    }
    let name = driver(long(16)).or_else(|| match DRIVERS.lock().as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    });
    let time = (long(8).wrapping_sub(start) as i64) as f64 / 1e7;
    let mut fields = object([
        ("driver", name.unwrap_or_default().into()),
        ("text", text_of(record).into()),
        ("time", time.into()),
        ("level", u32::from(record[30]).into()),
        ("component", u32::from(u16::from_le_bytes([record[28], record[29]])).into()),
        ("thread", word(24).into()),
    ]);
    if record[31] != UNKNOWN {
        fields.put("irql", u32::from(record[31]));
    }
    out::event("dbgprint", fields);
}
