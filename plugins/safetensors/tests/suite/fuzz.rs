//! Random bytes in the text files and the header: any answer is fine, a panic or a hang is not.

use crate::folder::{Folder, config, data, header, tokenizer, weights};
use plugin_api::Checkpoint;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn changed_bytes_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        which in 0..4_usize,
    ) {
        let index = serde_json::json!({"weight_map": {"a": "model.safetensors"}}).to_string();
        let mut files = [
            ("config.json", config().to_string().into_bytes()),
            ("model.safetensors", weights(&header(), &data())),
            ("tokenizer.json", tokenizer().to_string().into_bytes()),
            ("model.safetensors.index.json", index.into_bytes()),
        ];
        for (at, byte) in changes {
            let length = files[which].1.len();
            files[which].1[at.index(length)] = byte;
        }
        let mut folder = Folder::empty();
        for (name, bytes) in files {
            folder = folder.with(name, bytes);
        }
        if let Ok(checkpoint) = folder.open() {
            for index in 0..=checkpoint.info().tensors.len() {
                let _answer = checkpoint.tensor(index).map(<[u8]>::len);
            }
            let _answer = checkpoint.asset("tokenizer.json");
            let _answer = checkpoint.asset("chat_template");
        }
    }
}
