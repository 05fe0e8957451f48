//! The hub's cache on disk: blobs by their hash, snapshots of links to them, and names of revisions.
//!
//! Source: the hub's documentation of its cache system. Nothing is half there: a file is renamed to
//! its name when it is whole, and a revision is noted when all its files are.

use std::env::var_os;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::choice::choose;
use crate::error::PullError;
use crate::hub::RemoteFile;
use crate::repository::Repository;

/// A repository's folder in the cache.
pub(crate) struct Cache {
    folder: PathBuf,
    repository: String,
}

impl Cache {
    /// The folder of a repository, below the given one or where the hub's tools put it.
    pub(crate) fn find(given: Option<&Path>, repository: &Repository) -> Result<Self, PullError> {
        let hub = given.map(Path::to_owned).or_else(|| home().map(|home| home.join("hub")));
        let folder = hub.ok_or(PullError::NoCache)?.join(repository.folder());
        Ok(Self { folder, repository: repository.to_string() })
    }

    /// Where the content of a file is kept.
    pub(crate) fn blob(&self, name: &str) -> PathBuf {
        self.folder.join("blobs").join(name)
    }

    /// Where a file of a commit lies.
    pub(crate) fn file(&self, commit: &str, path: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit).join(path)
    }

    /// Puts a file of a commit in its place.
    pub(crate) fn link(&self, commit: &str, path: &str, blob: &str) -> Result<(), PullError> {
        let file = self.file(commit, path);
        create_folder(&file)?;
        let failed = |error| PullError::file(&file, error);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        place(&self.blob(blob), &up_to_blobs(path).join(blob), &file).map_err(failed)
    }

    /// Notes which commit a name stood for.
    pub(crate) fn note_revision(&self, revision: &str, commit: &str) -> Result<(), PullError> {
        if revision == commit || revision.contains("..") {
            return Ok(());
        }
        let file = self.folder.join("refs").join(revision);
        create_folder(&file)?;
        let part = file.with_extension("part");
        fs::write(&part, commit).map_err(|error| PullError::file(&part, error))?;
        fs::rename(&part, &file).map_err(|error| PullError::file(&file, error))
    }

    /// What to load of a commit: its folder, or the first of its GGUF files.
    pub(crate) fn checkpoint(&self, commit: &str, files: &[RemoteFile]) -> PathBuf {
        match files.iter().find(|file| file.path.ends_with(".gguf")) {
            Some(file) => self.file(commit, &file.path),
            None => self.folder.join("snapshots").join(commit),
        }
    }

    /// What there is without asking the hub.
    pub(crate) fn known(
        &self,
        quantization: Option<&str>,
        revision: &str,
    ) -> Result<PathBuf, PullError> {
        let noted = fs::read_to_string(self.folder.join("refs").join(revision));
        let commit = noted.map_or_else(|_| revision.to_owned(), |noted| noted.trim().to_owned());
        let folder = self.folder.join("snapshots").join(&commit);
        let missing = || PullError::Offline(self.repository.clone());
        let mut files = Vec::new();
        list(&folder, &folder, &mut files).map_err(|_| missing())?;
        let chosen = choose(&files, quantization).map_err(|_| missing())?;
        Ok(self.checkpoint(&commit, &chosen))
    }
}

/// `HF_HOME`, or where it is by default.
pub(crate) fn home() -> Option<PathBuf> {
    let set = |name: &str| var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HF_HOME").or_else(|| {
        let user = set("HOME").or_else(|| set("USERPROFILE"));
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(user?.join(".cache")));
        Some(cache?.join("huggingface"))
    })
}

/// Makes the folder that a file lies in.
pub(crate) fn create_folder(file: &Path) -> Result<(), PullError> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| PullError::file(folder, error))
}

/// From a file of a snapshot to the folder of blobs.
fn up_to_blobs(path: &str) -> PathBuf {
    // Out of the commit and the snapshots, and out of each folder in the path.
    let ups = 2 + path.matches('/').count();
    std::iter::repeat_n("..", ups).collect::<PathBuf>().join("blobs")
}

#[cfg(unix)]
fn place(_blob: &Path, link: &Path, file: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(link, file)
}

/// Links need a right that most users lack; the hub's library does the same.
#[cfg(not(unix))]
fn place(blob: &Path, _link: &Path, file: &Path) -> io::Result<()> {
    fs::hard_link(blob, file).or_else(|_| fs::copy(blob, file).map(drop))
}

/// Every file below a folder, as the hub would list it.
fn list(root: &Path, folder: &Path, files: &mut Vec<RemoteFile>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(root, &path, files)?;
        } else if let Ok(below) = path.strip_prefix(root) {
            files.push(RemoteFile::named(&below.to_string_lossy().replace('\\', "/")));
        }
    }
    Ok(())
}
