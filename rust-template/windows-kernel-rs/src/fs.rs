//! Files: [`File`].
//!
//! For IRQL PASSIVE, with APCs not disabled. Paths are those of the object manager: `\??\C:\x.txt`,
//! `\SystemRoot\x.txt`. WDK: "Using Files in a Driver".
//!
//! ```no_run
//! use windows_kernel_rs::fs::File;
//! use windows_kernel_rs::u16str;
//!
//! # fn f() -> windows_kernel_rs::Result<()> {
//! let file = File::create(u16str!("\\??\\C:\\Lab\\log.txt"))?;
//! file.write_all_at(b"started\n", file.size()?)?;
//! let mut head = [0; 16];
//! let count = file.read_at(&mut head, 0)?;
//! # let _ = count; Ok(()) }
//! ```

use core::ffi::c_void;
use core::ptr;

use alloc::vec::Vec;

use windows_kernel_sys as sys;
use windows_kernel_sys::{
    FILE_DISPOSITION_INFORMATION, FILE_END_OF_FILE_INFORMATION, FILE_STANDARD_INFORMATION,
    IO_STATUS_BLOCK, NTSTATUS,
};

use crate::error::{Error, Result, check};
use crate::irql::{Irql, assert_at_most};
use crate::ob::{Handle, with_attributes};
use crate::string::AsUnicode;

/// How a file is opened; [`File::options`] begins with nothing.
///
/// ```no_run
/// # use windows_kernel_rs::{fs::File, u16str};
/// # fn f() -> windows_kernel_rs::Result<()> {
/// let file = File::options().read().write().create().open(u16str!("\\??\\C:\\x.bin"))?;
/// # drop(file); Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct OpenOptions {
    access: u32,
    create: bool,
    create_new: bool,
    truncate: bool,
    shared: bool,
}

impl OpenOptions {
    /// It can be read.
    pub fn read(mut self) -> Self {
        self.access |= sys::FILE_GENERIC_READ;
        self
    }

    /// It can be written.
    pub fn write(mut self) -> Self {
        self.access |= sys::FILE_GENERIC_WRITE;
        self
    }

    /// It can be deleted.
    pub fn delete(mut self) -> Self {
        self.access |= sys::DELETE;
        self
    }

    /// It is made where it is missing.
    pub fn create(mut self) -> Self {
        self.create = true;
        self
    }

    /// It is made, and must not be there before.
    pub fn create_new(mut self) -> Self {
        self.create_new = true;
        self
    }

    /// What is in it is thrown away.
    pub fn truncate(mut self) -> Self {
        self.truncate = true;
        self
    }

    /// Others may write and delete it meanwhile; else they may only read.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Opens the file. IRQL: PASSIVE. WDK: "ZwCreateFile function (wdm.h)".
    ///
    /// # Errors
    /// [`Error::OBJECT_NAME_NOT_FOUND`], [`Error::OBJECT_NAME_COLLISION`],
    /// [`Error::SHARING_VIOLATION`], [`Error::ACCESS_DENIED`] and what else the file system
    /// answers.
    #[track_caller]
    pub fn open(self, path: impl AsUnicode) -> Result<File> {
        assert_at_most(Irql::PASSIVE, "File::open");
        let disposition = match (self.create_new, self.create, self.truncate) {
            (true, _, _) => sys::FILE_CREATE,
            (_, true, true) => sys::FILE_OVERWRITE_IF,
            (_, true, false) => sys::FILE_OPEN_IF,
            (_, false, true) => sys::FILE_OVERWRITE,
            (_, false, false) => sys::FILE_OPEN,
        };
        let others = if self.shared { sys::FILE_SHARE_WRITE | sys::FILE_SHARE_DELETE } else { 0 };
        let handle = with_attributes(path, None, |attributes| {
            let mut block = IO_STATUS_BLOCK::default();
            // SAFETY: the attributes are valid, and ask for a kernel handle; size and extended
            // attributes may be left out.
            unsafe {
                Handle::open(|handle| {
                    sys::ZwCreateFile(
                        handle,
                        self.access | sys::SYNCHRONIZE,
                        attributes,
                        &raw mut block,
                        ptr::null(),
                        sys::FILE_ATTRIBUTE_NORMAL,
                        sys::FILE_SHARE_READ | others,
                        disposition,
                        sys::FILE_SYNCHRONOUS_IO_NONALERT | sys::FILE_NON_DIRECTORY_FILE,
                        ptr::null(),
                        0,
                    )
                })
            }
        })??;
        Ok(File { handle, access: self.access })
    }
}

