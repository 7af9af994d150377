//! Blocks, registers and described buffers end with what they belong to.
#![forbid(unsafe_code)]
use windows_kernel_rs::mem::{
    IoSpace, Lookaside, LookasideBox, Mdl, NonPaged, PoolBox, Tag,
};
use windows_kernel_rs::Result;

pub const TAG: Tag = Tag::new(b"Lab\0"); //~ E0080

pub fn block() -> Result<()> {
    let list = Lookaside::try_new(Tag::RUST)?;
    let value = list.alloc(1u32)?;
    drop(list); //~ E0505
    drop(value);
    Ok(())
}

pub fn block_kept(list: Lookaside<u32>) -> Result<LookasideBox<'static, u32>> {
    list.alloc(1) //~ E0515
}

pub fn register(space: IoSpace) -> Result<u32> {
    let register = space.register::<u32>(0)?;
    drop(space); //~ E0505
    Ok(register.read())
}

pub fn described(buffer: PoolBox<[u8], NonPaged>) -> Result<u8> {
    let mdl = Mdl::try_new(buffer)?;
    drop(mdl);
    Ok(buffer[0]) //~ E0382
}
