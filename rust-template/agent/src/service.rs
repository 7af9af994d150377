//! Driver services: made, started, stopped, deleted; and what is left of them taken away.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::calls::{Answer, Failure};
use crate::json::{Json, object, unbase64};
use crate::rt::{Mutex, narrow, wide};
use crate::win::{self, Handle, Status};
use crate::{capture, files, lines, out, shared, wine};

const ALL: u32 = 0xf_01ff;
const MARK: &str = "kernellab: ";
/// How often it is tried, each 20 ms, to make a service whose old one is still being deleted.
const DELETING: u32 = 250;

struct Service {
    name: String,
    running: bool,
}

/// Whether what killed agents left is gone; held while it is looked for.
static SWEPT: Mutex<bool> = Mutex::new(false);
static OURS: Mutex<Vec<Service>> = Mutex::new(Vec::new());

/// The NTSTATUS of a Win32 error, where the error is all that is known.
pub fn status_of(code: u32) -> u32 {
    match code {
        0 => 0,
        2 => 0xc000_0034,
        5 => 0xc000_0022,
        31 => 0xc000_0001,
        87 => 0xc000_000d,
        127 => 0xc000_0139,
        193 => 0xc000_007b,
        577 => 0xc000_0428,
        1450 => 0xc000_009a,
        _ => 0xc007_0000 | code,
    }
}

struct Owned(Handle);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: a service's handle of ours.
        unsafe { win::CloseServiceHandle(self.0) };
    }
}

fn manager() -> Result<Owned, Failure> {
    // SAFETY: this computer's own database.
    match unsafe { win::OpenSCManagerW(core::ptr::null(), core::ptr::null(), 0xf_003f) } {
        0 => Err(Failure::last("the service manager cannot be opened")),
        handle => Ok(Owned(handle)),
    }
}

fn open(manager: &Owned, name: &str) -> Option<Owned> {
    // SAFETY: the name ends in NUL.
    let handle = unsafe { win::OpenServiceW(manager.0, wide(name).as_ptr(), ALL) };
    (handle != 0).then_some(Owned(handle))
}

fn is_kernellabs(service: &Owned) -> bool {
    let mut buffer = [0u64; 512];
    let mut need = 0;
    // SAFETY: the buffer is as long as said; the text in it ends in NUL.
    unsafe {
        let to = buffer.as_mut_ptr().cast::<u8>();
        if win::QueryServiceConfig2W(service.0, 1, to, 4096, &raw mut need) == 0 || buffer[0] == 0 {
            return false;
        }
        let text = buffer[0] as *const u16;
        MARK.encode_utf16().enumerate().all(|(n, c)| *text.add(n) == c)
    }
}

/// Whether there is a service of this name that a kernellab agent made.
pub fn is_marked(name: &str) -> bool {
    manager().is_ok_and(|manager| open(&manager, name).is_some_and(|found| is_kernellabs(&found)))
}

/// A request's driver: a name that can be a service's.
pub fn name_of(request: &Json) -> Result<String, Failure> {
    let name = request.get("driver").text().unwrap_or("");
    let fit = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > 100 || !name.chars().all(fit) {
        return Err(Failure::usage(format!("{name:?} cannot be a driver's name")));
    }
    Ok(name.to_string())
}

/// The event that is there as long as the agent of a process runs.
fn life(pid: &str) -> Vec<u16> {
    wide(&format!("Global\\kernellab-agent-{pid}"))
}

/// Take away the services of agents that were killed, once.
pub fn sweep() {
    let mut swept = SWEPT.lock();
    if *swept {
        return;
    }
    *swept = true;
    for (name, pid) in marked() {
        if name == crate::capture::SERVICE {
            continue; // it has lines from before: whoever reads it now takes it away
        }
        const SYNCHRONIZE: u32 = 0x10_0000;
        // SAFETY: the name ends in NUL.
        match unsafe { win::OpenEventW(SYNCHRONIZE, 0, life(&pid).as_ptr()) } {
            0 => drop(take_away(&name)),
            // SAFETY: a handle of ours.
            alive => drop(unsafe { win::CloseHandle(alive) }),
        }
    }
    // SAFETY: asks for a number; the name ends in NUL. The event goes with this process.
    unsafe {
        let pid = format!("{}", win::GetCurrentProcessId());
        win::CreateEventW(core::ptr::null(), 1, 0, life(&pid).as_ptr());
    }
}

