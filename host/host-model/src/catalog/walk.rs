//! Walks through folders and tells checkpoints from other files, by name.
//!
//! Links are followed, for caches are made of them; a folder that was seen is not entered again.
//! Depth and number of files are bounded, and what is beyond the bounds is told.

use super::{CatalogEntry, hub, ids, inventory};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Folders inside each other that are looked into.
const DEPTH_MAX: usize = 8;
/// Most files and folders of one folder.
pub(super) const FOLDER_ENTRIES_MAX: usize = 20_000;
/// Most files and folders in all.
const ENTRIES_MAX: usize = 200_000;
/// Most problems that are told.
const PROBLEMS_MAX: usize = 100;

/// A checkpoint whose id may be that of another too.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) entry: CatalogEntry,
    /// The folder of the operator's in which it was found.
    pub(super) root: PathBuf,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) found: Vec<Found>,
    pub(super) problems: Vec<String>,
    root: PathBuf,
    folders: HashSet<PathBuf>,
    checkpoints: HashSet<PathBuf>,
    entries: usize,
}

impl Walk {
    /// Looks through a folder of the operator's.
    pub(super) fn root(&mut self, root: &Path) {
        self.root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        self.folder(&self.root.clone(), 0, None);
    }

    /// Looks through a folder; `name` is what the hub calls the model in it.
    fn folder(&mut self, path: &Path, depth: usize, name: Option<&str>) {
        if depth > DEPTH_MAX {
            return self.problem(path, &format!("more than {DEPTH_MAX} folders deep; left out"));
        }
        match path.canonicalize().map(|real| self.folders.insert(real)) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.problem(path, &error.to_string()),
        }
        let listing = match Listing::of(path) {
            Ok(listing) => listing,
            Err(why) => return self.problem(path, &why),
        };
        self.entries += listing.count;
        if self.entries > ENTRIES_MAX {
            return self.problem(path, &format!("more than {ENTRIES_MAX} files; left out"));
        }
        for file in inventory::NAMES.iter().filter(|name| listing.has(name)) {
            self.inventory(&path.join(file));
        }
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(name) = hub::name(&own)
            && let Some(snapshot) = hub::snapshot(path)
        {
            return self.folder(&snapshot, depth + 1, Some(&name));
        }
        for (file, bytes) in listing.gguf() {
            let file = path.join(file);
            let id = ids::checkpoint_id(&file);
            self.add(CatalogEntry { bytes, ..entry(id, file, "gguf") });
        }
        // Folders inside a checkpoint are parts of it.
        if listing.is_checkpoint() {
            let id = name.map_or_else(|| ids::checkpoint_id(path), str::to_owned);
            let bytes = listing.bytes("safetensors");
            return self.add(CatalogEntry { bytes, ..entry(id, path.to_owned(), "safetensors") });
        }
        for folder in &listing.folders {
            self.folder(&path.join(folder), depth + 1, name);
        }
    }

    fn inventory(&mut self, file: &Path) {
        let items = inventory::read(file, &mut self.problems);
        self.problems.truncate(PROBLEMS_MAX);
        for item in items {
            let path = file.parent().unwrap_or(Path::new(".")).join(&item.path);
            if let Err(error) = path.metadata() {
                let what = format!("{}: {}: {error}; left out", item.name, path.display());
                self.problem(file, &what);
                continue;
            }
            let (format, bytes) = measure(&path);
            self.add(CatalogEntry {
                bytes,
                name: Some(item.name.clone()),
                format: item.format.unwrap_or_else(|| format.to_owned()),
                notes: item.notes,
                use_case: item.use_case,
                ..entry(item.name, path, format)
            });
        }
    }

    /// Adds a checkpoint, unless it was found on another way.
    fn add(&mut self, entry: CatalogEntry) {
        let real = entry.path.canonicalize().unwrap_or_else(|_| entry.path.clone());
        if self.checkpoints.insert(real) {
            self.found.push(Found { entry, root: self.root.clone() });
        }
    }

    fn problem(&mut self, path: &Path, why: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(format!("{}: {why}", path.display()));
        }
    }
}

fn entry(id: String, path: PathBuf, format: &str) -> CatalogEntry {
    let format = format.to_owned();
    CatalogEntry { id, name: None, path, format, bytes: 0, notes: None, use_case: None }
}

