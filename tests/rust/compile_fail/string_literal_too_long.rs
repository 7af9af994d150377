//! A counted string's length is never cut: it has 16 bits.
#![forbid(unsafe_code)]
use windows_kernel_rs::string::UnicodeStr;
use windows_kernel_rs::u16str;

const X8: &str = concat!("xxxxxxxx", "xxxxxxxx", "xxxxxxxx", "xxxxxxxx");
const LONG: &str = {
    const BYTES: [u8; 40_000] = [X8.as_bytes()[0]; 40_000];
    match core::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => "",
    }
};
static NAME: &UnicodeStr = u16str!(LONG); //~ E0080
