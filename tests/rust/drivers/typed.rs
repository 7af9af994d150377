#![forbid(unsafe_code)]
use core::sync::atomic::{AtomicU32, Ordering};
use windows_kernel_rs::io::{
    Access, Device, DeviceOptions, Ioctl, IoctlCode, Method, Open, Operations, Read, Request, Write,
};
use windows_kernel_rs::{Driver, Error, KernelModule, Result, kernel_module, println};
use zerocopy::{FromBytes, Immutable, IntoBytes, TryFromBytes};

#[derive(FromBytes)]
#[repr(C)]
struct Pair {
    a: u32,
    b: u32,
}

#[derive(TryFromBytes)]
#[repr(C)]
struct Switch {
    on: bool,
    level: Level,
}

#[derive(TryFromBytes, Debug)]
#[repr(u8)]
enum Level {
    Low,
    High,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct State {
    calls: u32,
    parts: [u16; 2],
}

const ADD: IoctlCode<Pair, u32> = IoctlCode::buffered(0x8000, 0x800, Access::Any);
const SWITCH: IoctlCode<Switch> = IoctlCode::buffered(0x8000, 0x801, Access::Any);
const STATE: IoctlCode<(), State> =
    IoctlCode::new(0x8000, 0x802, Method::OutDirect, Access::Any);
const TEXT: IoctlCode<(), u8> = IoctlCode::buffered(0x8000, 0x803, Access::Any);
const SUM: IoctlCode<u32> = IoctlCode::new(0x8000, 0x804, Method::InDirect, Access::Any);

struct Typed {
    calls: AtomicU32,
}

impl Operations for Typed {
    type Handle = ();

    fn create(&self, _: &Open<'_>) -> Result<()> {
        Ok(())
    }

    fn read(&self, _: &(), request: Request<Read>) {
        request.reply(&State { calls: 7, parts: [1, 2] });
    }

    fn write(&self, _: &(), request: Request<Write>) {
        let pair = request.input_as::<Pair>();
        request.complete(pair.map(|pair| (pair.a + pair.b) as usize));
    }

    fn ioctl(&self, _: &(), request: Request<Ioctl>) {
        request
            .route()
            .answer(ADD, |pair| {
                self.calls.fetch_add(1, Ordering::Relaxed);
                pair.a.checked_add(pair.b).ok_or(Error::INTEGER_OVERFLOW)
            })
            .answer(SWITCH, |switch| {
                println!("{} {:?}", switch.on, switch.level);
                Ok(())
            })
            .answer(STATE, |()| {
                Ok(State { calls: self.calls.load(Ordering::Relaxed), parts: [3, 4] })
            })
            .take(TEXT, |request| request.reply("text"))
            .take(SUM, |request| {
                let sum = request.input_as::<u32>().and_then(|start| {
                    let data = request.direct_input()?;
                    let mut sum = start;
                    for offset in (0..data.len()).step_by(4) {
                        sum += data.read_at::<u32>(offset)?;
                    }
                    Ok(sum)
                });
                println!("sum {sum:?}");
                request.complete(sum.map(|_| 0));
            })
            .end();
    }
}

struct Module {
    _device: Device<Typed>,
}

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self> {
        let typed = Typed { calls: AtomicU32::new(0) };
        Ok(Module { _device: Device::try_new(&driver, &DeviceOptions::named("Typed"), typed)? })
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
