//! Which fault this copy has: the name written into its bytes, else the name of its file.
//!
//! A test that copies the library to `libfault_hang_load.so` has a plugin that hangs. One that
//! needs the fault to be in the bytes, as in life, writes it over the spaces behind the mark. An
//! environment variable would be shared by all copies in a process; these are not.

use std::sync::OnceLock;

/// The mark, and room for the name of a fault.
#[used]
static FAULT: [u8; 48] = *b"fixture fault:                                  ";
const MARK_LEN: usize = 15;

/// The fault, empty in a good plugin.
pub(crate) fn fault() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        // SAFETY: reads a static; volatile, because the bytes in the file may not be those above.
        let bytes = unsafe { (&raw const FAULT).read_volatile() };
        let written = String::from_utf8_lossy(&bytes[MARK_LEN..]).trim().to_owned();
        if written.is_empty() { of_the_file().unwrap_or_default() } else { written }
    })
}

/// Name of the plugin.
pub(crate) fn plugin() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| match fault() {
        "" => "fixture".to_owned(),
        fault => format!("fault_{fault}"),
    })
}

/// `hang_load` of `libfault_hang_load.so`.
#[cfg(unix)]
fn of_the_file() -> Option<String> {
    let mut found = std::mem::MaybeUninit::<libc::Dl_info>::uninit();
    let address = crate::host_plugin_entry as *const std::ffi::c_void;
    // SAFETY: asks which library an address of this one lies in, into a place for the answer.
    if unsafe { libc::dladdr(address, found.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: a status other than 0 says it was written.
    let path = unsafe { found.assume_init() }.dli_fname;
    // SAFETY: the system's loader keeps the path as long as the library is open.
    let path = unsafe { std::ffi::CStr::from_ptr(path) }.to_string_lossy();
    let file = path.rsplit('/').next()?.strip_prefix("libfault_")?;
    file.split('.').next().map(str::to_owned)
}

#[cfg(not(unix))]
fn of_the_file() -> Option<String> {
    None
}
