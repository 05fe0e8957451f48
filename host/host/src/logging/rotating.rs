//! A log file that gives way to a new one when it is full.
//!
//! `FILE` is written; `FILE.1` was written before it, `FILE.2` before that, and so on up to a number
//! that is kept. The crates that do this bring a calendar and a compressor along, which a host that
//! counts bytes does not need.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file that is written, and the names of the old ones.
pub(crate) struct RotatingFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    files_max: u32,
}

impl RotatingFile {
    /// Goes on with a file, or begins it.
    pub(crate) fn open(path: &Path, bytes_max: u64, files_max: u32) -> io::Result<Self> {
        let file = append(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, bytes_max, files_max })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for age in (1..self.files_max).rev() {
            rename(&self.aged(age), &self.aged(age + 1))?;
        }
        rename(&self.path, &self.aged(1))?;
        self.file = append(&self.path)?;
        self.bytes = 0;
        Ok(())
    }

    fn aged(&self, age: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{age}"));
        name.into()
    }
}

/// Each write is whole lines, and goes into one file.
impl Write for RotatingFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        self.file.write_all(lines)?;
        self.bytes += lines.len() as u64;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Renames a file, if it is there.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::RotatingFile;
    use std::fs;
    use std::io::Write as _;

    #[test]
    fn a_full_file_gives_way_and_the_oldest_is_dropped() {
        let folder = std::env::temp_dir().join(format!("host-rotating-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("host.log");
        let text = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let write = |lines: &[&str]| {
            let mut file = RotatingFile::open(&path, 10, 2).expect("a file");
            lines.iter().for_each(|line| file.write_all(line.as_bytes()).expect("written"));
        };
        write(&["one\n", "two\n"]);
        assert_eq!((text("host.log").as_str(), text("host.log.1").as_str()), ("one\ntwo\n", ""));
        // What is there counts when the host starts again.
        write(&["three\n"]);
        assert_eq!(text("host.log"), "three\n");
        write(&["four is longer than a file\n", "5\n"]);
        assert_eq!(text("host.log"), "5\n");
        assert_eq!(text("host.log.1"), "four is longer than a file\n");
        assert_eq!((text("host.log.2").as_str(), text("host.log.3").as_str()), ("three\n", ""));
        fs::remove_dir_all(&folder).expect("removed");
    }
}
