//! What is mapped as registers must be registers: the compiler cannot tell, so it takes `unsafe`.
use windows_kernel_rs::Result;
use windows_kernel_rs::mem::{IoSpace, PhysicalAddress};

pub fn any_memory_as_registers() -> Result<IoSpace> {
    IoSpace::try_map(PhysicalAddress::new(0x1000), 0x1000) //~ E0133
}
