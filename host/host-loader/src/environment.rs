//! What a constructor of a library may change behind our back, put back after it has run.
//!
//! Signal handlers, the working directory, the file mode mask, the locale and the rounding of
//! floats belong to the process; a plugin that changes them would break the drain on SIGTERM,
//! relative paths, number formats and the bits of every other plugin.

#[cfg(unix)]
pub(crate) use unix::Environment;

#[cfg(not(unix))]
pub(crate) struct Environment;

#[cfg(not(unix))]
impl Environment {
    pub(crate) fn save() -> Self {
        Self
    }
    pub(crate) fn restore(self) {}
}

#[cfg(unix)]
mod unix {
    use std::ffi::CString;
    use std::mem::MaybeUninit;
    use std::path::PathBuf;

    /// Signals that have a number on every Unix; the real-time ones are left alone.
    const SIGNALS: std::ops::Range<i32> = 1..32;

    /// The process as it was.
    pub(crate) struct Environment {
        signals: Vec<(i32, libc::sigaction)>,
        directory: Option<PathBuf>,
        mask: libc::mode_t,
        locale: Option<CString>,
        float: u32,
    }

    impl Environment {
        /// Notes the state before a library is opened.
        pub(crate) fn save() -> Self {
            Self {
                signals: SIGNALS.filter_map(|signal| Some((signal, action(signal)?))).collect(),
                directory: std::env::current_dir().ok(),
                mask: file_mask(),
                locale: locale(),
                float: float_control(),
            }
        }

        /// Puts it back.
        pub(crate) fn restore(self) {
            for (signal, action) in &self.signals {
                // SAFETY: the action was read from this signal; the old one is not asked for.
                unsafe { libc::sigaction(*signal, action, std::ptr::null_mut()) };
            }
            if let Some(directory) = &self.directory
                && std::env::current_dir().ok().as_ref() != Some(directory)
                && let Err(error) = std::env::set_current_dir(directory)
            {
                tracing::warn!(%error, "a plugin changed the working directory");
            }
            // SAFETY: sets an integer of the process.
            unsafe { libc::umask(self.mask) };
            if let Some(locale) = &self.locale {
                // SAFETY: a text with an end, as `setlocale` itself gave it.
                unsafe { libc::setlocale(libc::LC_ALL, locale.as_ptr()) };
            }
            set_float_control(self.float);
        }
    }

    fn action(signal: i32) -> Option<libc::sigaction> {
        let mut action = MaybeUninit::uninit();
        // SAFETY: asks for the action of a signal into a place for one.
        let status = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
        // SAFETY: status 0 says it was written.
        (status == 0).then(|| unsafe { action.assume_init() })
    }

    fn file_mask() -> libc::mode_t {
        // SAFETY: sets an integer of the process.
        let mask = unsafe { libc::umask(0o077) };
        // SAFETY: as above; puts it back.
        unsafe { libc::umask(mask) };
        mask
    }

    fn locale() -> Option<CString> {
        // SAFETY: asks only.
        let text = unsafe { libc::setlocale(libc::LC_ALL, std::ptr::null()) };
        if text.is_null() {
            return None;
        }
        // SAFETY: not null, and a text with an end that lives until the next `setlocale`.
        Some(unsafe { std::ffi::CStr::from_ptr(text) }.to_owned())
    }

    #[cfg(target_arch = "x86_64")]
    fn float_control() -> u32 {
        let mut control = 0_u32;
        // SAFETY: stores the control register into the four bytes of `control`.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack)) };
        control
    }

    #[cfg(target_arch = "x86_64")]
    fn set_float_control(control: u32) {
        // SAFETY: loads a value the register has had before.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack)) };
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn float_control() -> u32 {
        0
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn set_float_control(_: u32) {}
}
