//! What V8 has compiled of our JavaScript, for the workers that start later: a file in memory that
//! all workers inherit.
//!
//! The first worker that has served for a moment writes it. What always holds:
//!
//! - Only a sealed file is read, so what is read was written whole and never changes. One process
//!   at a time writes; one that dies before it seals leaves a file that the next one begins again.
//! - It was written by a process with the rights of the master: the file is read only once its mode
//!   says so, which nobody else can change. A worker that has given up rights cannot have the next
//!   one run what it likes.
//! - It was compiled from the same text by the same program. V8 takes code of another version that
//!   it believes to be its own, and crashes by it (nodejs/node#62781).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;

use rustix::fs::{FlockOperation, MemfdFlags, Mode, SealFlags};
use rustix::io::{Errno, pread, pwrite};
use rustix::mm::{MapFlags, ProtFlags};

use super::spawn::{self, CODE_FD};

const NAME: &str = "cluster2-code";
/// The mode of a file that may be read.
const WRITTEN: Mode = Mode::RUSR;
const UNWRITTEN: Mode = Mode::RUSR.union(Mode::WUSR);
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
        let file = rustix::fs::memfd_create(NAME, flags)?;
        rustix::fs::fchmod(&file, UNWRITTEN)?;
        Ok(Self(file))
    }

    /// Takes over what this worker inherited; works once in a process.
    pub fn inherited() -> io::Result<Self> {
        // In a process that is no worker of this version, it is a file of somebody else.
        let name = std::fs::read_link(format!("/proc/self/fd/{CODE_FD}"))?;
        if !name.starts_with(format!("/memfd:{NAME} (deleted)")) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let [file] = spawn::inherited([CODE_FD])?;
        Ok(Self(file))
    }

    fn is_sealed(&self) -> io::Result<bool> {
        Ok(rustix::fs::fcntl_get_seals(&self.0)?.contains(ALL_SEALS))
    }

    /// Returns the code that was compiled from the text of this key, if there is any.
    pub fn read(&self, key: u64) -> io::Result<Option<CompiledCode>> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.0)?.st_mode);
        if mode != WRITTEN || !self.is_sealed()? {
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
    /// already, if another process is about to write it, or if this one lacks the master's rights.
    pub fn claim(&self) -> io::Result<bool> {
        match rustix::fs::fcntl_lock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(!self.is_sealed()? && rustix::fs::fchmod(&self.0, UNWRITTEN).is_ok())
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
        rustix::fs::fcntl_add_seals(&self.0, ALL_SEALS)?;
        // A process with fewer rights may have written meanwhile.
        let mut sealed = vec![0; whole.len() + 1];
        if pread(&self.0, &mut sealed, 0)? != whole.len() || sealed[..whole.len()] != whole {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(rustix::fs::fchmod(&self.0, WRITTEN)?)
    }
}

/// Returns the key of what this program compiles from a text.
pub fn key_of(text: &[u8]) -> io::Result<u64> {
    let program = std::fs::metadata("/proc/self/exe")?;
    let changed = (program.mtime(), program.mtime_nsec());
    let mut hasher = DefaultHasher::new();
    (text, program.dev(), program.ino(), program.size(), changed).hash(&mut hasher);
    Ok(hasher.finish())
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
    fn what_a_process_with_fewer_rights_has_sealed_is_not_read() {
        let cache = CodeCache::create().unwrap();
        pwrite(&cache, &[7; 1000], 0).unwrap();
        rustix::fs::fcntl_add_seals(&cache, ALL_SEALS).unwrap();
        // It cannot change the mode.
        assert!(cache.read(u64::from_ne_bytes([7; 8])).unwrap().is_none());
        assert!(!cache.claim().unwrap());
    }

    #[test]
    fn the_key_is_that_of_the_text() {
        assert_eq!(key_of(b"one").unwrap(), key_of(b"one").unwrap());
        assert_ne!(key_of(b"one").unwrap(), key_of(b"two").unwrap());
    }

    #[test]
    fn nothing_and_too_much_is_not_written() {
        let cache = CodeCache::create().unwrap();
        assert!(cache.write(1, b"").is_err());
        assert!(cache.write(1, &vec![0; MAX_BYTES as usize + 1]).is_err());
        assert!(cache.claim().unwrap());
    }
}
