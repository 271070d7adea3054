//! Pages of the files from which this process is made: its program, our addon and the libraries.
//!
//! Processes that run the same file share its pages, and each page that a process ever touched
//! counts as resident memory of it. Most of our own code runs once. To find the functions of
//! Node-API, the loader walks through the symbol tables of Node: up to 7.5 MB, of which nothing is
//! needed afterwards.
//!
//! What always holds: only segments of a file to which nobody writes are given back. So a page is
//! the same again when it is needed, for a minor fault.

use std::ffi::c_void;
use std::ops::Range;
use std::ptr;

use libc::{Elf64_Phdr, PF_R, PF_W, PT_LOAD};
use rustix::mm::{Advice, madvise};
use rustix::param::page_size;

/// Gives back all pages of code and constants. A process that mostly waits has few of them then.
pub(super) fn give_back() {
    each_segment(|_, _| true);
}

/// Gives back what mostly the start needed: our own pages, and the main program's symbol tables. In
/// a program of ours, the libraries are ours too.
pub(crate) fn give_back_own() {
    each_segment(|file, header| {
        file.is_ours() || file.is_of_our_program || (file.is_main && file.has_tables(header))
    });
}

/// A program or library that is loaded.
struct LoadedFile<'a> {
    base: usize,
    headers: &'a [Elf64_Phdr],
    is_main: bool,
    /// The main program is ours.
    is_of_our_program: bool,
}

impl LoadedFile<'_> {
    /// Where a segment lies.
    fn addresses(&self, header: &Elf64_Phdr) -> Range<usize> {
        let begin = self.base + header.p_vaddr as usize;
        begin..begin + header.p_memsz as usize
    }

    /// Whether this code is in it.
    fn is_ours(&self) -> bool {
        let here = (visit as *const ()).addr();
        self.constant_segments().any(|header| self.addresses(header).contains(&here))
    }

    /// Whether it is the segment with the symbol tables, if they have one without code: they follow
    /// the headers.
    fn has_tables(&self, header: &Elf64_Phdr) -> bool {
        let headers = self.headers.as_ptr().addr();
        header.p_flags == PF_R && self.addresses(header).contains(&headers)
    }

    /// The segments of code and constants.
    fn constant_segments(&self) -> impl Iterator<Item = &Elf64_Phdr> {
        let is_constant =
            |header: &&Elf64_Phdr| header.p_type == PT_LOAD && header.p_flags & PF_W == 0;
        self.headers.iter().filter(is_constant)
    }

    fn give_back(&self, header: &Elf64_Phdr) {
        // Whole pages only: the rest may belong to another segment.
        let Range { start, end } = self.addresses(header);
        let begin = start.next_multiple_of(page_size());
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
}

type IsWanted = fn(&LoadedFile<'_>, &Elf64_Phdr) -> bool;

/// What [`visit`] needs.
struct Visit {
    is_main: bool,
    is_our_program: bool,
    is_wanted: IsWanted,
}

/// Gives back the wanted ones of the segments of code and constants.
fn each_segment(is_wanted: IsWanted) {
    let mut visit_of = Visit { is_main: true, is_our_program: false, is_wanted };
    // SAFETY: `visit` gets what it expects, keeps no pointer, and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut visit_of).cast()) };
}

/// Called for each file that is loaded, the main program first. `data`: a [`Visit`].
unsafe extern "C" fn visit(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut c_void,
) -> libc::c_int {
    // SAFETY: `each_segment` passes a valid one, which nobody else uses meanwhile.
    let visit = unsafe { &mut *data.cast::<Visit>() };
    // SAFETY: the loader passes a valid description, which lives for the call.
    let object = unsafe { &*object };
    let (first, count) = (object.dlpi_phdr, usize::from(object.dlpi_phnum));
    // SAFETY: so many headers are there, for as long as the object is loaded.
    let headers = unsafe { std::slice::from_raw_parts(first, count) };
    let is_main = std::mem::replace(&mut visit.is_main, false);
    let mut file = LoadedFile {
        base: object.dlpi_addr as usize,
        headers,
        is_main,
        is_of_our_program: visit.is_our_program,
    };
    if is_main {
        visit.is_our_program = file.is_ours();
        file.is_of_our_program = visit.is_our_program;
    }
    for header in file.constant_segments().filter(|header| (visit.is_wanted)(&file, header)) {
        file.give_back(header);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::super::descriptors::alone::alone;
    use super::*;

    /// Returns the resident kilobytes of code and constants of this program.
    fn resident() -> u64 {
        let own = std::env::current_exe().unwrap();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut counts = false;
        let mut sum = 0;
        for line in maps.lines() {
            if [" r-xp ", " r--p "].iter().any(|flags| line.contains(flags)) {
                counts = line.ends_with(own.to_str().unwrap());
            } else if [" rw-p ", " ---p "].iter().any(|flags| line.contains(flags)) {
                counts = false;
            } else if let Some(size) = line.strip_prefix("Rss:")
                && counts
            {
                sum += size.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
            }
        }
        sum
    }

    #[test]
    fn what_only_the_start_needed_is_not_resident_afterwards() {
        alone(
            "os::file_pages::tests::what_only_the_start_needed_is_not_resident_afterwards",
            || {
                // What the look itself needs is there before, and half of it afterwards.
                resident();
                let before = resident();
                give_back_own();
                let after = resident();
                // Not none: what runs is there again.
                assert!(after < before, "{before} KB, then {after} KB");
            },
        );
    }
}