/// The services that bear kernellab's mark, with their agents' process ids; of the registry, which is
/// quicker than to open each.
fn marked() -> Vec<(String, String)> {
    let mut all = Vec::new();
    each_service(|key, name| {
        let (mut text, mut size) = ([0u16; 64], 126);
        let mut service = 0;
        // SAFETY: names end in NUL, and so does what is read; the buffer is as long as said.
        unsafe {
            if win::RegOpenKeyExW(key, wide(name).as_ptr(), 0, 0x2_0019, &raw mut service) != 0 {
                return;
            }
            let (value, to) = (wide("Description"), text.as_mut_ptr().cast());
            let (no, kind) = (core::ptr::null_mut(), core::ptr::null_mut());
            let got =
                win::RegQueryValueExW(service, value.as_ptr(), no, kind, to, &raw mut size) == 0;
            win::RegCloseKey(service);
            if let (true, Some(pid)) = (got, narrow(&text).strip_prefix(MARK)) {
                all.push((name.to_string(), pid.to_string()));
            }
        }
    });
    all
}

fn each_service(mut one: impl FnMut(Handle, &str)) {
    let mut key = 0;
    // SAFETY: names end in NUL, buffers are as long as said.
    unsafe {
        let path = wide("SYSTEM\\CurrentControlSet\\Services");
        win::RegOpenKeyExW(MACHINE, path.as_ptr(), 0, 0x2_0019, &raw mut key);
        for index in 0.. {
            let (mut name, mut size) = ([0u16; 256], 256);
            let null = core::ptr::null_mut();
            let no = core::ptr::null_mut();
            let to = name.as_mut_ptr();
            let time = core::ptr::null_mut();
            if win::RegEnumKeyExW(key, index, to, &raw mut size, null, no, null, time) != 0 {
                break;
            }
            one(key, &narrow(&name));
        }
        win::RegCloseKey(key);
    }
}

/// `service_install`.
pub fn install(request: &Json) -> Answer {
    sweep();
    let name = name_of(request)?;
    let file = request.get("file").text().unwrap_or("");
    let path = files::adopt(file, &format!("{name}.sys"))?;
    make(&name, &path, request.get("start").int().unwrap_or(3) as u32)?;
    OURS.lock().push(Service { name: name.clone(), running: false });
    parameters(&name, request.get("parameters"))?;
    Ok(object([("path", path.into())]))
}

/// Make the service `name` of the driver in `path`, marked as kernellab's; one that was before is
/// replaced, where it is kernellab's too.
pub fn make(name: &str, path: &str, start: u32) -> Result<(), Failure> {
    let manager = manager()?;
    if let Some(old) = open(&manager, name) {
        if !is_kernellabs(&old) {
            return Err(Failure::usage(format!(
                "a service {name} is here that is not kernellab's"
            )));
        }
        drop(old);
        take_away(name)?;
    }
    let null = core::ptr::null();
    let (service, image) = (wide(name), wide(&format!("\\??\\{path}")));
    let create = || {
        let tag = core::ptr::null_mut();
        let (shown, image) = (service.as_ptr(), image.as_ptr());
        // SAFETY: names end in NUL.
        unsafe {
            win::CreateServiceW(
                manager.0, shown, shown, ALL, 1, start, 1, image, null, tag, null, null, null,
            )
        }
    };
    let mut made = create();
    // 1072, ERROR_SERVICE_MARKED_FOR_DELETE: a killed agent's goes when its last handle is closed.
    for _ in 0..DELETING {
        // SAFETY: asks for a number.
        if made != 0 || unsafe { win::GetLastError() } != 1072 {
            break;
        }
        // SAFETY: sleeps.
        unsafe { win::Sleep(20) };
        made = create();
    }
    if made == 0 {
        return Err(Failure::last("the service cannot be made"));
    }
    let made = Owned(made);
    // SAFETY: asks for a number.
    let text = wide(&format!("{MARK}{}", unsafe { win::GetCurrentProcessId() }));
    let description = text.as_ptr();
    // SAFETY: SERVICE_DESCRIPTION is one pointer to text.
    unsafe { win::ChangeServiceConfig2W(made.0, 1, (&raw const description).cast()) };
    Ok(())
}

const MACHINE: Handle = 0x8000_0002_u32 as i32 as Handle;

