//! Lines that a thread of their own writes, so that who logs never waits for a disk.
//!
//! Between the two is a bounded queue. When it is full, lines are dropped; the next that is written
//! is one that says how many.

use crate::console::note;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Lines that may wait to be written.
const LINES_MAX: usize = 8192;

/// Longest line that is kept whole.
const LINE_BYTES_MAX: usize = 64 << 10;

enum Message {
    Line(Vec<u8>),
    Stop,
}

/// Takes lines; clones write to the same place.
#[derive(Clone)]
pub(crate) struct LineWriter {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// The writing thread. It is done with all lines when this has been dropped.
pub(crate) struct Lines {
    queue: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a thread that writes to `out`; `lost` words the line about dropped ones.
pub(crate) fn start(
    out: impl Write + Send + 'static,
    lost: fn(u64) -> String,
) -> io::Result<(LineWriter, Lines)> {
    let (queue, lines) = sync_channel(LINES_MAX);
    let count = Arc::new(AtomicU64::new(0));
    let writer = LineWriter { queue: queue.clone(), lost: Arc::clone(&count) };
    let work = move || write_all(out, &lines, &|| count.swap(0, Ordering::Relaxed), lost);
    let thread = thread::Builder::new().name("log".to_owned()).spawn(work)?;
    Ok((writer, Lines { queue, thread: Some(thread) }))
}

fn write_all(
    mut out: impl Write,
    lines: &Receiver<Message>,
    take_lost: &dyn Fn() -> u64,
    lost: fn(u64) -> String,
) {
    let mut is_broken = false;
    while let Ok(Message::Line(line)) = lines.recv() {
        let mut written = out.write_all(&line);
        let count = take_lost();
        if count > 0 {
            written = written.and_then(|()| out.write_all(lost(count).as_bytes()));
        }
        if let Err(error) = written {
            // Said once: a disk that is full stays so for many lines.
            if !std::mem::replace(&mut is_broken, true) {
                note(&format!("error: a line of the log could not be written: {error}"));
            }
        } else {
            is_broken = false;
        }
    }
}

impl LineWriter {
    /// Has a line written, which brings its end; drops it when too many wait.
    pub(crate) fn send(&self, mut line: Vec<u8>) {
        if line.len() > LINE_BYTES_MAX {
            line.truncate(LINE_BYTES_MAX - 1);
            line.push(b'\n');
        }
        if self.queue.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Each write is a line, as the formatter of logs writes them.
impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.send(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // The thread may have ended already, and then there is nothing to wait for.
        let _ended = self.queue.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, LINES_MAX, start};
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::sync::{Arc, Mutex};

    /// A disk that writes a line when it is told to.
    struct Disk {
        gate: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // A gate that is gone is open.
            let _closed = self.gate.recv();
            self.written.lock().expect("no panic").extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn disk() -> (Disk, SyncSender<()>, Arc<Mutex<Vec<u8>>>) {
        let (open, gate) = sync_channel(1);
        let written = Arc::new(Mutex::new(Vec::new()));
        (Disk { gate, written: Arc::clone(&written) }, open, written)
    }

    #[test]
    fn a_slow_disk_loses_lines_and_says_how_many() {
        let (disk, open, written) = disk();
        let (writer, lines) = start(disk, |count| format!("lost {count}\n")).expect("a thread");
        // The thread holds at most one line that is no longer in the queue.
        for index in 0..LINES_MAX + 11 {
            writer.send(format!("{index}\n").into_bytes());
        }
        drop(open);
        drop(lines);
        let text = String::from_utf8(written.lock().expect("no panic").clone()).expect("text");
        let kept = text.lines().filter(|line| !line.starts_with("lost ")).count();
        let lost = text.lines().find_map(|line| line.strip_prefix("lost ")).expect("a notice");
        let lost: usize = lost.parse().expect("a number");
        assert_eq!(kept + lost, LINES_MAX + 11);
        assert!((10..=11).contains(&lost), "{lost}");
    }

    #[test]
    fn all_lines_are_written_before_the_end_and_long_ones_are_cut() {
        let (disk, open, written) = disk();
        drop(open);
        let (mut writer, lines) =
            start(disk, |_| unreachable!("nothing is lost")).expect("a thread");
        writer.write_all(b"first\n").expect("taken");
        writer.send(vec![b'x'; LINE_BYTES_MAX * 2]);
        writer.send(b"last\n".to_vec());
        drop(lines);
        let text = String::from_utf8(written.lock().expect("no panic").clone()).expect("text");
        let lengths: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lengths, [5, LINE_BYTES_MAX - 1, 4]);
        // Nobody is there to write it any more, and nobody waits.
        writer.send(b"late\n".to_vec());
    }
}
