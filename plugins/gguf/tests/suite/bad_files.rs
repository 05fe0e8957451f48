//! Each damaged or foreign file is refused with one line that names the file, the field and why.

use crate::writer::{self as w, File, Tensor};
use crate::{TempFile, open_bytes};
use plugin_api::{Checkpoint, ErrorKind, Format};
use plugin_gguf::Gguf;

/// The message of the refusal, without the path, which must come first.
#[track_caller]
pub(crate) fn refusal(bytes: &[u8]) -> String {
    let file = TempFile::new(bytes);
    let error = Gguf::open(&file.0).map(|_| ()).expect_err("the file must be refused");
    message(&error, &file)
}

#[track_caller]
pub(crate) fn message(error: &plugin_api::Error, file: &TempFile) -> String {
    let message = error.message();
    let prefix = format!("{}: ", file.0.display());
    assert!(message.starts_with(&prefix), "no path in {message:?}");
    assert!(!message.contains(char::is_control), "not one plain line: {message:?}");
    message[prefix.len()..].to_owned()
}

/// The bytes are refused with a message that has this part.
#[track_caller]
pub(crate) fn check(bytes: &[u8], expected: &str) {
    let message = refusal(bytes);
    assert!(message.contains(expected), "{message:?} says nothing of {expected:?}");
}

/// The valid file with one change is refused.
#[track_caller]
fn check_changed(change: impl FnOnce(&mut File), expected: &str) {
    let mut file = File::valid();
    change(&mut file);
    check(&file.bytes(), expected);
}

/// The valid file with another value under a key is refused.
#[track_caller]
fn check_value(key: &str, value: w::Value, expected: &str) {
    check_changed(|file| file.set(key, value), expected);
}

/// The valid file with a change to its first tensor is refused.
#[track_caller]
fn check_tensor(change: impl FnOnce(&mut Tensor), expected: &str) {
    check_changed(|file| change(&mut file.tensors[0]), expected);
}

#[test]
fn the_unchanged_file_is_accepted() {
    open_bytes(&File::valid().bytes()).expect("nothing is wrong with it");
}

#[test]
fn unreadable_versions_are_named() {
    check_changed(|f| f.version = 0, "version: found 0, expected 2 or 3");
    check_changed(|f| f.version = 1, "convert the checkpoint again");
    check_changed(|f| f.version = 4, "version: found 4, expected 2 or 3");
    check_changed(|f| f.version = 3_u32.swap_bytes(), "found 3 in big-endian order");
    let mut older = File::valid();
    older.version = 2;
    open_bytes(&older.bytes()).expect("version 2 differs in nothing");
}

#[test]
fn counts_beyond_the_file_are_refused() {
    for count in [u64::MAX, 1 << 63, 1 << 62, 1_000_000_000, 65_537] {
        check_changed(|f| f.key_count = Some(count), "expected at most 65536");
        check_changed(|f| f.tensor_count = Some(count), "expected at most 65536");
    }
    check_changed(|f| f.tensor_count = Some(0), "tensor count: found 0 tensors, but");
    check_changed(|f| f.tensor_count = Some(3), "name of tensor 3 of 3: found an empty name");
    check_changed(|f| f.key_count = Some(65_000), "of 65000: found a length of");
}

#[test]
fn bad_keys_are_refused() {
    let base = File::valid().bytes();
    for (length, expected) in [(u64::MAX, "at most 65535"), (1 << 30, "at most 65535")] {
        let mut bytes = base.clone();
        bytes[24..32].copy_from_slice(&length.to_le_bytes());
        check(&bytes, &format!("metadata key 1 of 12: found a length of {length} bytes, expected"));
        check(&bytes, expected);
    }
    check_changed(|f| f.push(b"", w::u32(1)), "metadata key 13 of 13: found an empty name");
    check_changed(|f| f.push(b"\xff\xfe", w::u32(1)), "expected UTF-8");
    check_changed(|f| f.push(b"a\0b", w::u32(1)), "found `a\\0b`, expected a name without");
    check_changed(
        |f| f.push(b"general.architecture", w::text("qwen3")),
        "`general.architecture`: found the key twice, expected once",
    );
}