fn parameters(name: &str, values: &Json) -> Result<(), Failure> {
    let Json::List(values) = values else { return Ok(()) };
    let path = wide(&format!("SYSTEM\\CurrentControlSet\\Services\\{name}\\Parameters"));
    let mut key = 0;
    let null = core::ptr::null();
    // SAFETY: names end in NUL; data is as long as said.
    unsafe {
        let made = core::ptr::null_mut();
        let all = 0xf_003f;
        let path = path.as_ptr();
        match win::RegCreateKeyExW(MACHINE, path, 0, null, 0, all, null.cast(), &raw mut key, made)
        {
            0 => {}
            code => return Err(Failure::win32(code, "the Parameters key cannot be made")),
        }
        for value in values {
            let name = wide(value.get("name").text().unwrap_or(""));
            let data = unbase64(value.get("data").text().unwrap_or("")).unwrap_or_default();
            let kind = value.get("type").int().unwrap_or(3) as u32;
            let size = data.len() as u32;
            let code = win::RegSetValueExW(key, name.as_ptr(), 0, kind, data.as_ptr(), size);
            if code != 0 {
                win::RegCloseKey(key);
                return Err(Failure::win32(code, "a parameter cannot be set"));
            }
        }
        win::RegCloseKey(key);
    }
    Ok(())
}

fn state(name: &str, state: &str, status: Option<Status>) {
    let mut fields = object([("driver", name.into()), ("state", state.into())]);
    if let Some(status) = status {
        fields.put("status", status_text(status));
    }
    wine::drain();
    capture::drain();
    out::event("state", fields);
}

fn status_text(status: Status) -> String {
    if status == 0 { "STATUS_SUCCESS".into() } else { format!("{:#010x}", status as u32) }
}

fn mark_running(name: &str, running: bool) {
    if let Some(service) = OURS.lock().iter_mut().find(|s| s.name == name) {
        service.running = running;
    }
}

/// `service_start`.
pub fn start(request: &Json) -> Answer {
    let name = name_of(request)?;
    lines::add_driver(&name);
    let loaded = if wine::here() { wine::ask(shared::LOAD, &name) } else { load_on_windows(&name) };
    let (status, base, size) = match loaded {
        Ok(all) if all.0 >= 0 => all,
        other => {
            lines_end(&name);
            let status = other?.0;
            state(&name, "failed", Some(status));
            let failed = if is_load_error(status) {
                Failure::status("load", status, &format!("{name}.sys cannot be loaded:"))
            } else {
                Failure::status("ntstatus", status, "DriverEntry returned")
            };
            return Err(failed);
        }
    };
    mark_running(&name, true);
    state(&name, "running", Some(status));
    let text = status_text(status);
    Ok(object([
        ("status", text.into()),
        ("base", format!("{base:#x}").into()),
        ("size", (size as i64).into()),
    ]))
}

fn lines_end(name: &str) {
    wine::drain();
    capture::drain();
    lines::remove_driver(name);
}

/// The image itself is refused: its format, an import, its signature, or its file is missing.
fn is_load_error(status: Status) -> bool {
    let all =
        [0xc000_007b, 0xc000_0142, 0xc000_0135, 0xc000_0138, 0xc000_0139, 0xc000_0428, 0xc000_0263];
    all.contains(&(status as u32)) || (0xc0e9_0000..0xc0ea_0000).contains(&(status as u32))
}

/// `service_stop`.
pub fn stop(request: &Json) -> Answer {
    let name = name_of(request)?;
    let status = stop_driver(&name)?;
    if status < 0 {
        return Err(Failure::status("ntstatus", status, &format!("{name} cannot be unloaded:")));
    }
    mark_running(&name, false);
    state(&name, "unloaded", None);
    lines_end(&name);
    Ok(object([("status", status_text(status).into())]))
}

fn stop_driver(name: &str) -> Result<Status, Failure> {
    if wine::here() {
        return Ok(wine::ask(shared::UNLOAD, name)?.0);
    }
    // SAFETY: the path is a UNICODE_STRING that lives during the call.
    with_path(name, |path| unsafe { win::NtUnloadDriver(path) })
}

/// Have the service manager start a driver; no failure where it runs.
pub fn start_by_manager(name: &str) -> Result<(), Failure> {
    let manager = manager()?;
    let service = open(&manager, name).ok_or_else(|| Failure::last("the service is gone"))?;
    // SAFETY: a service's handle; without words.
    let started = unsafe { win::StartServiceW(service.0, 0, core::ptr::null()) } != 0;
    // SAFETY: asks for a number. 1056: ERROR_SERVICE_ALREADY_RUNNING.
    if started || unsafe { win::GetLastError() } == 1056 {
        return Ok(());
    }
    Err(Failure::last("the driver cannot be loaded"))
}