/// An open file, closed when it is dropped. IRQL: PASSIVE.
///
/// Reads and writes name the offset, and wait until they are done. The kernel does not hold a
/// driver to what it opened a file for; this type does.
#[derive(Debug)]
pub struct File {
    handle: Handle,
    access: u32,
}

impl File {
    /// Opens a file to read. IRQL: PASSIVE.
    ///
    /// # Errors
    /// As for [`OpenOptions::open`].
    #[track_caller]
    pub fn open(path: impl AsUnicode) -> Result<File> {
        File::options().read().open(path)
    }

    /// Opens a file to read and write, made where it is missing; what is in it stays. IRQL:
    /// PASSIVE.
    ///
    /// # Errors
    /// As for [`OpenOptions::open`].
    #[track_caller]
    pub fn create(path: impl AsUnicode) -> Result<File> {
        File::options().read().write().create().open(path)
    }

    /// To say how a file is opened.
    pub fn options() -> OpenOptions {
        OpenOptions::default()
    }

    /// Reads from `offset` on; how many bytes. 0 at the end of the file. IRQL: PASSIVE. WDK:
    /// "ZwReadFile function (ntifs.h)".
    ///
    /// # Errors
    /// [`Error::ACCESS_DENIED`] when it was not opened to read; what the file system answers.
    #[track_caller]
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.require(sys::FILE_READ_DATA)?;
        let size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let offset = i64::try_from(offset)?;
        let answer = self.ask("File::read_at", |handle, block| {
            // SAFETY: the buffer has `size` bytes; the handle is synchronous, so that the call
            // returns when all is done.
            unsafe {
                sys::ZwReadFile(
                    handle,
                    ptr::null_mut(),
                    None,
                    ptr::null(),
                    block,
                    buffer.as_mut_ptr().cast(),
                    size,
                    &raw const offset,
                    ptr::null(),
                )
            }
        });
        match answer {
            Err(Error::END_OF_FILE) => Ok(0),
            other => other,
        }
    }

    /// Writes at `offset`; how many bytes. IRQL: PASSIVE. WDK: "ZwWriteFile function (ntifs.h)".
    ///
    /// # Errors
    /// [`Error::ACCESS_DENIED`] when it was not opened to write; what the file system answers:
    /// `STATUS_DISK_FULL`, say.
    #[track_caller]
    pub fn write_at(&self, data: &[u8], offset: u64) -> Result<usize> {
        self.require(sys::FILE_WRITE_DATA)?;
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let offset = i64::try_from(offset)?;
        self.ask("File::write_at", |handle, block| {
            // SAFETY: the data has `size` bytes; the handle is synchronous.
            unsafe {
                sys::ZwWriteFile(
                    handle,
                    ptr::null_mut(),
                    None,
                    ptr::null(),
                    block,
                    data.as_ptr().cast(),
                    size,
                    &raw const offset,
                    ptr::null(),
                )
            }
        })
    }

    /// Writes all of `data` at `offset`. IRQL: PASSIVE.
    ///
    /// # Errors
    /// As for [`write_at`](Self::write_at); some of it may be written then.
    #[track_caller]
    pub fn write_all_at(&self, mut data: &[u8], mut offset: u64) -> Result<()> {
        while !data.is_empty() {
            let count = self.write_at(data, offset)?;
            data = match data.get(count..) {
                Some(rest) if count != 0 => rest,
                _ => return Err(Error::IO_DEVICE_ERROR),
            };
            offset += count as u64;
        }
        Ok(())
    }

    /// All that is in the file. IRQL: PASSIVE.
    ///
    /// # Errors
    /// As for [`read_at`](Self::read_at), [`Error::INSUFFICIENT_RESOURCES`].
    #[track_caller]
    pub fn read_to_end(&self) -> Result<Vec<u8>> {
        let size = usize::try_from(self.size()?)?;
        let mut content = Vec::new();
        content.try_reserve_exact(size).map_err(Error::from)?;
        content.resize(size, 0);
        let mut done = 0;
        while done < size {
            let count = self.read_at(content.get_mut(done..).unwrap_or_default(), done as u64)?;
            if count == 0 {
                break; // somebody made it shorter
            }
            done += count;
        }
        content.truncate(done);
        Ok(content)
    }

    /// Its size in bytes. IRQL: PASSIVE. WDK: "ZwQueryInformationFile function (ntifs.h)".
    ///
    /// # Errors
    /// What the file system answers.
    #[track_caller]
    pub fn size(&self) -> Result<u64> {
        let mut found = FILE_STANDARD_INFORMATION::default();
        self.ask("File::size", |handle, block| {
            // SAFETY: the structure is the one that the class wants.
            unsafe {
                sys::ZwQueryInformationFile(
                    handle,
                    block,
                    (&raw mut found).cast(),
                    size_of::<FILE_STANDARD_INFORMATION>() as u32,
                    sys::FileStandardInformation,
                )
            }
        })?;
        Ok(u64::try_from(found.EndOfFile)?)
    }

    /// Makes it longer, with zeros, or shorter. IRQL: PASSIVE. WDK: "ZwSetInformationFile function
    /// (ntifs.h)".
    ///
    /// # Errors
    /// As for [`write_at`](Self::write_at).
    #[track_caller]
    pub fn set_size(&self, size: u64) -> Result<()> {
        self.require(sys::FILE_WRITE_DATA)?;
        let wanted = FILE_END_OF_FILE_INFORMATION { EndOfFile: i64::try_from(size)? };
        // SAFETY: the structure is the one that the class wants.
        unsafe { self.set("File::set_size", &wanted, sys::FileEndOfFileInformation) }
    }

    /// Deletes it, when this and all other handles are closed; it must be open to
    /// [`delete`](OpenOptions::delete). IRQL: PASSIVE.
    ///
    /// # Errors
    /// [`Error::ACCESS_DENIED`], `STATUS_CANNOT_DELETE`.
    #[track_caller]
    pub fn delete(self) -> Result<()> {
        self.require(sys::DELETE)?;
        let wanted = FILE_DISPOSITION_INFORMATION { DeleteFile: 1 };
        // SAFETY: the structure is the one that the class wants.
        unsafe { self.set("File::delete", &wanted, sys::FileDispositionInformation) }
    }

    /// Writes what is only in memory to the disk. IRQL: PASSIVE. WDK: "ZwFlushBuffersFile function
    /// (ntifs.h)".
    ///
    /// # Errors
    /// What the disk answers.
    #[track_caller]
    pub fn flush(&self) -> Result<()> {
        // SAFETY: the handle is valid.
        self.ask("File::flush", |handle, block| unsafe { sys::ZwFlushBuffersFile(handle, block) })?;
        Ok(())
    }

    /// The handle, for `windows-kernel-sys`.
    #[must_use]
    pub fn as_raw(&self) -> sys::HANDLE {
        self.handle.as_raw()
    }

    fn require(&self, access: u32) -> Result<()> {
        if self.access & access == access { Ok(()) } else { Err(Error::ACCESS_DENIED) }
    }

    /// # Safety
    /// `T` is what `class` wants.
    #[track_caller]
    unsafe fn set<T>(&self, what: &str, wanted: &T, class: i32) -> Result<()> {
        let data: *const c_void = ptr::from_ref(wanted).cast();
        self.ask(what, |handle, block| {
            // SAFETY: the caller's promise.
            unsafe { sys::ZwSetInformationFile(handle, block, data, size_of::<T>() as u32, class) }
        })?;
        Ok(())
    }

    #[track_caller]
    fn ask(
        &self,
        what: &str,
        ask: impl FnOnce(sys::HANDLE, *mut IO_STATUS_BLOCK) -> NTSTATUS,
    ) -> Result<usize> {
        assert_at_most(Irql::PASSIVE, what);
        let mut block = IO_STATUS_BLOCK::default();
        check(ask(self.as_raw(), &raw mut block))?;
        Ok(block.Information)
    }
}

/// Deletes a file. IRQL: PASSIVE. WDK: "ZwDeleteFile function (ntifs.h)".
///
/// # Errors
/// As for [`OpenOptions::open`].
#[track_caller]
pub fn remove_file(path: impl AsUnicode) -> Result<()> {
    assert_at_most(Irql::PASSIVE, "remove_file");
    // SAFETY: the attributes are valid.
    let status = with_attributes(path, None, |attributes| unsafe { sys::ZwDeleteFile(attributes) });
    check(status?)?;
    Ok(())
}
