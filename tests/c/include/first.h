/* Included before all else, so that clang for MSVC reads mingw-w64's DDK headers.

   C_ASSERT there measures an array by FIELD_OFFSET, a cast of a null pointer, which is a constant
   for GCC only. What newer headers have is declared here. */
#pragma once
#include <ntdef.h>
#undef C_ASSERT
#define C_ASSERT(expr) typedef int c_assert_left_out
int _fltused;

/* What MSVC has as intrinsics, and clang does not. */
static __inline unsigned __int64 __readcr8(void)
{
    unsigned __int64 value;
    __asm__ volatile("movq %%cr8, %0" : "=r"(value));
    return value;
}

static __inline void __writecr8(unsigned __int64 value)
{
    __asm__ volatile("movq %0, %%cr8" : : "r"(value) : "memory");
}

/* Newer than the headers. */
#define POOL_FLAG_RAISE_ON_FAILURE 0x20ULL
#define POOL_FLAG_NON_PAGED 0x40ULL
#define POOL_FLAG_PAGED 0x100ULL
void *__stdcall ExAllocatePool2(unsigned __int64 flags, unsigned __int64 size, unsigned long tag);
