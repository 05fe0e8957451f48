//! The licences of all that is linked into the programs and the plugins, as their authors wrote them.

use crate::Failure;
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::Path;

/// How names of files with a licence or a copyright notice begin, in small letters.
const BEGINNINGS: [&str; 6] = ["license", "licence", "copying", "copyright", "notice", "unlicense"];
/// Members of the workspace that are linked into nothing that is packed.
const NOT_PACKED: [&str; 3] = ["package", "plugin-candle", "plugin-testkit"];

/// A list of the packages with their licences, then each text once with who it is of.
pub(crate) fn third_party(checkout: &Path) -> Result<String, Failure> {
    let metadata = MetadataCommand::new()
        .manifest_path(checkout.join("Cargo.toml"))
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(["--locked".to_owned()])
        .exec()?;
    let (mut list, mut texts) = (String::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for package in linked(&metadata) {
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("see its text below");
        let _infallible = writeln!(list, "{name}: {licence}");
        for text in texts_of(package)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    for (text, names) in texts {
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let _infallible = write!(list, "\n{}\n{names}\n\n{}\n", "=".repeat(80), text.trim());
    }
    Ok(list)
}

/// The packages of others that members which are packed link, by name and version.
fn linked(metadata: &Metadata) -> Vec<&Package> {
    let packages: HashMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let nodes: HashMap<_, _> = metadata
        .resolve
        .iter()
        .flat_map(|resolve| &resolve.nodes)
        .map(|node| (&node.id, node))
        .collect();
    let is_packed = |id: &&PackageId| {
        let package = packages[*id];
        let is_test = package.manifest_path.components().any(|part| part.as_str() == "tests");
        !is_test && !NOT_PACKED.contains(&package.name.as_str())
    };
    let mut waiting: Vec<_> = metadata.workspace_members.iter().filter(is_packed).collect();
    let mut seen: BTreeSet<&PackageId> = waiting.iter().copied().collect();
    while let Some(id) = waiting.pop() {
        for dependency in &nodes[id].deps {
            let is_linked =
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if is_linked && seen.insert(&dependency.pkg) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    let mut linked: Vec<_> = seen
        .into_iter()
        .map(|id| packages[id])
        .filter(|package| package.source.is_some())
        .collect();
    linked.sort_by_key(|package| (&package.name, &package.version));
    linked
}

/// The texts of its licences and notices.
fn texts_of(package: &Package) -> Result<Vec<String>, Failure> {
    let Some(folder) = package.manifest_path.parent() else { return Ok(Vec::new()) };
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let has_licence = BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
        if has_licence && entry.file_type()?.is_file() {
            texts
                .push(String::from_utf8_lossy(&std::fs::read(entry.path())?).replace("\r\n", "\n"));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_named_and_what_only_tests_use_is_not() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let list = third_party(&checkout).expect("the workspace can be read");
        assert!(list.contains("\ntokio ") && list.contains("\nrayon "), "{list:.2000}");
        assert!(!list.contains("\nproptest ") && !list.contains("\ncandle-core "));
        assert!(list.contains("Permission is hereby granted"));
    }
}
