//! `model.safetensors.index.json`: which weight files a sharded checkpoint consists of.
//!
//! The index may come from anywhere, so it can only name plain files of its own folder.

use crate::fault::{fault, shown};
use crate::files;
use plugin_api::Error;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Name of the index in a folder.
pub(crate) const INDEX: &str = "model.safetensors.index.json";
const INDEX_BYTES_MAX: u64 = 64 << 20;
const SHARDS_MAX: usize = 4096;

/// A checked index.
#[derive(Debug)]
pub(crate) struct Index {
    path: PathBuf,
    /// File name of each tensor.
    shard_of: BTreeMap<String, String>,
}

impl Index {
    /// The index of a folder, if it has one.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(INDEX);
        let Some(mut object) = files::read_object(&path, INDEX_BYTES_MAX)? else { return Ok(None) };
        let Some(Value::Object(weight_map)) = object.remove("weight_map") else {
            return Err(fault(&path, "weight_map", "no object", "tensor names and their files"));
        };
        let mut shard_of = BTreeMap::new();
        for (tensor, shard) in weight_map {
            let name = shard.as_str().filter(|name| is_plain_file_name(name)).ok_or_else(|| {
                let field = format!("weight_map: {}", shown(&tensor));
                let expected = "the plain name of a .safetensors file in the same folder";
                fault(&path, field, shown(&shard.to_string()), expected)
            })?;
            shard_of.insert(tensor, name.to_owned());
        }
        let index = Self { path, shard_of };
        let count = index.shards().len();
        if !(1..=SHARDS_MAX).contains(&count) {
            let found = format!("{count} files");
            return Err(fault(&index.path, "weight_map", found, format!("1 to {SHARDS_MAX}")));
        }
        Ok(Some(index))
    }

    /// File names of the shards, each once, in the order of their names.
    pub(crate) fn shards(&self) -> BTreeSet<&str> {
        self.shard_of.values().map(String::as_str).collect()
    }

    /// Refuses a checkpoint whose shards, given by the file each tensor is in, lack a tensor.
    pub(crate) fn check<'a>(
        &self,
        found_in: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<(), Error> {
        for (tensor, shard) in &self.shard_of {
            if found_in(tensor) != Some(shard) {
                let field = format!("weight_map: {}", shown(tensor));
                let expected = "the file that has the tensor";
                return Err(fault(&self.path, field, shown(shard), expected));
            }
        }
        Ok(())
    }
}

fn is_plain_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "_-.+ ".contains(c);
    name.ends_with(".safetensors") && !name.starts_with('.') && name.chars().all(plain)
}
