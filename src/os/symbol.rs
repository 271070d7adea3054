//! Functions of Node and its libraries, found by their names in this process. So the command line,
//! which links this crate too, needs none of them.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// Returns the address of what has this name.
pub fn address(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name ends with NUL, and the default handle is always valid.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// Returns the function that has this name, and the type `F`: a function pointer with the
/// signature that all supported versions of Node give it, which the caller knows.
pub(super) fn function<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: a function pointer is an address, and the function has the signature `F`.
    address(name).map(|address| unsafe { std::mem::transmute_copy(&address) })
}