/// Have the service manager stop a driver, and delete its service.
pub fn end_by_manager(name: &str) {
    if let Ok(manager) = manager()
        && let Some(service) = open(&manager, name)
    {
        let mut status = [0u32; 7];
        // SAFETY: a service's handle; SERVICE_STATUS is seven numbers. 1: SERVICE_CONTROL_STOP.
        unsafe { win::ControlService(service.0, 1, status.as_mut_ptr()) };
    }
    let _ = remove(name); // nothing more can be done about it
}

fn load_on_windows(name: &str) -> Result<(Status, u64, u64), Failure> {
    // SAFETY: the path is a UNICODE_STRING that lives during the call.
    let status = with_path(name, |path| unsafe { win::NtLoadDriver(path) })?;
    let (base, size) = crate::info::image(&format!("{name}.sys"));
    Ok((status, base, size))
}

fn with_path(
    name: &str,
    call: impl FnOnce(*const win::UnicodeString) -> Status,
) -> Result<Status, Failure> {
    let mut before = 0;
    // SAFETY: SeLoadDriverPrivilege of this process.
    unsafe { win::RtlAdjustPrivilege(10, 1, 0, &raw mut before) };
    let text = wide(&format!("\\Registry\\Machine\\System\\CurrentControlSet\\Services\\{name}"));
    let length = (text.len() - 1) as u16 * 2;
    let path = win::UnicodeString { length, maximum: length + 2, buffer: text.as_ptr().cast_mut() };
    Ok(call(&raw const path))
}

/// `service_delete`.
pub fn delete(request: &Json) -> Answer {
    let name = name_of(request)?;
    let manager = manager()?;
    if let Some(service) = open(&manager, &name) {
        if !is_kernellabs(&service) {
            return Err(Failure::usage(format!("{name} is not kernellab's")));
        }
        drop(service);
        remove(&name)?;
    }
    Ok(object([]))
}

fn remove(name: &str) -> Result<(), Failure> {
    let manager = manager()?;
    if let Some(service) = open(&manager, name) {
        // SAFETY: names end in NUL.
        unsafe {
            let path = wide(&format!("SYSTEM\\CurrentControlSet\\Services\\{name}\\Parameters"));
            win::RegDeleteTreeW(MACHINE, path.as_ptr());
            if win::DeleteService(service.0) == 0 && win::GetLastError() != 1072 {
                return Err(Failure::last("the service cannot be deleted"));
            }
        }
    }
    OURS.lock().retain(|s| s.name != name);
    lines::remove_driver(name);
    Ok(())
}

/// Stop and delete a service.
pub fn take_away(name: &str) -> Result<(), Failure> {
    let _ = stop_driver(name); // it may not run
    remove(name)
}

/// `load`.
pub fn load(request: &Json) -> Answer {
    install(request)?;
    let name = name_of(request)?;
    state(&name, "loaded", None);
    let result = start(request);
    if result.is_err() && crate::calls::stopped().is_empty() {
        let _ = remove(&name); // what the start said is what matters
    }
    result
}

/// `unload`.
pub fn unload(request: &Json) -> Answer {
    let name = name_of(request)?;
    if !OURS.lock().iter().any(|s| s.name == name && s.running) {
        return Err(Failure::usage(format!("{name} is not loaded")));
    }
    if matches!(request.get("close_handles"), Json::Bool(true)) {
        crate::device::close_all();
    }
    let answer = stop(request)?;
    remove(&name)?;
    Ok(answer)
}

/// `services`: those that bear kernellab's mark.
pub fn list() -> Answer {
    sweep();
    let manager = manager()?;
    let mut all = Vec::new();
    for (name, _) in marked() {
        let Some(service) = open(&manager, &name) else { continue };
        let mut status = [0u32; 7];
        // SAFETY: the structure has seven numbers.
        unsafe { win::QueryServiceStatus(service.0, status.as_mut_ptr()) };
        let ours = OURS.lock().iter().any(|s| s.name == name);
        let state = if status[1] == 4 { "running" } else { "stopped" };
        let fields = [("name", name.into()), ("state", state.into()), ("ours", ours.into())];
        all.push(object(fields));
    }
    Ok(object([("services", all.into())]))
}

/// The drivers that run, by name.
pub fn running() -> Vec<String> {
    OURS.lock().iter().filter(|s| s.running).map(|s| s.name.clone()).collect()
}

/// Stop and delete all services that this agent made.
pub fn end() {
    let names: Vec<_> = OURS.lock().iter().map(|s| (s.name.clone(), s.running)).collect();
    for (name, running) in names {
        if running && crate::calls::stopped().is_empty() {
            let _ = stop_driver(&name);
        }
        let _ = remove(&name);
    }
}
