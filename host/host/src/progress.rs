//! A progress bar on stderr while a model loads; nothing where stderr is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Shows how many bytes of weights are done.
pub(crate) struct LoadBar {
    bar: ProgressBar,
}

impl LoadBar {
    /// A bar with that label.
    pub(crate) fn new(label: &str) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template(
            "{msg} [{bar:32}] {bytes}/{total_bytes} {binary_bytes_per_sec}",
        );
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.to_owned());
        Self { bar }
    }

    /// Says how far it is.
    pub(crate) fn report(&self, done_bytes: u64, total_bytes: u64) {
        self.bar.set_length(total_bytes);
        self.bar.set_position(done_bytes);
    }
}

impl Drop for LoadBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
