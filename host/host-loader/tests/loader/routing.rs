//! Who is asked, and what an answer of a plugin becomes.

use crate::fixture::{CLAIM, Folder, builder, check_row, checkpoint, library, row, with_fault};
use host_loader::{Loader, LoaderOptions, PluginError, PluginState};
use plugin_abi::MatmulTileV1;
use plugin_api::{DtypeRef, Error, ErrorKind};

#[test]
fn a_panic_in_build_is_an_error_and_the_plugin_is_asked_again() {
    let folder = Folder::with(&["panic_build"]);
    let provider = folder.loader().scan().architecture(CLAIM).expect("it is loaded");
    for _ in 0..2 {
        let PluginError { plugin, source } = provider.build(&checkpoint()).expect_err("it panics");
        assert_eq!((plugin.as_str(), source.kind()), ("fault_panic_build", ErrorKind::Panic));
        let says = "plugin `fault_panic_build` panicked in build: a layer is missing";
        assert_eq!(source.message(), says);
    }
}

#[test]
fn a_panic_in_a_kernel_is_an_error_that_names_the_plugin() {
    let folder = Folder::with(&["panic_matmul", "good"]);
    let registry = folder.loader().scan();
    let provider = registry.dtype("q8_0").expect("the fixture provides it");
    assert_eq!(provider.plugin(), "fault_panic_matmul");
    for _ in 0..2 {
        let error = multiply(provider.dtype()).expect_err("it panics");
        assert_eq!(error.kind(), ErrorKind::Panic);
        let says =
            "plugin `fault_panic_matmul` panicked in a matmul kernel: row 16 is out of range";
        assert_eq!(error.message(), says);
    }
    assert_eq!(builder(&registry), "fixture", "the host goes on");
}

/// Multiplies one group of rows of zeros with one token.
fn multiply(dtype: DtypeRef) -> Result<(), Error> {
    #[repr(align(64))]
    struct Aligned([u8; 4096]);
    let (rows, k) = (dtype.row_group(), dtype.block_len());
    let (mut weights, mut inputs) = (Aligned([0; 4096]), Aligned([0; 4096]));
    let blocks = vec![0; rows * dtype.block_bytes()];
    dtype.pack(&blocks, rows, k, &mut weights.0[..dtype.packed_bytes(rows, k)])?;
    dtype.prepare_input(&vec![1.0; k], &mut inputs.0[..dtype.input_bytes(k)])?;
    let mut output = vec![0.0; rows];
    let tile = MatmulTileV1 {
        weights: weights.0.as_ptr(),
        k,
        row_begin: 0,
        row_end: rows,
        inputs: inputs.0.as_ptr(),
        input_stride: dtype.input_bytes(k),
        token_count: 1,
        output: output.as_mut_ptr(),
        output_stride: rows,
    };
    // SAFETY: the buffers were filled by the dtype's own functions for this shape, and nobody else
    // has them.
    unsafe { dtype.matmul(&tile) }
}

#[test]
fn two_files_of_one_plugin_are_duplicates_and_both_are_named() {
    let folder = Folder::new();
    let first = folder.write("same_a", library());
    let same = folder.write("same_b", library());
    let other = folder.write("same_c", &[library(), b"other bytes"].concat());
    let registry = folder.loader().scan();
    check_row(&registry, &first, PluginState::Loaded, &[]);
    let words = ["plugin `fixture` is loaded already from", "same_a", "remove one"];
    check_row(&registry, &same, PluginState::Refused, &words);
    check_row(&registry, &other, PluginState::Refused, &words);
}

#[test]
fn the_better_provider_answers_unless_another_is_pinned() {
    let folder = Folder::with(&["good", "score"]);
    let registry = folder.loader().scan();
    assert_eq!(builder(&registry), "fault_score");
    let shadowed = &row(&registry, &folder.file("good")).shadowed;
    assert_eq!(*shadowed, ["architecture:fault-build (fault_score)"]);
    let pins = [(format!("architecture:{CLAIM}"), "fixture".to_owned())].into();
    let pinned = Loader::new(LoaderOptions { pins, ..folder.options() }).scan();
    assert_eq!(builder(&pinned), "fixture");
}

#[test]
fn what_is_there_can_be_listed() {
    let folder = Folder::with(&["good", "panic_matmul"]);
    let registry = folder.loader().scan();
    assert_eq!(registry.architecture_claims(), [(CLAIM.to_owned(), "fixture".to_owned())]);
    assert!(registry.formats().is_empty() && registry.compute(None).is_none());
    assert!(registry.architecture("Missing").is_none() && registry.dtype("q9_z").is_none());
    let report =
        serde_json::to_value(row(&registry, &folder.file("good"))).expect("a report is JSON");
    assert_eq!(report["state"], "loaded");
    assert_eq!(report["providers"][0]["claims"][0], CLAIM);
    assert_eq!(report["sha256"].as_str().map(str::len), Some(64));
}

#[cfg(target_os = "linux")]
#[test]
fn file_names_are_listed_on_one_line() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = Folder::with(&["good", "-rf"]);
    let names: [&[u8]; 4] = [b"new\nline.so", b"\x1b[31mred.so", b"\xff\xfe.so", &[b'a'; 240]];
    for name in names {
        folder.write(std::ffi::OsStr::from_bytes(name), &with_fault("wrong_major"));
    }
    let registry = folder.loader().scan();
    assert_eq!(registry.plugins().len(), names.len() + 2);
    let rows = serde_json::to_value(registry.plugins()).expect("reports are JSON");
    for row in rows.as_array().expect("a list") {
        for key in ["file", "name", "reason"] {
            let text = row[key].as_str().unwrap_or_default();
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
    let names: Vec<_> = registry.plugins().iter().map(|row| row.name.as_str()).collect();
    assert!(
        names.contains(&"new\\nline.so") && names.contains(&"\u{fffd}\u{fffd}.so"),
        "{names:?}"
    );
    check_row(&registry, &folder.file("-rf"), PluginState::Loaded, &[]);
}
