//! Notifications of processes, threads, images, the registry and handles.
#![forbid(unsafe_code)]

use windows_kernel_rs::notify::{
    HandleNotify, HandleOf, Handles, ImageNotify, MAX, ProcessEvent, ProcessNotify, RegistryEvent,
    RegistryNotify, ThreadEvent, ThreadNotify,
};
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::string::UnicodeStr;
use windows_kernel_rs::u16str;

const PROCESS_TERMINATE: u32 = 1;
const THREAD_TERMINATE: u32 = 1;

struct Tell(&'static str);

impl Drop for Tell {
    fn drop(&mut self) {
        println!("{} dropped", self.0);
    }
}

struct Module {
    _process: ProcessNotify,
    _thread: ThreadNotify,
    _image: ImageNotify,
    _registry: RegistryNotify,
    _handle: HandleNotify,
}

fn last(path: &UnicodeStr) -> Result<String> {
    let path = path.to_string_lossy()?;
    Ok(path.rsplit('\\').next().unwrap_or_default().to_owned())
}

fn process(event: &ProcessEvent<'_>) -> Result<()> {
    match event {
        ProcessEvent::Create(new) => {
            let name = new.image_name().unwrap_or(u16str!("?"));
            let line = new.command_line().map(UnicodeStr::to_string_lossy).transpose()?;
            println!("create {} {line:?} {}", last(name)?, new.creator().0 == new.parent());
            assert!(new.process().id() == new.id());
            if name.ends_with_ignore_case(u16str!("\\EVIL.exe")) {
                return Err(Error::ACCESS_DENIED);
            }
        }
        ProcessEvent::Exit(gone) => println!("exit {}", last(&*gone.image_path()?)?),
    }
    Ok(())
}

fn registry(event: &RegistryEvent<'_>) -> Result<()> {
    match event {
        RegistryEvent::SetValue { key, name, kind, data } => {
            let path = key.path()?;
            println!("set {} {} {kind} {data:?}", last(&path)?, name.display());
            if **name == *u16str!("Bypass") {
                // STATUS_CALLBACK_BYPASS would be a lie: nothing was written.
                return Err(Error::from_kernel_errno(0xC000_0503_u32 as i32));
            }
            if name.eq_ignore_case(u16str!("locked")) { Err(Error::ACCESS_DENIED) } else { Ok(()) }
        }
        RegistryEvent::DeleteValue { name, .. } => {
            println!("delete {}", name.display());
            Ok(())
        }
        RegistryEvent::DeleteKey { key } => {
            println!("delete key {}", last(&*key.path()?)?);
            Err(Error::DELETE_PENDING)
        }
        RegistryEvent::CreateKey { path, .. } => {
            println!("create key {}", last(path)?);
            Ok(())
        }
        _ => Ok(()),
    }
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self, Error> {
        let tell =
            [Tell("process"), Tell("thread"), Tell("image"), Tell("registry"), Tell("handle")];
        let [for_process, for_thread, for_image, for_registry, for_handle] = tell;
        let all: Vec<_> = (0..MAX).map(|_| ThreadNotify::try_new(|_| ())).collect();
        println!("all taken: {:?}", ThreadNotify::try_new(|_| ()).err());
        drop(all);
        let module = Module {
            _process: ProcessNotify::try_new(move |event| {
                let _ = &for_process;
                process(event)
            })?,
            _thread: ThreadNotify::try_new(move |event| {
                let _ = &for_thread;
                match event {
                    ThreadEvent::Create { process, thread } => {
                        println!("thread {}", thread.process() == Ok(*process));
                    }
                    ThreadEvent::Exit { .. } => println!("thread exits"),
                }
            })?,
            _image: ImageNotify::try_new(move |image| {
                let _ = &for_image;
                let name = image.name().map(last).and_then(Result::ok);
                let sizes = image.base() != 0 && image.size() != 0;
                println!(
                    "image {name:?} {} {} {sizes}",
                    image.process().is_some(),
                    image.is_driver()
                );
            })?,
            _registry: RegistryNotify::try_new(&driver, u16str!("380010"), move |event| {
                let _ = &for_registry;
                registry(event)
            })?,
            _handle: HandleNotify::try_new("321000", Handles::Both, move |request| {
                let _ = &for_handle;
                assert!(!request.is_duplicate() && request.original_access() != 0);
                match request.target() {
                    HandleOf::Process(_) if !request.is_kernel() => {
                        request.remove(PROCESS_TERMINATE)
                    }
                    HandleOf::Process(_) => {}
                    HandleOf::Thread(..) => request.remove(THREAD_TERMINATE),
                }
                println!("handle {:#x} of {:#x}", request.access(), request.original_access());
            })?,
        };
        let again = RegistryNotify::try_new(&driver, "380010", |_| Ok(()));
        println!("same altitude: {:?}", again.err());
        let again = HandleNotify::try_new("321000", Handles::Threads, |_| ());
        println!("same altitude: {:?}", again.err());
        Ok(module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
