//! Registry, files, strings, processes, time.
#![forbid(unsafe_code)]

use core::time::Duration;

use windows_kernel_rs::fs::{self, File};
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::process::{Process, ProcessId, ThreadId};
use windows_kernel_rs::registry::{Access, Key, Value};
use windows_kernel_rs::string::{UnicodeStr, UnicodeString};
use windows_kernel_rs::time::{Counter, Instant, SystemTime, TimeFields};
use windows_kernel_rs::version::{self, Version};
use windows_kernel_rs::{cpu, time, u16str};

static PATH: &UnicodeStr = u16str!("\\Registry\\Machine\\SOFTWARE\\Lab");

struct Module;

fn strings() -> Result<()> {
    let owned = UnicodeString::try_new(&["C:\\Größe\\", "Notepad.EXE"])?;
    println!("{} {:?}", owned.display(), u16str!("a\tb"));
    println!(
        "{} {} {} {}",
        owned.eq_ignore_case(u16str!("c:\\GRÖSSE\\notepad.exe")),
        owned.eq_ignore_case(u16str!("c:\\GRÖßE\\notepad.exe")),
        owned.starts_with_ignore_case(u16str!("c:\\g")),
        owned.ends_with_ignore_case(u16str!("\\notepad.exe")),
    );
    Ok(())
}

fn parameters(path: &str) -> Result<()> {
    let key = Key::parameters(path, Access::Write)?;
    println!("depth {} speed {}", key.get::<u32>("Depth")?, key.get_or("Speed", 9_u64)?);
    println!("as text: {:?}", key.get::<String>("Depth").err());
    println!("missing: {:?}", key.get::<u32>("Missing").err());
    key.set("Depth", &6_u32)?;
    key.set("Wide", &(1_u64 << 40))?;
    println!("read only: {:?}", Key::parameters(path, Access::Read)?.set("Depth", &1_u32).err());
    Ok(())
}

fn registry() -> Result<()> {
    println!(
        "no key: {:?}",
        Key::open(u16str!("\\Registry\\Machine\\Nothing"), Access::Read).err()
    );
    let lab = Key::create(PATH, Access::All)?;
    println!("list: {:?}", lab.get::<Vec<String>>("List")?);
    lab.set("Text", "größer 😀")?;
    lab.set("Data", &[1_u8, 2, 3])?;
    lab.set("Names", &["one", "two"])?;
    lab.set("Long", &"x".repeat(1000))?;
    println!("long: {}", lab.get::<String>("Long")?.len());
    for name in ["B", "A"] {
        lab.create_key(name, Access::Read)?;
    }
    for name in lab.keys() {
        println!("key {}", name?.display());
    }
    for value in lab.values() {
        let (name, value) = value?;
        println!("value {} {} {}", name.display(), value.kind(), value.data().len());
    }
    lab.set("Again", &lab.get::<Value>("Data")?)?;
    lab.delete_value("Long")?;
    lab.open_key("A", Access::All)?.delete()?;
    lab.flush()
}

fn files() -> Result<()> {
    let input = File::open(u16str!("\\??\\C:\\in.txt"))?;
    println!("in: {:?}", String::from_utf8(input.read_to_end()?)?);
    println!("write to it: {:?}", input.write_at(b"x", 0).err());
    let out = File::create(u16str!("\\??\\C:\\out.bin"))?;
    out.write_all_at(b"hello world", 0)?;
    out.write_all_at(b"W", 6)?;
    let mut part = [0; 8];
    println!("part: {} {:?}", out.read_at(&mut part, 6)?, core::str::from_utf8(&part[..5])?);
    println!("at the end: {}", out.read_at(&mut part, 100)?);
    out.set_size(5)?;
    out.flush()?;
    println!("size {}", out.size()?);
    println!("missing: {:?}", File::open("\\??\\C:\\none").err());
    let new = File::options().write().create_new();
    println!("there: {:?}", new.open("\\??\\C:\\in.txt").err());
    fs::remove_file("\\??\\C:\\old.txt")?;
    File::options().delete().open("\\??\\C:\\older.txt")?.delete()
}

fn processes(path: &str) -> Result<()> {
    let id = ProcessId::new(Key::parameters(path, Access::Read)?.get::<u32>("Pid")? as usize);
    let process = Process::from_id(id)?;
    println!("{} {}", process.id() == id, process.image_path()?.display());
    println!("{:?} {}", process.exit_status(), process.created() <= SystemTime::now());
    let outer = Process::current();
    let inside = process.attached(|| {
        let inner = Process::current();
        let deeper = outer.attached(Process::current);
        (inner == process, deeper == outer, Process::current() == process)
    });
    println!("{inside:?} {}", Process::current() == outer);
    println!("{:?}", Process::from_id(ProcessId::new(99999)).err());
    println!("{}", ThreadId::current().process()? == ProcessId::current());
    Ok(())
}

fn times() -> Result<()> {
    let (start, counter, before) = (Instant::precise(), Counter::now(), cpu::timestamp());
    let fields = TimeFields { year: 2024, month: 2, day: 29, hour: 12, ..TimeFields::default() };
    let date = SystemTime::from_fields(&fields)?;
    println!("{:?}", date.fields());
    println!("{:?}", date.duration_since(SystemTime::UNIX_EPOCH));
    let no_day = TimeFields { month: 13, ..fields };
    println!("{:?}", SystemTime::from_fields(&no_day));
    println!("{}", SystemTime::precise() >= SystemTime::now() && date.to_local() >= date);
    println!("{}", Instant::precise() > start && counter.elapsed() > Duration::ZERO);
    println!("{} {}", cpu::timestamp() > before, time::tick() > Duration::from_millis(1));
    println!("{}", Instant::now() + Duration::from_secs(1) > start && time::ticks() < 1 << 20);
    println!("{}", version::running() >= Version::new(10, 0, 0));
    println!("{}", cpu::identify(0, 0).eax != 0);
    Ok(())
}

impl KernelModule for Module {
    fn init(_: Driver, path: &str) -> Result<Self, Error> {
        strings()?;
        parameters(path)?;
        registry()?;
        files()?;
        processes(path)?;
        times()?;
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
