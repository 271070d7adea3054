//! Pages of the files from which this process is made: its program and the libraries.

use std::ptr;

use rustix::mm::{Advice, madvise};
use rustix::param::page_size;

/// Gives back all pages of code and constants. A page comes back from the file when it is used
/// next. A process that mostly waits has few of them then.
pub(super) fn give_back() {
    // SAFETY: the function keeps no pointer, and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(give_back_object), ptr::null_mut()) };
}

/// Gives back the pages of one program or library.
unsafe extern "C" fn give_back_object(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader passes a valid description, which lives for the call.
    let object = unsafe { &*object };
    let (first, count) = (object.dlpi_phdr, usize::from(object.dlpi_phnum));
    // SAFETY: so many headers are there, for as long as the object is loaded.
    let headers = unsafe { std::slice::from_raw_parts(first, count) };
    let is_constant = |header: &&libc::Elf64_Phdr| {
        header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0
    };
    for header in headers.iter().filter(is_constant) {
        let begin = (object.dlpi_addr + header.p_vaddr) as usize;
        let end = begin + header.p_memsz as usize;
        // Whole pages only: the rest may belong to another segment.
        let begin = begin.next_multiple_of(page_size());
        let length = (end - end % page_size()).saturating_sub(begin);
        // SAFETY: nothing has written to these pages, so that the file has the same bytes. What was
        // relocated is in segments that are writable in the file.
        let given_back = unsafe {
            madvise(ptr::with_exposed_provenance_mut(begin), length, Advice::LinuxDontNeed)
        };
        if let Err(error) = given_back {
            tracing::debug!(%error, "pages stay in memory");
        }
    }
    0
}
