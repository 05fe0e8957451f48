//! The files of one checkpoint: a single file, or the shards that llama.cpp's `llama-gguf-split`
//! and `convert_hf_to_gguf.py` make of it.
//!
//! Each shard is a GGUF file of its own and says which one it is: `split.no` (from 0),
//! `split.count` and, for all of them together, `split.tensors.count`. Only the first carries the
//! checkpoint's metadata, and it may have no tensors. All lie in one folder, and no file is opened
//! whose name is not made from that of the shard that was given.

use crate::fault::{fault, fault_with_hint, shown};
use crate::metadata::{Entries, Metadata};
use crate::shard::Shard;
use crate::shard_name::ShardName;
use crate::tensor_table::TENSORS_MAX;
use plugin_api::{Error, ErrorKind};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Most shards of a checkpoint.
const SHARDS_MAX: u64 = 4096;
const NUMBER: &str = "split.no";
const COUNT: &str = "split.count";
const TENSOR_COUNT: &str = "split.tensors.count";
const ABSENT: &str = "no such key";
const ONE_DOWNLOAD: &str = "download all shards again from one place";
const RENAME: &str = "give every shard the name that it was made with";
/// Keys that a later shard may repeat, but not differently.
const SHARED_KEYS: [&str; 2] = ["general.architecture", "general.name"];

/// The open files of a checkpoint.
#[derive(Debug)]
pub(crate) struct Shards {
    /// Has the metadata of the checkpoint.
    pub(crate) first: Shard,
    others: Vec<Shard>,
}

/// What a shard says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Split {
    /// From 0 on.
    number: u64,
    count: u64,
    /// In all shards together.
    tensor_count: Option<u64>,
}

impl Shards {
    /// Opens the checkpoint to which a file belongs.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let given = Shard::open(path.to_owned())?;
        let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = ShardName::parse(file_name);
        match Split::read(given.metadata()).map_err(|error| given.name(error))? {
            None => {
                check_whole(name).map_err(|error| given.name(error))?;
                Ok(Self { first: given, others: Vec::new() })
            }
            Some(split) => {
                let name = split.check_name(name, file_name).map_err(|error| given.name(error))?;
                Self::open_all(given, split, name)
            }
        }
    }

    /// Opens the shards that belong to the given one.
    fn open_all(given: Shard, split: Split, name: ShardName<'_>) -> Result<Self, Error> {
        let path = given.path.clone();
        let mut given = Some(given);
        let mut shard = |number| match given.take_if(|_| number == split.number) {
            Some(given) => Ok(given),
            None => {
                open_sibling(path.with_file_name(name.sibling(number + 1)), number, split.count)
            }
        };
        let mut shards = Self { first: shard(0)?, others: Vec::new() };
        let checked = shards.check(&shards.first, split, 0);
        checked.map_err(|error| shards.first.name(error))?;
        let mut tensor_count = shards.first.header.tensors.len();
        for number in 1..split.count {
            let mut shard = shard(number)?;
            shards.check(&shard, split, number).map_err(|error| shard.name(error))?;
            tensor_count += shard.header.tensors.len();
            if tensor_count as u64 > TENSORS_MAX {
                let expected = format!("at most {TENSORS_MAX} in all shards");
                return Err(shard.name(fault("tensor count", "more", expected)));
            }
            // Only the first shard's keys are ever asked for.
            shard.header.entries = Entries::default();
            shards.others.push(shard);
        }
        shards.check_tensors(split)?;
        Ok(shards)
    }

    /// All files, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shard> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// A file by its place in [`Shards::iter`].
    pub(crate) fn get(&self, number: usize) -> Option<&Shard> {
        match number.checked_sub(1) {
            None => Some(&self.first),
            Some(other) => self.others.get(other),
        }
    }

    /// Refuses a shard that is not number `number` of this checkpoint.
    fn check(&self, shard: &Shard, split: Split, number: u64) -> Result<(), Error> {
        let metadata = shard.metadata();
        let own = Split::read(metadata)?;
        agree(COUNT, own.map(|own| own.count), Some(split.count), ONE_DOWNLOAD)?;
        agree(NUMBER, own.map(|own| own.number), Some(number), RENAME)?;
        let tensor_count = own.and_then(|own| own.tensor_count);
        agree(TENSOR_COUNT, tensor_count, split.tensor_count, ONE_DOWNLOAD)?;
        for key in SHARED_KEYS {
            let first = self.first.metadata().text(key)?;
            if let Some(own) = metadata.text(key)?.filter(|own| Some(*own) != first) {
                let first = first.map_or_else(|| ABSENT.to_owned(), |f| shown(f.as_bytes()));
                let expected = format!("{first}, as in the first shard");
                return Err(fault_with_hint(key, shown(own.as_bytes()), expected, ONE_DOWNLOAD));
            }
        }
        if number > 0 && shard.header.tensors.is_empty() {
            return Err(fault_with_hint("tensor count", 0, "1 or more", ONE_DOWNLOAD));
        }
        Ok(())
    }

    /// Refuses shards that do not make up the tensors of one checkpoint.
    fn check_tensors(&self, split: Split) -> Result<(), Error> {
        let mut found_in: HashMap<&str, &Shard> = HashMap::new();
        for shard in self.iter() {
            for tensor in &shard.header.tensors {
                if let Some(other) = found_in.insert(&tensor.name, shard) {
                    let field = format!("tensor {}", shown(tensor.name.as_bytes()));
                    let found = format!("the tensor in {} too", other.path.display());
                    let error = fault_with_hint(field, found, "it in one shard", ONE_DOWNLOAD);
                    return Err(shard.name(error));
                }
            }
        }
        let found = found_in.len() as u64;
        match split.tensor_count.filter(|total| *total != found) {
            None => Ok(()),
            Some(total) => {
                let found = format!("{found} tensors in all shards");
                let error = fault_with_hint(TENSOR_COUNT, found, total, ONE_DOWNLOAD);
                Err(self.first.name(error))
            }
        }
    }
}

