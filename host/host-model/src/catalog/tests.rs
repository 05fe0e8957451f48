//! Catalogs of scratch folders.

use super::*;
use std::fs;
use support::Scratch;

/// Makes files of as many bytes as told, and the folders they lie in.
fn files(files: &[(&str, usize)]) -> Scratch {
    let scratch = Scratch::new();
    for (name, bytes) in files {
        write(&scratch, name, vec![b' '; *bytes]);
    }
    scratch
}

fn write(scratch: &Scratch, name: &str, content: impl AsRef<[u8]>) {
    let path = scratch.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn scan(scratch: &Scratch) -> Catalog {
    Catalog::scan(&[scratch.path().to_owned()])
}

/// Id, path below the root, and bytes of each checkpoint.
fn found(scratch: &Scratch, catalog: &Catalog) -> Vec<(String, String, u64)> {
    let found = |entry: &CatalogEntry| {
        let inside = entry.path.strip_prefix(scratch.path()).unwrap();
        (entry.id.clone(), inside.to_string_lossy().into_owned(), entry.bytes)
    };
    catalog.entries.iter().map(found).collect()
}

#[track_caller]
fn check(scratch: &Scratch, expected: &[(&str, &str, u64)]) {
    let catalog = scan(scratch);
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, path, bytes)| ((*id).to_owned(), (*path).to_owned(), *bytes))
        .collect();
    assert_eq!(found(scratch, &catalog), expected);
    assert_eq!(catalog.problems, [""; 0]);
}

#[test]
fn files_shards_and_folders_are_one_checkpoint_each() {
    let scratch = files(&[
        ("a.gguf", 3),
        ("deep/b-00001-of-00002.gguf", 4),
        ("deep/b-00002-of-00002.gguf", 5),
        ("deep/lost-00002-of-00002.gguf", 5),
        ("deep/mmproj-b.gguf", 1),
        ("c/hf/config.json", 2),
        ("c/hf/model-00001-of-00002.safetensors", 6),
        ("c/hf/model-00002-of-00002.safetensors", 7),
        ("c/hf/2_Dense/config.json", 2),
        ("c/hf/2_Dense/model.safetensors", 9),
        ("config-only/config.json", 2),
        ("weights-only/model.safetensors", 2),
        (".hidden/d.gguf", 1),
        ("readme.md", 1),
    ]);
    let b = "deep/b-00001-of-00002.gguf";
    check(&scratch, &[("a", "a.gguf", 3), ("b", b, 9), ("c", "c/hf", 13)]);
    assert_eq!(CatalogEntry::at(&scratch.join(b), None).bytes, 9);
    assert_eq!(CatalogEntry::at(&scratch.join("c/hf"), Some("x")).id, "x");
    assert_eq!(CatalogEntry::at(&scratch.join("nowhere"), None).bytes, 0);
}

#[test]
fn namesakes_are_told_apart_by_their_folders() {
    let scratch = files(&[("x/m.gguf", 1), ("y/m.gguf", 2), ("y/n.gguf", 3)]);
    let expected = [("n", "y/n.gguf", 3), ("x/m", "x/m.gguf", 1), ("y/m", "y/m.gguf", 2)];
    check(&scratch, &expected);
    let roots = [scratch.join("x"), scratch.join("y")];
    let ids: Vec<_> = Catalog::scan(&roots).entries.into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids, ["n", "x/m", "y/m"], "in folders of their own too");
    let twice = [scratch.path().to_owned(), scratch.join("x")];
    assert_eq!(Catalog::scan(&twice).entries.len(), 3, "a folder inside another adds nothing");
}

