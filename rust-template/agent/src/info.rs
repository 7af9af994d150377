//! What the agent says of the system that it runs on.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{Json, object};
use crate::rt::{narrow, wide};
use crate::win;

/// KUSER_SHARED_DATA, which is at the same place in every process.
const USER: usize = 0x7ffe_0000;

fn query(class: u32, size: usize) -> Option<Vec<u8>> {
    let mut buffer = alloc::vec![0u8; size];
    let mut got = 0;
    // SAFETY: the buffer is as long as said.
    let status = unsafe {
        win::NtQuerySystemInformation(class, buffer.as_mut_ptr(), size as u32, &raw mut got)
    };
    (status >= 0).then_some(buffer)
}

fn ntdll(name: &[u8]) -> usize {
    // SAFETY: names end in NUL.
    unsafe { win::GetProcAddress(win::GetModuleHandleW(wide("ntdll.dll").as_ptr()), name.as_ptr()) }
}

/// Wine's version; empty on Windows.
pub fn wine() -> String {
    match ntdll(b"wine_get_version\0") {
        0 => String::new(),
        at => {
            // SAFETY: Wine's function gives a C string.
            unsafe {
                let version: extern "C" fn() -> *const i8 = core::mem::transmute(at);
                core::ffi::CStr::from_ptr(version()).to_string_lossy().into_owned()
            }
        }
    }
}

/// What differs after each boot.
pub fn boot_id() -> String {
    // SAFETY: KUSER_SHARED_DATA is always mapped; BootId is there from Windows 10 on.
    let id = unsafe { *((USER + 0x2c4) as *const u32) };
    if id != 0 {
        return format!("{id}");
    }
    // SystemTimeOfDayInformation begins with the boot time.
    let time = query(3, 48).map_or(0, |b| u64::from_le_bytes(b[..8].try_into().expect("eight")));
    format!("{time:x}")
}

fn mask(component: u32) -> Json {
    match ntdll(b"NtQueryDebugFilterState\0") {
        0 => Json::Null,
        at => {
            // SAFETY: the native function of this name takes two numbers.
            let ask: extern "system" fn(u32, u32) -> i32 = unsafe { core::mem::transmute(at) };
            let levels = (0..4u32).map(|level| (level, ask(component, level)));
            if wine().is_empty() {
                levels.fold(0u32, |all, (n, on)| all | u32::from(on == 1) << n).into()
            } else {
                Json::Null
            }
        }
    }
}

/// The reply to `info`.
pub fn all() -> Json {
    // SAFETY: structures have their sizes; buffers are as long as said.
    let (version, computer, uptime, pid) = unsafe {
        let mut v: win::VersionInfo = core::mem::zeroed();
        v.size = size_of::<win::VersionInfo>() as u32;
        win::RtlGetVersion(&raw mut v);
        let (mut name, mut size) = ([0u16; 64], 64);
        win::GetComputerNameW(name.as_mut_ptr(), &raw mut size);
        let version = format!("{}.{}.{}", v.major, v.minor, v.build);
        let uptime = win::GetTickCount64() as f64 / 1000.0;
        (version, narrow(&name), uptime, win::GetCurrentProcessId())
    };
    // SystemCodeIntegrityInformation: its size, then its options.
    let mut asked = [8u8, 0, 0, 0, 0, 0, 0, 0];
    let mut got = 0;
    // SAFETY: the buffer is as long as said.
    unsafe { win::NtQuerySystemInformation(103, asked.as_mut_ptr(), 8, &raw mut got) };
    let integrity = u32::from_le_bytes([asked[4], asked[5], asked[6], asked[7]]);
    // SAFETY: the database of this computer.
    let administrator = unsafe {
        let manager = win::OpenSCManagerW(core::ptr::null(), core::ptr::null(), 0xf_003f);
        manager != 0 && win::CloseServiceHandle(manager) != 0
    };
    // SAFETY: KUSER_SHARED_DATA's ActiveProcessorCount.
    let processors = unsafe { *((USER + 0x3c0) as *const u32) };
    let wine = wine();
    object([
        ("system", if wine.is_empty() { "Windows" } else { "Wine" }.into()),
        ("version", version.into()),
        ("wine", wine.into()),
        ("boot_id", boot_id().into()),
        ("uptime", uptime.into()),
        ("test_signing", (integrity & 2 != 0).into()),
        ("code_integrity", integrity.into()),
        ("hvci", (integrity & 0x400 != 0).into()),
        ("debug_filter", object([("default", mask(101)), ("ihvdriver", mask(77))])),
        ("capture", crate::capture::state().into()),
        ("processors", processors.into()),
        ("computer", computer.into()),
        ("administrator", administrator.into()),
        ("agent", env!("CARGO_PKG_VERSION").into()),
        ("pid", pid.into()),
        ("folder", crate::files::folder().into()),
    ])
}

/// Base and size of a driver's image on Windows; zeros where it is not there.
pub fn image(file: &str) -> (u64, u64) {
    // SystemModuleInformation: a count, then 296 bytes each.
    let Some(all) = query(11, 1 << 20) else { return (0, 0) };
    let number = |at: usize, n: usize| {
        let mut bytes = [0u8; 8];
        bytes[..n].copy_from_slice(&all[at..at + n]);
        u64::from_le_bytes(bytes)
    };
    let count = (number(0, 4) as usize).min(((1 << 20) - 8) / 296);
    for n in 0..count {
        let at = 8 + n * 296;
        let path = &all[at + 40..at + 296];
        let end = path.iter().position(|&c| c == 0).unwrap_or(256);
        let name = path[..end].rsplit(|&c| c == b'\\').next().unwrap_or(&[]);
        if name.eq_ignore_ascii_case(file.as_bytes()) {
            return (number(at + 16, 8), number(at + 24, 4));
        }
    }
    (0, 0)
}
