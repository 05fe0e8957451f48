//! Random bytes and cut files: any answer is fine, a panic, a hang or a large allocation is not.

use crate::writer::{self as w, File};
use crate::{TempFolder, open_bytes, shards, word_piece};
use plugin_api::{Checkpoint, Error, Format};
use plugin_gguf::{Gguf, GgufCheckpoint};
use proptest::prelude::*;

/// Asks for everything a host would ask for.
fn make_use(opened: Result<GgufCheckpoint, Error>) {
    let Ok(checkpoint) = opened else { return };
    for index in 0..=checkpoint.info().tensors.len() {
        let _answer = checkpoint.tensor(index).map(<[u8]>::len);
    }
    let _answer = checkpoint.asset("tokenizer.json");
    let _answer = checkpoint.asset("chat_template");
}

/// Files with all that the reader looks into.
fn sources() -> [File; 4] {
    let mut merges = File::valid();
    merges.set("tokenizer.ggml.model", w::text("gpt2"));
    merges.set("tokenizer.ggml.merges", w::texts(&["a b", "ab c"]));
    let mut nested = File::empty();
    nested.set("general.type", w::text("imatrix"));
    let inner = [w::array_head(w::ARRAY, 1), w::array_head(w::U8, 1), vec![7]].concat();
    nested.set("x.nested", w::raw(w::ARRAY, &inner));
    nested.tensor("a.counts", &[1, 3], 0);
    [File::valid(), merges, word_piece::bert(&["▁a", "b"]), nested]
}

/// The bytes with those at some places of the header replaced, and perhaps without the end.
fn damaged(source: &File, changes: &Changes, cut: Option<prop::sample::Index>) -> Vec<u8> {
    let header = source.head().len();
    let mut bytes = source.bytes();
    for (at, byte) in changes {
        bytes[at.index(header)] = *byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    bytes
}

type Changes = Vec<(prop::sample::Index, u8)>;

fn changes() -> impl Strategy<Value = Changes> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..16)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_header_bytes_never_panic(
        changes in changes(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        for source in sources() {
            make_use(open_bytes(&damaged(&source, &changes, cut)));
        }
    }

    #[test]
    fn changed_shards_never_panic(
        changes in changes(),
        cut in prop::option::of(any::<prop::sample::Index>()),
        changed in 0_usize..3,
        given in 0_usize..3,
    ) {
        let folder = TempFolder::new();
        for (number, shard) in shards::shards(false).iter().enumerate() {
            let bytes = if number == changed { damaged(shard, &changes, cut) } else { shard.bytes() };
            folder.write(&shards::name(number + 1, 3), &bytes);
        }
        make_use(Gguf::open(&folder.0.join(shards::name(given + 1, 3))));
    }

    #[test]
    fn random_bytes_after_the_magic_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        make_use(open_bytes(&[b"GGUF\x03\0\0\0".as_slice(), &bytes].concat()));
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let [.., bert, nested] = sources();
    for mut source in [bert, nested] {
        source.tensor("last", &[2], 0);
        // The padding after the last tensor may be missing.
        let end = source.head().len().next_multiple_of(32) + source.data.len() - 24;
        let bytes = source.bytes();
        for length in 0..end {
            let opened = open_bytes(&bytes[..length]);
            assert!(opened.is_err(), "the first {length} of {} bytes", bytes.len());
        }
        open_bytes(&bytes[..end]).expect("the whole data is there");
    }
}
