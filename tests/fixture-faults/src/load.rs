//! Faults that strike while the system loads the library, before any check is possible.

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    match crate::name::fault() {
        "abort_load" => std::process::abort(),
        "hang_load" => loop {
            std::thread::park();
        },
        #[cfg(unix)]
        "exit_load" => unix::exit(),
        #[cfg(unix)]
        "forge_load" => unix::forge(),
        #[cfg(unix)]
        "fork_load" => unix::fork(),
        #[cfg(unix)]
        "changed_world" => unix::change_world(),
        _ => {}
    }
}

#[cfg(unix)]
mod unix {
    use std::io::Write as _;

    /// Ends the process with success and without a word.
    pub(super) fn exit() {
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }

    /// Writes what looks like a report, more than a pipe holds, to both streams; then crashes.
    pub(super) fn forge() {
        let lines = b"{\"loaded\":\"forged 1.0.0\",\"refused\":null}\n".repeat(1 << 15);
        let _closed = std::io::stdout().write_all(&lines);
        let _closed = std::io::stderr().write_all(&lines);
        let _closed = std::io::stdout().flush();
        std::process::abort();
    }

    /// Starts a process that holds our streams open for longer than anybody wants to wait.
    pub(super) fn fork() {
        let _started = std::process::Command::new("sleep").arg("30").spawn();
    }

    /// Changes what belongs to the process.
    pub(super) fn change_world() {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGSEGV] {
            // SAFETY: ignores a signal of this process.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        // SAFETY: an all-zero set is a valid one to fill.
        let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: fills a set of ours.
        unsafe { libc::sigfillset(&raw mut all) };
        // SAFETY: sets the mask of this thread; the old one is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut()) };
        // SAFETY: a text with an end.
        unsafe { libc::chdir(c"/".as_ptr()) };
        // SAFETY: sets an integer of the process.
        unsafe { libc::umask(0o777) };
        // SAFETY: a text with an end.
        unsafe { libc::setlocale(libc::LC_ALL, c"C.UTF-8".as_ptr()) };
        round_down();
    }

    /// Rounds down and flushes what is small to zero.
    #[cfg(target_arch = "x86_64")]
    fn round_down() {
        let control: u32 = 0x1f80 | 0x8040 | 0x2000;
        // SAFETY: loads a legal value of the register: all exceptions masked.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack)) };
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn round_down() {}
}
