//! Random bytes in the text files and the header: any answer is fine, a panic or a hang is not.

use crate::folder::{Folder, config, data, header, tokenizer, weights, weights_of};
use crate::groups::{Form, Packed, Random};
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
    #[test]
    fn changed_groups_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        in_config: bool,
        awq: bool,
    ) {
        let form = if awq { Form::Awq } else { Form::Gptq };
        let mut packed = Packed::random(form, [8, 64], Some(32), &mut Random(5));
        packed.order = (!awq).then(|| (0..64).map(|column| column / 32).collect());
        let mut tensors = packed.tensors();
        tensors.push(("y.weight".to_owned(), "F8_E4M3", vec![2, 32], vec![0; 64]));
        tensors.push(("y.weight_scale".to_owned(), "F32", vec![2], vec![0; 8]));
        let mut config = config();
        config["quantization_config"] = packed.config();
        let mut files = [config.to_string().into_bytes(), weights_of(&tensors)];
        let file = &mut files[usize::from(!in_config)];
        for (at, byte) in changes {
            let length = file.len();
            file[at.index(length)] = byte;
        }
        let [config, weights] = files;
        let folder = Folder::valid().with("config.json", config).with("model.safetensors", weights);
        if let Ok(checkpoint) = folder.open() {
            for (index, tensor) in checkpoint.info().tensors.iter().enumerate() {
                let _answer = checkpoint.tensor(index).map(<[u8]>::len);
                for row_bytes in [40, 36, 128, 64] {
                    let rows = tensor.shape.first().copied().unwrap_or(1);
                    let mut dst = vec![0; rows * row_bytes];
                    let _answer = checkpoint.read_rows(index, 0..rows, &mut dst);
                }
            }
        }
    }
}