impl Split {
    /// What the metadata says; nothing if it is that of a whole checkpoint.
    fn read(metadata: Metadata<'_>) -> Result<Option<Self>, Error> {
        let count = match metadata.integer(COUNT)? {
            None | Some(0 | 1) => return Ok(None),
            Some(count @ 2..=SHARDS_MAX) => count,
            Some(count) => {
                let expected = format!("at most {SHARDS_MAX}");
                let hint = "make fewer shards with `llama-gguf-split`";
                return Err(fault_with_hint(COUNT, count, expected, hint));
            }
        };
        let number = metadata.integer(NUMBER)?;
        let Some(number) = number.filter(|number| *number < count) else {
            let found = number.map_or_else(|| ABSENT.to_owned(), |n| n.to_string());
            return Err(fault(NUMBER, found, format!("less than the {count} shards")));
        };
        Ok(Some(Self { number, count, tensor_count: metadata.integer(TENSOR_COUNT)? }))
    }

    /// The name of the shard's file, if it is the one that belongs to it.
    fn check_name<'a>(
        &self,
        name: Option<ShardName<'a>>,
        file_name: &str,
    ) -> Result<ShardName<'a>, Error> {
        let right =
            |name: &ShardName<'_>| (name.number, name.count) == (self.number + 1, self.count);
        name.filter(right).ok_or_else(|| {
            let ending = ShardName { prefix: "", number: 1, count: self.count };
            let expected = format!("a name that ends in `{}`", ending.sibling(self.number + 1));
            fault_with_hint("file name", shown(file_name.as_bytes()), expected, RENAME)
        })
    }
}

/// Refuses a file without `split.count` that is called a shard.
fn check_whole(name: Option<ShardName<'_>>) -> Result<(), Error> {
    match name {
        Some(ShardName { count, .. }) if count > 1 => {
            let expected = format!("{count}, as the file's name says");
            let hint = "rename the file if it is a whole checkpoint";
            Err(fault_with_hint(COUNT, ABSENT, expected, hint))
        }
        _ => Ok(()),
    }
}

fn open_sibling(path: PathBuf, number: u64, count: u64) -> Result<Shard, Error> {
    let shown_path = path.display().to_string();
    Shard::open(path).map_err(|error| {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        let expected = format!("shard {} of {count}", number + 1);
        let hint = "put it into the folder of the other shards";
        let missing = fault_with_hint("file", "no such file", expected, hint);
        Error::new(ErrorKind::NotFound, missing.message()).context(shown_path)
    })
}

/// Refuses a number that is not the one the other shards have.
fn agree(key: &str, found: Option<u64>, expected: Option<u64>, hint: &str) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let text = |number: Option<u64>| number.map_or_else(|| ABSENT.to_owned(), |n| n.to_string());
    Err(fault_with_hint(key, text(found), text(expected), hint))
}
