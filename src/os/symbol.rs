//! Functions of Node and its libraries, found by their names in this process. So the command line,
//! which links this crate too, needs none of them.

use std::ffi::{CStr, c_void};

/// Returns the function that has this name, and the type `F`: a function pointer with the
/// signature that all supported versions of Node give it, which the caller knows.
pub(super) fn function<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the name ends with NUL, and the default handle is always valid.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: a function pointer is an address, and the function has the signature `F`.
    (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
}
