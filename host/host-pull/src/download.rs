//! Brings one file into the cache: what is there stays, what was begun goes on, what is wrong goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread::park_timeout;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::cache::{Cache, create_folder};
use crate::error::PullError;
use crate::hub::{Digest, Hub, RemoteFile};
use crate::repository::Repository;

/// Times that a broken connection is taken up again.
const TRIES_MAX: u32 = 5;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Fetches a file, unless the cache has it.
pub(crate) fn fetch(
    hub: &Hub,
    cache: &Cache,
    repository: &Repository,
    commit: &str,
    file: &RemoteFile,
) -> Result<(), PullError> {
    let digest = file.digest().ok_or_else(|| PullError::Answer {
        what: file.path.clone(),
        reason: "it comes without a hash".to_owned(),
    })?;
    let blob = cache.blob(digest.hex());
    if !blob.exists() {
        let part = blob.with_extension("incomplete");
        create_folder(&part)?;
        let bar = progress_bar(file);
        Transfer { hub, repository, commit, file, part: &part, bar }.run()?;
        check(&part, &digest, file)?;
        fs::rename(&part, &blob).map_err(|error| PullError::file(&blob, error))?;
    }
    cache.link(commit, &file.path, digest.hex())
}

/// A file on its way.
struct Transfer<'a> {
    hub: &'a Hub,
    repository: &'a Repository,
    commit: &'a str,
    file: &'a RemoteFile,
    /// What has come of it.
    part: &'a Path,
    bar: ProgressBar,
}

/// How an attempt ended.
enum Broken {
    /// Another may do better.
    Connection(String),
    /// It is of no use to try again.
    For(PullError),
}

impl Transfer<'_> {
    /// Fetches what is missing, and goes on where a connection broke.
    fn run(&self) -> Result<(), PullError> {
        let mut tries = 0;
        loop {
            let begun = self.part.metadata().map_or(0, |metadata| metadata.len());
            if self.file.size.is_some_and(|size| size == begun) && begun > 0 {
                return Ok(());
            }
            self.bar.set_position(begun);
            let reason = match self.attempt(begun) {
                Ok(()) => return Ok(()),
                Err(Broken::For(error)) => return Err(error),
                Err(Broken::Connection(reason)) => reason,
            };
            let has_more = self.part.metadata().is_ok_and(|metadata| metadata.len() > begun);
            tries = if has_more { 1 } else { tries + 1 };
            if tries >= TRIES_MAX {
                return Err(PullError::Connection { what: self.file.path.clone(), reason });
            }
            park_timeout(Duration::from_millis(200) * 2_u32.pow(tries));
        }
    }

    fn attempt(&self, begun: u64) -> Result<(), Broken> {
        let opened = self.hub.open(self.repository, self.commit, &self.file.path, begun);
        let (mut content, begins_there) = opened.map_err(|error| match error {
            PullError::Connection { reason, .. } => Broken::Connection(reason),
            other => Broken::For(other),
        })?;
        let wrong = |error: io::Error| Broken::For(PullError::file(self.part, error));
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        let mut out = options.open(self.part).map_err(wrong)?;
        // Two that wrote to it at once would spoil it.
        out.try_lock().map_err(|_| Broken::For(PullError::Busy(self.file.path.clone())))?;
        if !begins_there {
            out.set_len(0).map_err(wrong)?;
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut written = if begins_there { begun } else { 0 };
        loop {
            let read = content.read(&mut buffer);
            let count = read.map_err(|error| Broken::Connection(error.to_string()))?;
            // What is longer than it should be is found out by its hash.
            if count == 0 || self.file.size.is_some_and(|size| written > size) {
                break;
            }
            out.write_all(&buffer[..count]).map_err(wrong)?;
            written += count as u64;
            self.bar.set_position(written);
        }
        out.sync_all().map_err(wrong)?;
        match self.file.size {
            Some(size) if written < size => {
                Err(Broken::Connection(format!("it ended after {written} of {size} bytes")))
            }
            _ => Ok(()),
        }
    }
}

/// Throws a file away that is not what the hub has.
fn check(part: &Path, digest: &Digest, file: &RemoteFile) -> Result<(), PullError> {
    let failed = |error| PullError::file(part, error);
    let found = match digest {
        Digest::Sha256(_) => hash(Sha256::new(), part),
        Digest::GitSha1(_) => part.metadata().and_then(|metadata| {
            hash(Sha1::new_with_prefix(format!("blob {}\0", metadata.len())), part)
        }),
    };
    let found = found.map_err(failed)?;
    if found == digest.hex() {
        return Ok(());
    }
    fs::remove_file(part).map_err(failed)?;
    let (file, expected) = (file.path.clone(), digest.hex().to_owned());
    Err(PullError::Hash { file, found, expected })
}

fn hash<D: sha2::Digest>(mut hasher: D, path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// On stderr, and nothing where that is no terminal.
fn progress_bar(file: &RemoteFile) -> ProgressBar {
    const FORM: &str = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let bar = ProgressBar::new(file.size.unwrap_or(0)).with_message(file.path.clone());
    match ProgressStyle::with_template(FORM) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
