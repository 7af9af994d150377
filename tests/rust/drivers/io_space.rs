use windows_kernel_rs::mem::{IoSpace, PhysicalAddress};
use windows_kernel_rs::prelude::*;

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self> {
        // SAFETY: the test's device has registers that do nothing.
        let space = unsafe { IoSpace::try_map(PhysicalAddress::new(0xFED0_0000), 16)? };
        let control = space.register::<u32>(4)?;
        println!("{:#x}", control.read());
        control.write(0xABCD);
        println!("{:#x} {:#x}", control.read(), space.register::<u8>(5)?.read());
        println!("{:?}", space.register::<u64>(12).err());
        println!("{:?}", space.register::<u16>(1).err());
        // SAFETY: there is no such device.
        let nothing = unsafe { IoSpace::try_map(PhysicalAddress::new(0xFEE0_0000), 16) };
        println!("{:?}", nothing.err());
        // SAFETY: it is not mapped.
        let beyond = unsafe { IoSpace::try_map(PhysicalAddress::MAX, 2) };
        println!("{:?}", beyond.err());
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