/// Format and bytes of the checkpoint at a path, as names and sizes tell them.
pub(super) fn measure(path: &Path) -> (&'static str, u64) {
    if !path.is_dir() {
        return measure_file(path);
    }
    let Ok(listing) = Listing::of(path) else { return ("unknown", 0) };
    match (listing.bytes("safetensors"), listing.bytes("gguf")) {
        (0, 0) => ("unknown", 0),
        (0, bytes) => ("gguf", bytes),
        (bytes, _) => ("safetensors", bytes),
    }
}

/// As [`measure`], of a file; the shards of a checkpoint count together.
fn measure_file(path: &Path) -> (&'static str, u64) {
    let own = path.metadata().map_or(0, |about| about.len());
    let ending = path.extension().and_then(|ending| ending.to_str());
    match ending {
        Some("gguf") => ("gguf", shards_bytes(path).unwrap_or(own)),
        Some("safetensors") => ("safetensors", own),
        _ => ("unknown", own),
    }
}

/// Bytes of all shards of which the file is one.
fn shards_bytes(path: &Path) -> Option<u64> {
    ids::shard(path.file_stem()?.to_str()?)?;
    let id = ids::checkpoint_id(path);
    let mut checkpoints = Listing::of(path.parent()?).ok()?.gguf().into_iter();
    checkpoints.find(|(file, _)| ids::checkpoint_id(Path::new(file)) == id).map(|(_, bytes)| bytes)
}

/// What is in a folder, in order of names; hidden files are left out.
struct Listing {
    folders: Vec<OsString>,
    /// With their bytes.
    files: BTreeMap<OsString, u64>,
    count: usize,
}

impl Listing {
    fn of(path: &Path) -> Result<Self, String> {
        let entries = fs::read_dir(path).map_err(|error| error.to_string())?;
        let mut listing = Self { folders: Vec::new(), files: BTreeMap::new(), count: 0 };
        for entry in entries.filter_map(Result::ok) {
            listing.count += 1;
            if listing.count > FOLDER_ENTRIES_MAX {
                return Err(format!("more than {FOLDER_ENTRIES_MAX} files; left out"));
            }
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // Follows links; one that leads nowhere is no file.
            match entry.path().metadata() {
                Ok(about) if about.is_dir() => listing.folders.push(name),
                Ok(about) if about.is_file() => {
                    listing.files.insert(name, about.len());
                }
                _ => {}
            }
        }
        listing.folders.sort();
        Ok(listing)
    }

    fn has(&self, file: &str) -> bool {
        self.files.contains_key(&OsString::from(file))
    }

    /// A folder as model hubs have it.
    fn is_checkpoint(&self) -> bool {
        self.has("config.json") && self.bytes("safetensors") > 0
    }

    /// Bytes of all files with that ending.
    fn bytes(&self, ending: &str) -> u64 {
        let files = self.files.iter();
        files
            .filter(|(name, _)| Path::new(name).extension().is_some_and(|it| it == ending))
            .map(|(_, bytes)| bytes)
            .sum()
    }

    /// The GGUF checkpoints by file, with their bytes; shards are named by the first.
    fn gguf(&self) -> Vec<(OsString, u64)> {
        let mut found: Vec<(OsString, u64)> = Vec::new();
        let mut sharded: BTreeMap<&str, (Option<OsString>, u64)> = BTreeMap::new();
        for (file, bytes) in &self.files {
            let Some(stem) = file.to_str().and_then(|name| name.strip_suffix(".gguf")) else {
                continue;
            };
            // A projector of images is no model of its own.
            if stem.starts_with("mmproj") {
                continue;
            }
            match ids::shard(stem) {
                None => found.push((file.clone(), *bytes)),
                Some(shard) => {
                    let (first, sum) = sharded.entry(shard.name).or_default();
                    *sum += bytes;
                    if shard.number == "00001" {
                        *first = Some(file.clone());
                    }
                }
            }
        }
        let whole = sharded.into_values().filter_map(|(first, bytes)| Some((first?, bytes)));
        found.extend(whole);
        found
    }
}

/// The bytes of a file that is no larger than `bytes_max`.
pub(super) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    // A pipe would be waited for.
    if !path.is_file() {
        return Err("not a file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("larger than {bytes_max} bytes"));
    }
    Ok(bytes)
}
