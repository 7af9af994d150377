//! Files: those of drivers, put in chunks into a folder of the agent's, and the guest's own.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::calls::{Answer, Failure};
use crate::device::{bytes, int};
use crate::json::{Json, base64, crc32, object};
use crate::rt::{Mutex, narrow, wide};
use crate::win::{self, Handle};

/// Bytes of a file in one reply.
const MOST: i64 = 1 << 20;

struct Put {
    name: String,
    size: i64,
    crc: u32,
}

struct State {
    folder: String,
    ours: bool,
    puts: Vec<Put>,
}

static STATE: Mutex<State> =
    Mutex::new(State { folder: String::new(), ours: false, puts: Vec::new() });

/// Make the folder for drivers' files, where `named` or below the temporary one.
pub fn start(named: Option<&str>) -> bool {
    let mut state = STATE.lock();
    state.folder = named.map_or_else(
        || {
            let mut path = [0u16; 300];
            // SAFETY: the buffer is as long as said.
            unsafe {
                win::GetTempPathW(300, path.as_mut_ptr());
                let pid = win::GetCurrentProcessId();
                format!("{}kernellab-{pid}-{:x}", narrow(&path), win::GetTickCount64())
            }
        },
        ToString::to_string,
    );
    // SAFETY: the name ends in NUL.
    let made =
        unsafe { win::CreateDirectoryW(wide(&state.folder).as_ptr(), core::ptr::null()) != 0 };
    state.ours = made;
    // SAFETY: asks for a number.
    made || unsafe { win::GetLastError() } == 183
}

/// Where drivers' files are.
pub fn folder() -> String {
    STATE.lock().folder.clone()
}

fn is_name(name: &str) -> bool {
    let fit = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    !name.is_empty() && name.len() <= 100 && name.chars().all(fit) && !name.starts_with('.')
}

struct File(Handle);

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: a handle of ours.
        unsafe { win::CloseHandle(self.0) };
    }
}

fn open(path: &str, access: u32, how: u32) -> Result<File, Failure> {
    // SAFETY: the name ends in NUL.
    let file = unsafe {
        win::CreateFileW(wide(path).as_ptr(), access, 7, core::ptr::null(), how, 0x80, 0)
    };
    if file == win::INVALID {
        return Err(Failure::last(&format!("{path} cannot be opened")));
    }
    Ok(File(file))
}

fn write_at(path: &str, offset: i64, data: &[u8]) -> Result<(), Failure> {
    let file = open(path, 0x4000_0000, if offset == 0 { 2 } else { 3 })?;
    let mut put = 0;
    // SAFETY: the data is valid for its length.
    let done = unsafe {
        win::SetFilePointerEx(file.0, offset, core::ptr::null_mut(), 0) != 0
            && (data.is_empty()
                || win::WriteFile(
                    file.0,
                    data.as_ptr(),
                    data.len() as u32,
                    &raw mut put,
                    core::ptr::null_mut(),
                ) != 0)
    };
    if done { Ok(()) } else { Err(Failure::last(&format!("{path} cannot be written"))) }
}

/// `put`.
pub fn put(request: &Json) -> Answer {
    let name = request.get("file").text().unwrap_or("");
    if !is_name(name) {
        return Err(Failure::usage(format!("{name:?} cannot be a file's name")));
    }
    let (offset, data) = (int(request, "offset")?, bytes(request, "data")?);
    let crc = crc32(0, &data);
    if let Some(wanted) = request.get("crc32").int() {
        if wanted != i64::from(crc) {
            let detail = object([("crc32", crc.into())]);
            return Err(Failure::usage(format!("a chunk of {name} was damaged on its way"))
                .with("detail", detail));
        }
    }
    let mut state = STATE.lock();
    if offset == 0 {
        state.puts.retain(|p| p.name != name);
        state.puts.push(Put { name: name.to_string(), size: 0, crc: 0 });
    }
    let path = format!("{}\\{name}.part", state.folder);
    let Some(put) = state.puts.iter_mut().find(|p| p.name == name && p.size == offset) else {
        let message = format!("a chunk of {name} at {offset} does not follow what is there");
        return Err(Failure::usage(message));
    };
    write_at(&path, offset, &data)?;
    put.size += data.len() as i64;
    put.crc = crc32(put.crc, &data);
    Ok(object([("size", put.size.into()), ("crc32", put.crc.into())]))
}

