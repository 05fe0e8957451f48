//! The archive: the same files give the same bytes, whoever packs them and when.

use crate::Failure;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Files to pack below one folder, by their path there.
pub(crate) struct Archive {
    folder: String,
    files: BTreeMap<String, Entry>,
}

struct Entry {
    bytes: Vec<u8>,
    is_program: bool,
}

impl Archive {
    pub(crate) fn new(folder: &str) -> Self {
        Self { folder: folder.to_owned(), files: BTreeMap::new() }
    }

    pub(crate) fn add_file(&mut self, path: &str, file: &Path) -> Result<(), Failure> {
        let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        self.files.insert(path.to_owned(), Entry { bytes, is_program: false });
        Ok(())
    }

    pub(crate) fn add_program(&mut self, path: &str, file: &Path) -> Result<(), Failure> {
        self.add_file(path, file)?;
        if let Some(entry) = self.files.get_mut(path) {
            entry.is_program = true;
        }
        Ok(())
    }

    pub(crate) fn add_text(&mut self, path: &str, text: impl Into<Vec<u8>>) {
        self.files.insert(path.to_owned(), Entry { bytes: text.into(), is_program: false });
    }

    /// The checksums of all files, in the form of `sha256sum`.
    fn sums(&self) -> String {
        self.files.iter().fold(String::new(), |mut sums, (path, entry)| {
            let _infallible = writeln!(sums, "{}  {path}", sha256(&entry.bytes));
            sums
        })
    }

    /// All files and their checksums as a compressed tar.
    pub(crate) fn pack(mut self) -> Result<Vec<u8>, Failure> {
        let sums = self.sums();
        self.add_text("SHA256SUMS", sums);
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
        for (path, entry) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(entry.bytes.len() as u64);
            header.set_mode(if entry.is_program { 0o755 } else { 0o644 });
            tar.append_data(&mut header, format!("{}/{path}", self.folder), &*entry.bytes)?;
        }
        Ok(tar.into_inner()?.finish()?)
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes() {
        let pack = |paths: [&str; 2]| {
            let mut archive = Archive::new("folder");
            paths.into_iter().for_each(|path| archive.add_text(path, path));
            archive.pack().expect("it can be packed")
        };
        assert_eq!(pack(["a", "b/c"]), pack(["b/c", "a"]));
        assert_ne!(pack(["a", "b/c"]), pack(["a", "b/d"]));
    }

    #[test]
    fn sums_are_those_of_sha256sum() {
        let mut archive = Archive::new("folder");
        archive.add_text("empty", "");
        let sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(archive.sums(), format!("{sum}  empty\n"));
    }
}
