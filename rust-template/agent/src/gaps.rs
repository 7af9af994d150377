//! What the WDK's headers have inline and Wine's ntoskrnl.exe therefore lacks.
//!
//! `KeGetCurrentIrql` reads the register CR8 in a driver in C for x64, which Wine emulates and which is
//! always 0. Windows exports it too, and drivers in Rust import it: they get the same here. Nothing else
//! is filled in: what Wine lacks is said by name.

use core::ffi::{CStr, c_void};

use crate::win::{self, Handle, UnicodeString};

/// The functions, by the names that drivers import.
static INLINE: [(&CStr, extern "system" fn() -> u8); 1] = [(c"KeGetCurrentIrql", current_irql)];

extern "system" fn current_irql() -> u8 {
    0 // PASSIVE_LEVEL: Wine runs all of a driver in threads of a process
}

/// What the loader tells (LDR_DLL_LOADED_NOTIFICATION_DATA).
#[repr(C)]
struct Loaded {
    flags: u32,
    path: *const UnicodeString,
    name: *const UnicodeString,
    base: *mut c_void,
    size: u32,
}

/// Fill them in, in each image that is loaded from now on. `kernel` is Wine's ntoskrnl.exe, `register`
/// the address of LdrRegisterDllNotification.
///
/// # Safety
/// `register` is that function's address.
pub unsafe fn fill(kernel: Handle, register: usize) -> bool {
    type Notify = unsafe extern "system" fn(u32, *const c_void, *mut c_void);
    type Register = unsafe extern "system" fn(u32, Notify, Handle, *mut *mut c_void) -> i32;
    if register == 0 {
        return false;
    }
    let mut cookie = core::ptr::null_mut();
    // SAFETY: as the caller says; the function stays.
    unsafe {
        let register: Register = core::mem::transmute(register);
        register(0, told, kernel, &raw mut cookie) >= 0
    }
}

/// Called when an image is loaded and its imports are resolved, before its code runs.
unsafe extern "system" fn told(reason: u32, data: *const c_void, kernel: *mut c_void) {
    const LOADED: u32 = 1;
    if reason == LOADED {
        // SAFETY: the loader gives the structure, and an image that stays during the call.
        unsafe { fill_image((*data.cast::<Loaded>()).base as usize, kernel as Handle) };
    }
}

/// # Safety
/// `base` is a loaded image's.
unsafe fn fill_image(base: usize, kernel: Handle) {
    // SAFETY: the loader has read the same tables.
    unsafe {
        let word = |at: usize| *(at as *const u32) as usize;
        let headers = base + word(base + 0x3c);
        let table = word(headers + 0x90);
        if table == 0 {
            return;
        }
        let mut entry = base + table;
        while word(entry + 16) != 0 {
            let (names, addresses) = (word(entry), base + word(entry + 16));
            entry += 20;
            if names == 0 {
                continue;
            }
            for n in 0.. {
                let name = *((base + names + 8 * n) as *const u64);
                if name == 0 {
                    break;
                }
                if name >> 63 != 0 {
                    continue;
                }
                let name = CStr::from_ptr((base + name as usize + 2) as *const i8);
                let known = INLINE.iter().find(|(known, _)| *known == name);
                if let Some((_, function)) = known
                    && win::GetProcAddress(kernel, name.as_ptr().cast()) == 0
                {
                    put(addresses + 8 * n, *function as *const () as usize);
                }
            }
        }
    }
}

/// # Safety
/// `at` is an entry of a loaded image's import table.
unsafe fn put(at: usize, value: usize) {
    const READ_WRITE: u32 = 4;
    let mut old = 0;
    // SAFETY: as the caller says.
    unsafe {
        if win::VirtualProtect(at as *mut c_void, 8, READ_WRITE, &raw mut old) != 0 {
            (at as *mut usize).write(value);
            win::VirtualProtect(at as *mut c_void, 8, old, &raw mut old);
        }
    }
}
