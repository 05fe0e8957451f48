//! Random bytes in the header: any answer is fine, a panic, a hang or a large allocation is not.

use crate::open_bytes;
use crate::writer::File;
use plugin_api::Checkpoint;
use proptest::prelude::*;

/// Opens the bytes and asks for everything a host would ask for.
fn open_and_use(bytes: &[u8]) {
    let Ok(checkpoint) = open_bytes(bytes) else { return };
    for index in 0..=checkpoint.info().tensors.len() {
        let _answer = checkpoint.tensor(index).map(<[u8]>::len);
    }
    let _answer = checkpoint.asset("tokenizer.json");
    let _answer = checkpoint.asset("chat_template");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_header_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let source = File::valid();
        let header = source.head().len();
        let mut bytes = source.bytes();
        for (at, byte) in changes {
            bytes[at.index(header)] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        open_and_use(&bytes);
    }

    #[test]
    fn random_bytes_after_the_magic_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        open_and_use(&[b"GGUF\x03\0\0\0".as_slice(), &bytes].concat());
    }
}