#[test]
fn bad_values_are_refused() {
    for number in [13, 255, u32::MAX] {
        let expected = format!("x.y: found value type {number}, expected one of 0 to 12");
        check_value("x.y", w::raw(number, &[0; 8]), &expected);
    }
    let long = |length: u64| w::raw(w::TEXT, &[&length.to_le_bytes(), b"abc".as_slice()].concat());
    check_value("x.y", long(u64::MAX), "x.y: found a length of 18446744073709551615 bytes");
    check_value("x.y", long(1 << 40), "expected at most 67108864");
    check_value("x.y", long(1 << 20), "x.y: found ");
    check_value("x.y", w::raw(w::BOOL, &[2]), "x.y: found bool 2, expected 0 or 1");
    check_value("x.y", w::f32(f32::NAN), "x.y: found NaN, expected a finite number");
    let bad = w::raw(w::TEXT, &w::string(b"\xff\xff"));
    check_value("tokenizer.chat_template", bad, "tokenizer.chat_template: found");
}

#[test]
fn bad_arrays_are_refused() {
    let head = |element, count| w::raw(w::ARRAY, &w::array_head(element, count));
    check_value("x.y", head(w::U32, u64::MAX), "x.y: found an array of 18446744073709551615 u32");
    check_value("x.y", head(w::U32, 1 << 62), "in the bytes that are left");
    check_value("x.y", head(w::U8, 1 << 30), "x.y: found an array of 1073741824 u8");
    check_value("x.y", head(w::TEXT, 1 << 40), "found an array of 1099511627776 string");
    check_value("x.y", head(77, 4), "x.y: found value type 77");
    for depth in [4, 64, 200_000] {
        let mut nested = w::array_head(w::ARRAY, 1).repeat(depth);
        nested.extend(w::array_head(w::U8, 1));
        nested.push(0);
        let expected = "x.y: found arrays nested more deeply, expected at most 4 levels";
        check_value("x.y", w::raw(w::ARRAY, &nested), expected);
    }
    let mut nested = w::array_head(w::ARRAY, 1).repeat(3);
    nested.extend(w::array_head(w::U8, 1));
    nested.push(0);
    let mut file = File::valid();
    file.set("x.y", w::raw(w::ARRAY, &nested));
    open_bytes(&file.bytes()).expect("four levels are allowed");
}

#[test]
fn bad_alignments_are_refused() {
    for alignment in [0, 3, 4, 1 << 21, 1 << 31] {
        let expected = format!("general.alignment: found {alignment}, expected a power of two");
        check_value("general.alignment", w::u32(alignment), &expected);
    }
    check_value("general.alignment", w::text("32"), "found a value of type string, expected an");
}

#[test]
fn bad_architectures_are_refused() {
    let key = "general.architecture";
    check_changed(|f| f.remove(key), "general.architecture: found no such key");
    check_value(key, w::u32(7), "found a value of type u32, expected a string");
    for name in ["", "../../tmp/evil", "Llama", "a b", "..", &"a".repeat(65)] {
        check_value(key, w::text(name), "expected 1 to 64 characters out of a-z");
    }
}

#[test]
fn bad_shapes_are_refused() {
    let field = "tensor `token_embd.weight`: found ";
    let shape = |dimensions: &[u64]| {
        let dimensions = dimensions.to_vec();
        move |tensor: &mut Tensor| tensor.dimensions = dimensions
    };
    check_tensor(shape(&[]), &format!("{field}0 dimensions, expected 1 to 4"));
    check_tensor(shape(&[8, 266, 1, 1, 1]), &format!("{field}5 dimensions"));
    check_tensor(|t| t.dimension_count = Some(u32::MAX), "found 4294967295 dimensions");
    check_tensor(shape(&[8, 0]), "found dimensions [8, 0], expected none of them zero");
    check_tensor(shape(&[8, u64::MAX]), "expected less than 2^64 bytes of data");
    check_tensor(shape(&[1 << 33, 1 << 31]), "expected less than 2^64 bytes of data");
    check_tensor(shape(&[1 << 62, 128]), "expected less than 2^64 bytes of data");
    check_tensor(shape(&[8, (1 << 42) + 1]), "expected data inside the");
    check_tensor(shape(&[8, 265]), "[8, 265], expected a second dimension of 266");
    check_tensor(shape(&[266, 8]), "[266, 8], expected a second dimension of 266");
    for (number, found, hint) in [
        (4, "4 (q4_2, of earlier versions)", "convert the checkpoint again"),
        (31, "31 (q4_0_4_4, of earlier versions)", "use the q4_0 file of this model"),
        (36, "36 (iq4_nl_4_4, of earlier versions)", "use the iq4_nl file of this model"),
        (43, "43", "the file is damaged, or newer than this plugin"),
        (u32::MAX, "4294967295", "the file is damaged, or newer than this plugin"),
    ] {
        let expected = format!("{field}tensor type {found}, expected one of 0 f32, 1 f16");
        check_tensor(|t| t.number = number, &expected);
        check_tensor(|t| t.number = number, hint);
    }
    check_tensor(
        |t| (t.number, t.dimensions) = (2, vec![31, 266]),
        "found rows of 31 values, expected a multiple of 32, the block of q4_0",
    );
}

