//! What V8 has compiled of our JavaScript, for the workers that start later: a file in memory, which
//! all workers inherit.
//!
//! The first worker that has served for a moment writes it, and seals it. What always holds: only a
//! sealed file is read, so what is read was written whole and never changes; and only one process
//! at a time writes. A process that dies while it writes leaves a file that the next one begins
//! again. Code that was compiled from another text is not read. V8 checks its own version itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use rustix::fs::{FlockOperation, MemfdFlags, SealFlags};
use rustix::io::{Errno, pread, pwrite};
use rustix::mm::{MapFlags, ProtFlags};

use super::spawn::{self, CODE_FD};

/// Our code takes less than a tenth of it.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// The file begins with the key. The code follows as far into the file as V8 wants it aligned.
const HEAD: usize = 16;
const ALL_SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK).union(SealFlags::SEAL);

/// A file that has the code, or gets it.
#[derive(Debug)]
pub struct CodeCache(OwnedFd);

impl CodeCache {
    /// Makes an empty one.
    pub(crate) fn create() -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(Self(rustix::fs::memfd_create("cluster2-code", flags)?))
    }

    /// Takes over what this worker inherited; works once in a process.
    pub fn inherited() -> io::Result<Self> {
        let [file] = spawn::inherited([CODE_FD])?;
        Ok(Self(file))
    }

    fn is_sealed(&self) -> io::Result<bool> {
        Ok(rustix::fs::fcntl_get_seals(&self.0)?.contains(ALL_SEALS))
    }

    /// Returns the code that was compiled from the text of this key, if there is any.
    pub fn read(&self, key: u64) -> io::Result<Option<CompiledCode>> {
        if !self.is_sealed()? {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        let is_whole = pread(&self.0, &mut head, 0)? == HEAD;
        if !is_whole || head[..size_of::<u64>()] != key.to_ne_bytes() {
            return Ok(None);
        }
        CompiledCode::map(&self.0).map(Some)
    }

    /// Claims the file, for as long as this process has it. Returns `false` if it is written
    /// already, or another process is about to write it.
    pub fn claim(&self) -> io::Result<bool> {
        if self.is_sealed()? {
            return Ok(false);
        }
        match rustix::fs::fcntl_lock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(!self.is_sealed()?),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what was compiled from the text of this key, once the file is claimed.
    pub fn write(&self, key: u64, code: &[u8]) -> io::Result<()> {
        if code.is_empty() || code.len() as u64 > MAX_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut head = [0; HEAD];
        head[..size_of::<u64>()].copy_from_slice(&key.to_ne_bytes());
        rustix::fs::ftruncate(&self.0, 0)?;
        let whole = [&head, code].concat();
        if pwrite(&self.0, &whole, 0)? != whole.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(rustix::fs::fcntl_add_seals(&self.0, ALL_SEALS)?)
    }
}

impl AsFd for CodeCache {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The file for workers that are started from now on.
#[derive(Debug, Default)]
pub struct CurrentCodeCache(Option<CodeCache>);

impl CurrentCodeCache {
    /// Returns it.
    pub(crate) fn get(&mut self) -> io::Result<&CodeCache> {
        let current = self.0.take().map_or_else(CodeCache::create, Ok)?;
        Ok(self.0.insert(current))
    }

    /// Begins another file, because another text, or another Node, may be there.
    pub(crate) fn renew(&mut self) {
        self.0 = None;
    }
}

/// Compiled code, mapped.
#[derive(Debug)]
pub struct CompiledCode {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping lives until drop, belongs to no thread, and never changes.
unsafe impl Send for CompiledCode {}

impl CompiledCode {
    /// Maps a sealed file.
    fn map(file: &OwnedFd) -> io::Result<Self> {
        let size = rustix::fs::fstat(file)?.st_size as u64;
        if size <= HEAD as u64 || size > HEAD as u64 + MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let length = size as usize;
        let (protection, flags) = (ProtFlags::READ, MapFlags::PRIVATE);
        let anywhere = std::ptr::null_mut();
        // SAFETY: the kernel chooses the address, so that it overlaps no other memory. The file has
        // `length` bytes and is sealed against shrinking, so that no access can fault.
        let base = unsafe { rustix::mm::mmap(anywhere, length, protection, flags, file, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// Returns where the code lies: [`len`](Self::len) bytes that nobody may write to, mapped until
    /// this is dropped.
    pub fn address(&self) -> *mut u8 {
        // SAFETY: `map` mapped more than `HEAD` bytes.
        unsafe { self.base.add(HEAD) }.as_ptr()
    }

    /// Returns the number of bytes; never 0.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.length - HEAD
    }
}

impl Drop for CompiledCode {
    fn drop(&mut self) {
        // SAFETY: `map` got `base` for this length.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(code: &CompiledCode) -> &[u8] {
        // SAFETY: so many bytes are mapped there while `code` lives, and nobody changes them.
        unsafe { std::slice::from_raw_parts(code.address(), code.len()) }
    }

    #[test]
    fn code_is_read_once_it_is_written_whole_and_only_for_its_own_text() {
        let cache = CodeCache::create().unwrap();
        assert!(cache.read(7).unwrap().is_none(), "nobody has written it");
        assert!(cache.claim().unwrap());
        cache.write(7, b"compiled").unwrap();
        assert_eq!(bytes(&cache.read(7).unwrap().unwrap()), b"compiled");
        assert!(cache.read(8).unwrap().is_none(), "compiled from another text");
        assert!(!cache.claim().unwrap(), "nobody writes it twice");
        assert!(cache.write(7, b"other").is_err());
        assert!(pwrite(&cache, b"x", HEAD as u64).is_err(), "nobody changes it");
    }

    #[test]
    fn what_a_process_that_died_has_written_is_not_read_and_is_written_over() {
        let cache = CodeCache::create().unwrap();
        pwrite(&cache, &[7; 1000], 0).unwrap();
        assert!(cache.read(u64::from_ne_bytes([7; 8])).unwrap().is_none());
        assert!(cache.claim().unwrap());
        cache.write(1, b"compiled").unwrap();
        assert_eq!(bytes(&cache.read(1).unwrap().unwrap()), b"compiled");
    }

    #[test]
    fn nothing_and_too_much_is_not_written() {
        let cache = CodeCache::create().unwrap();
        assert!(cache.write(1, b"").is_err());
        assert!(cache.write(1, &vec![0; MAX_BYTES as usize + 1]).is_err());
        assert!(cache.claim().unwrap());
    }
}
