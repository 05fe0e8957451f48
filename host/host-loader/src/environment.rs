//! What a constructor of a library may change behind our back, put back after it has run.
//!
//! Signal handlers, the working directory, the file mode mask, the locale and the rounding of
//! floats belong to the process; a plugin that changes them would break the drain on SIGTERM,
//! relative paths, number formats and the bits of every other plugin. Environment variables are
//! not put back: they cannot be written while other threads read them.

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
    use super::float;
    use std::ffi::CString;
    use std::mem::MaybeUninit;
    use std::path::PathBuf;

    /// Signals that have a number on every Unix; the real-time ones are left alone.
    const SIGNALS: std::ops::Range<i32> = 1..32;

    /// The process, and the calling thread, as they were.
    pub(crate) struct Environment {
        signals: Vec<(i32, libc::sigaction)>,
        blocked: Option<libc::sigset_t>,
        directory: Option<PathBuf>,
        mask: libc::mode_t,
        locale: Option<CString>,
        float: float::Control,
    }

    impl Environment {
        /// Notes the state before a library is opened.
        pub(crate) fn save() -> Self {
            Self {
                signals: SIGNALS.filter_map(|signal| Some((signal, action(signal)?))).collect(),
                blocked: blocked(),
                directory: std::env::current_dir().ok(),
                mask: file_mask(),
                locale: locale(),
                float: float::save(),
            }
        }

        /// Puts it back.
        pub(crate) fn restore(self) {
            for (signal, action) in &self.signals {
                // SAFETY: the action was read from this signal; the old one is not asked for.
                unsafe { libc::sigaction(*signal, action, std::ptr::null_mut()) };
            }
            if let Some(blocked) = &self.blocked {
                let nowhere = std::ptr::null_mut();
                // SAFETY: the set was read from this thread; the old one is not asked for.
                unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, blocked, nowhere) };
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
            float::restore(self.float);
        }
    }

    fn action(signal: i32) -> Option<libc::sigaction> {
        let mut action = MaybeUninit::uninit();
        // SAFETY: asks for the action of a signal into a place for one.
        let status = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
        // SAFETY: status 0 says it was written.
        (status == 0).then(|| unsafe { action.assume_init() })
    }

    fn blocked() -> Option<libc::sigset_t> {
        let mut set = MaybeUninit::uninit();
        let ask = std::ptr::null();
        // SAFETY: asks for the thread's set into a place for one.
        let status = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ask, set.as_mut_ptr()) };
        // SAFETY: status 0 says it was written.
        (status == 0).then(|| unsafe { set.assume_init() })
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
}

/// Rounding and flushing of floats on the calling thread.
#[cfg(all(unix, target_arch = "x86_64"))]
mod float {
    use std::arch::asm;

    /// The SSE and the x87 control words: C's `fesetround` writes both.
    pub(super) type Control = (u32, u16);

    pub(super) fn save() -> Control {
        let (mut sse, mut x87) = (0_u32, 0_u16);
        // SAFETY: stores the register into the four bytes of `sse`.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut sse, options(nostack)) };
        // SAFETY: stores the register into the two bytes of `x87`.
        unsafe { asm!("fnstcw [{}]", in(reg) &raw mut x87, options(nostack)) };
        (sse, x87)
    }

    pub(super) fn restore((sse, x87): Control) {
        // SAFETY: loads a value the register has had before.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const sse, options(nostack)) };
        // SAFETY: as above.
        unsafe { asm!("fldcw [{}]", in(reg) &raw const x87, options(nostack)) };
    }
}

/// Rounding and flushing of floats on the calling thread.
#[cfg(all(unix, target_arch = "aarch64"))]
mod float {
    use std::arch::asm;

    pub(super) type Control = u64;

    pub(super) fn save() -> Control {
        let control;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack)) };
        control
    }

    pub(super) fn restore(control: Control) {
        // SAFETY: loads a value the register has had before.
        unsafe { asm!("msr fpcr, {}", in(reg) control, options(nomem, nostack)) };
    }
}

/// Left alone where we do not know the registers.
#[cfg(all(unix, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
mod float {
    pub(super) type Control = ();

    pub(super) fn save() -> Control {}

    pub(super) fn restore((): Control) {}
}