#[test]
fn bad_places_are_refused() {
    check_tensor(|t| t.start = 1 << 40, "expected data inside the");
    check_tensor(|t| t.start = u64::MAX - 31, "expected data inside the");
    check_tensor(|t| t.start = 7, "found data at byte 7, expected a multiple of the alignment 32");
    let shared = "`output_norm.weight`: found data shared with tensor `token_embd.weight`";
    check_changed(|f| f.tensors[1].start = 32, shared);
    let valid = File::valid();
    let (head, bytes) = (valid.head(), valid.bytes());
    check(&bytes[..bytes.len() - 1], "download it again");
    check(&bytes[..head.len() + 100], "download it again");
    check(&head, "download it again");
    check(&head[..head.len() - 5], "tensor `output_norm.weight`: found 3 bytes left at byte");
    let mut longer = bytes;
    longer.resize(longer.len() + 100_000, 7);
    open_bytes(&longer).expect("rubbish after the data is nobody's");
}

#[test]
fn bad_tensor_names_are_refused() {
    check_tensor(|t| t.name = Vec::new(), "name of tensor 1 of 2: found an empty name");
    check_tensor(|t| t.name = b"a\0b".to_vec(), "found `a\\0b`, expected a name without NUL");
    check_tensor(
        |t| t.name = vec![b'a'; 65_536],
        "found a length of 65536 bytes, expected at most 256",
    );
    check_tensor(
        |t| t.name = b"output_norm.weight".to_vec(),
        "found the name twice, expected once",
    );
}

#[test]
fn bad_vocabularies_are_refused() {
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    let check_key = |name: &str, value, expected: &str| check_value(&key(name), value, expected);
    check_key("scores", w::f32s(&[0.0, 1.0]), "found 2 elements, expected 266, one for each");
    check_key(
        "scores",
        w::raw(w::ARRAY, &[w::array_head(w::U8, 1), vec![0]].concat()),
        "array of u8",
    );
    check_key("scores", w::f32s(&[f32::NAN; 266]), "scores: found NaN");
    check_key("token_type", w::i32s(&[1]), "token_type: found 1 elements, expected 266");
    check_key(
        "token_type",
        w::texts(&["1"; 266]),
        "found an array of string, expected an array of i32",
    );
    check_key("token_type", w::i32s(&[9; 266]), "token_type: found kind 9, expected 0 to 6");
    check_key("tokens", w::texts::<&str>(&[]), "tokens: found 0 tokens, expected 1 to 1048576");
    check_key("tokens", w::texts(&[b"\xff\xfe"; 266]), "tokens: found `��`, expected UTF-8");
    check_key(
        "bos_token_id",
        w::u32(1 << 31),
        "found token 2147483648, expected less than the 266",
    );
    check_key("eos_token_id", w::u32(266), "eos_token_id: found token 266");
    check_key("eot_token_id", w::u32(266), "eot_token_id: found token 266");
    check_key(
        "eos_token_id",
        w::raw(5, &(-1_i32).to_le_bytes()),
        "expected an integer, not negative",
    );
    check_changed(|f| f.remove(&key("model")), "tokenizer.ggml.model: found no such key");
    check_value(
        "llama.vocab_size",
        w::u32(1 << 31),
        "found 2147483648, expected 266, the number of",
    );
}