/// Make a file that was put the one called `name`; its path.
pub fn adopt(file: &str, name: &str) -> Result<String, Failure> {
    let mut state = STATE.lock();
    let known = state.puts.len();
    state.puts.retain(|p| p.name != file);
    if state.puts.len() == known {
        return Err(Failure::usage(format!("no file {file} was put")));
    }
    let (old, new) =
        (format!("{}\\{file}.part", state.folder), format!("{}\\{name}", state.folder));
    // SAFETY: names end in NUL; an older file of that name is replaced.
    if unsafe { win::MoveFileExW(wide(&old).as_ptr(), wide(&new).as_ptr(), 1) } == 0 {
        return Err(Failure::last(&format!("{name} cannot be put in place")));
    }
    Ok(new)
}

fn path_of(request: &Json) -> Result<&str, Failure> {
    request.get("path").text().ok_or_else(|| Failure::usage("no path"))
}

/// `file_read`.
pub fn read(request: &Json) -> Answer {
    let file = open(path_of(request)?, 0x8000_0000, 3)?;
    let offset = request.get("offset").int().unwrap_or(0);
    let length = request.get("length").int().unwrap_or(MOST).clamp(0, MOST) as usize;
    let mut data = alloc::vec![0u8; length];
    let (mut got, mut size) = (0, 0);
    // SAFETY: the buffer is as long as said.
    let done = unsafe {
        win::GetFileSizeEx(file.0, &raw mut size);
        win::SetFilePointerEx(file.0, offset, core::ptr::null_mut(), 0) != 0
            && win::ReadFile(
                file.0,
                data.as_mut_ptr(),
                length as u32,
                &raw mut got,
                core::ptr::null_mut(),
            ) != 0
    };
    if !done {
        return Err(Failure::last("the file cannot be read"));
    }
    Ok(object([("data", base64(&data[..got as usize]).into()), ("size", size.into())]))
}

/// `file_write`.
pub fn write(request: &Json) -> Answer {
    let offset = request.get("offset").int().unwrap_or(0);
    let data = bytes(request, "data")?;
    write_at(path_of(request)?, offset, &data)?;
    Ok(object([("size", (offset + data.len() as i64).into())]))
}

/// `file_delete`.
pub fn delete(request: &Json) -> Answer {
    // SAFETY: the name ends in NUL.
    if unsafe { win::DeleteFileW(wide(path_of(request)?).as_ptr()) } == 0 {
        return Err(Failure::last("the file cannot be deleted"));
    }
    Ok(object([]))
}

fn each(folder: &str, mut one: impl FnMut(&str, &win::FindData)) -> bool {
    // SAFETY: the name ends in NUL; the structure is all numbers.
    unsafe {
        let mut data: win::FindData = core::mem::zeroed();
        let find = win::FindFirstFileW(wide(&format!("{folder}\\*")).as_ptr(), &raw mut data);
        if find == win::INVALID {
            return false;
        }
        loop {
            let name = narrow(&data.name);
            if name != "." && name != ".." {
                one(&name, &data);
            }
            if win::FindNextFileW(find, &raw mut data) == 0 {
                break;
            }
        }
        win::FindClose(find);
    }
    true
}

/// `file_list`.
pub fn list(request: &Json) -> Answer {
    let mut entries = Vec::new();
    let found = each(path_of(request)?, |name, data| {
        let size = i64::from(data.size_high) << 32 | i64::from(data.size_low);
        let time = i64::from(data.written[1]) << 32 | i64::from(data.written[0]);
        entries.push(object([
            ("name", name.into()),
            ("size", size.into()),
            ("folder", (data.attributes & 0x10 != 0).into()),
            // FILETIME counts 100 ns from 1601 on; this is seconds from 1970 on.
            ("time", (time as f64 / 1e7 - 11_644_473_600.0).into()),
        ]));
    });
    if !found {
        return Err(Failure::last("the folder cannot be listed"));
    }
    Ok(object([("entries", entries.into())]))
}

/// Delete the folder and what is in it, where this agent made it.
pub fn end() {
    let state = STATE.lock();
    if !state.ours {
        return;
    }
    let mut names = Vec::new();
    each(&state.folder, |name, _| names.push(name.to_string()));
    // SAFETY: names end in NUL.
    unsafe {
        for name in names {
            win::DeleteFileW(wide(&format!("{}\\{name}", state.folder)).as_ptr());
        }
        win::RemoveDirectoryW(wide(&state.folder).as_ptr());
    }
}