#[test]
fn the_hub_cache_shows_the_revision_that_is_meant() {
    let hub = "models--org--name";
    let snapshot = |rev: &str, file: &str| format!("{hub}/snapshots/{rev}/{file}");
    let scratch = files(&[
        (snapshot("aaa", "config.json").as_str(), 2),
        (snapshot("aaa", "model.safetensors").as_str(), 5),
        (snapshot("bbb", "config.json").as_str(), 2),
        (snapshot("bbb", "model.safetensors").as_str(), 6),
        ("models--org--files/snapshots/ccc/q4.gguf", 7),
    ]);
    write(&scratch, &format!("{hub}/refs/main"), "aaa\n");
    let path = format!("{hub}/snapshots/aaa");
    let q4 = "models--org--files/snapshots/ccc/q4.gguf";
    check(&scratch, &[("org/name", &path, 5), ("q4", q4, 7)]);
    write(&scratch, &format!("{hub}/refs/main"), "../../elsewhere");
    let newest = scan(&scratch).find("org/name").map(|entry| entry.bytes);
    assert!(matches!(newest, Some(5 | 6)), "a ref that is no name is not followed: {newest:?}");
}

#[test]
fn inventories_name_checkpoints_and_their_bad_entries_are_told() {
    let scratch = files(&[("w/a.gguf", 3), ("w/b.gguf", 4)]);
    let inventory = r#"{"models": [
        {"name": "Small one", "path": "w/a.gguf", "format": "gguf", "size_gb": 99,
         "notes": "fast", "use_case": "chat"},
        {"name": "gone", "path": "w/c.gguf"},
        {"name": 5, "path": "w/b.gguf"},
        "text"
    ]}"#;
    write(&scratch, "MODEL_INVENTORY.json", inventory);
    let catalog = scan(&scratch);
    let expected = [("Small-one", "w/a.gguf", 3), ("b", "w/b.gguf", 4)];
    let expected = expected.map(|(id, path, bytes)| (id.to_owned(), path.to_owned(), bytes));
    assert_eq!(found(&scratch, &catalog), expected);
    let small = catalog.find("Small-one").unwrap();
    let about = [&small.name, &small.notes, &small.use_case].map(Option::as_deref);
    assert_eq!(about, [Some("Small one"), Some("fast"), Some("chat")]);
    let problems = catalog.problems.join("\n");
    for told in ["c.gguf", "entry 2", "entry 3"] {
        assert!(problems.contains(told), "{told} in {problems}");
    }
    for (bad, told) in [("{", "not JSON"), ("{\"models\": 3}", "array"), ("null", "array")] {
        write(&scratch, "MODEL_INVENTORY.json", bad);
        let catalog = scan(&scratch);
        assert_eq!(catalog.entries.len(), 2, "the files are found without it");
        assert!(catalog.problems[0].contains(told), "{:?}", catalog.problems);
    }
    write(&scratch, "MODEL_INVENTORY.json", vec![b' '; 5 << 20]);
    assert!(scan(&scratch).problems[0].contains("larger than"));
}

#[test]
fn what_is_missing_or_too_deep_is_told() {
    let missing = Catalog::scan(&[PathBuf::from("/no/such/folder")]);
    assert!(missing.entries.is_empty() && missing.problems.len() == 1, "{missing:?}");
    let scratch = files(&[("1/2/3/4/5/6/7/8/m.gguf", 1), ("1/2/3/4/5/6/7/8/9/n.gguf", 1)]);
    let catalog = scan(&scratch);
    let ids: Vec<_> = catalog.entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!((ids.as_slice(), catalog.problems.len()), (&["m"][..], 1), "{catalog:?}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_end() {
    use std::os::unix::fs::symlink;
    let scratch = files(&[("blobs/abc", 3)]);
    fs::create_dir(scratch.join("a")).unwrap();
    symlink(scratch.join("blobs/abc"), scratch.join("a/m.gguf")).unwrap();
    symlink(scratch.path(), scratch.join("a/loop")).unwrap();
    symlink("nowhere", scratch.join("a/dangling.gguf")).unwrap();
    symlink("m.gguf", scratch.join("a/other-name.gguf")).unwrap();
    check(&scratch, &[("m", "a/m.gguf", 3)]);
}