/// A vocabulary that opens but cannot be translated.
#[track_caller]
fn check_tokenizer(change: impl FnOnce(&mut File), expected: &str) {
    let mut source = File::valid();
    change(&mut source);
    let file = TempFile::new(&source.bytes());
    let checkpoint = Gguf::open(&file.0).expect("the checkpoint itself is fine");
    let error = checkpoint.asset("tokenizer.json").expect_err("the tokenizer must be refused");
    let message = message(&error, &file);
    assert!(message.contains(expected), "{message:?} says nothing of {expected:?}");
}

#[test]
fn bad_tokenizers_are_refused() {
    let model = "tokenizer.ggml.model";
    let merges = "tokenizer.ggml.merges";
    check_tokenizer(|f| f.set(model, w::text("no-such")), "found `no-such`, expected gpt2");
    check_tokenizer(|f| f.set(model, w::text("t5")), "open the Hugging Face folder");
    check_tokenizer(|f| f.remove("tokenizer.ggml.scores"), "scores: found no such key");
    check_tokenizer(|f| f.set(model, w::text("gpt2")), "merges: found no such key");
    let same = w::texts(&["a"; 266]);
    check_tokenizer(|f| f.set("tokenizer.ggml.tokens", same), "`a` as tokens 0 and 1");
    for spelling in ["<0x-1>", "<0xZZ>", "<0xaa>", "<0x1>"] {
        let mut pieces = w::pieces();
        pieces[3] = spelling.to_owned();
        let expected = format!("token 3: found `{spelling}`, expected a byte piece");
        check_tokenizer(|f| f.set("tokenizer.ggml.tokens", w::texts(&pieces)), &expected);
    }
    let mut long = w::pieces();
    long[265] = "x".repeat(600);
    let long = w::texts(&long);
    check_tokenizer(|f| f.set("tokenizer.ggml.tokens", long), "a piece of 600 bytes");
    for line in ["nospace", "", " ", "a b c", "a z", "b c"] {
        let expected = format!("merge 0: found `{line}`, expected two pieces of the vocabulary");
        let change = |f: &mut File| {
            f.set(model, w::text("gpt2"));
            f.set(merges, w::texts(&[line]));
        };
        check_tokenizer(change, &expected);
    }
    check_tokenizer(
        |f| {
            f.set(model, w::text("gpt2"));
            f.set("tokenizer.ggml.pre", w::text("new"));
        },
        "tokenizer.ggml.pre: found `new`, expected one of qwen2, qwen35",
    );
}

#[test]
fn an_endless_chat_template_is_refused() {
    let mut source = File::valid();
    source.set("tokenizer.chat_template", w::text(&"x".repeat((1 << 20) + 1)));
    let checkpoint = open_bytes(&source.bytes()).expect("it may be opened");
    let error = checkpoint.asset("chat_template").expect_err("it is too long");
    assert!(error.message().contains("found 1048577 bytes, expected at most 1048576"), "{error}");
}

#[test]
fn what_is_no_file_is_refused() {
    let missing = std::env::temp_dir().join("no-such-file.gguf");
    let error = Gguf::open(&missing).map(|_| ()).expect_err("there is nothing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().starts_with(&missing.display().to_string()), "{error}");
    let device = std::path::Path::new("/dev/null");
    if device.exists() {
        let error = Gguf::open(device).map(|_| ()).expect_err("it is a device");
        assert!(error.message().contains("expected a regular file"), "{error}");
    }
}

#[test]
fn probe_knows_its_own_files() {
    let probe = |bytes: &[u8]| Gguf::probe(&TempFile::new(bytes).0);
    assert_eq!(probe(&File::valid().bytes()), 100);
    assert_eq!(probe(b"something else"), 50, "it is called .gguf");
    assert_eq!(Gguf::probe(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))), 0);
    assert_eq!(Gguf::probe(std::path::Path::new("/no/such/file.gguf")), 0);
    let other =
        TempFile(std::env::temp_dir().join(format!("plugin-gguf-{}.sbs", std::process::id())));
    std::fs::write(&other.0, b"SBS\n").expect("the temporary folder is writable");
    assert_eq!(Gguf::probe(&other.0), 1, "only to say what it is");
}
