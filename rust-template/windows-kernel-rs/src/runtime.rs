//! What the compiler and the linker expect of a driver.

use crate::pool::PoolAllocator;

#[global_allocator]
static ALLOCATOR: PoolAllocator = PoolAllocator;

/// The compiler refers to this symbol wherever floating point is used.
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
