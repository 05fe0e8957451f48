//! Writes GGUF files in memory, right or wrong: every count, length and type can be overridden.

/// A value with its type number.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) number: u32,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) const U8: u32 = 0;
pub(crate) const U32: u32 = 4;
pub(crate) const BOOL: u32 = 7;
pub(crate) const TEXT: u32 = 8;
pub(crate) const ARRAY: u32 = 9;

fn value(number: u32, bytes: &[u8]) -> Value {
    Value { number, bytes: bytes.to_vec() }
}

pub(crate) fn raw(number: u32, bytes: &[u8]) -> Value {
    value(number, bytes)
}

pub(crate) fn u32(number: u32) -> Value {
    value(U32, &number.to_le_bytes())
}

pub(crate) fn f32(number: f32) -> Value {
    value(6, &number.to_le_bytes())
}

pub(crate) fn flag(flag: bool) -> Value {
    value(BOOL, &[u8::from(flag)])
}

pub(crate) fn text(text: &str) -> Value {
    value(TEXT, &string(text.as_bytes()))
}

pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

/// The head of an array, which may promise more than follows.
pub(crate) fn array_head(element: u32, count: u64) -> Vec<u8> {
    [element.to_le_bytes().as_slice(), &count.to_le_bytes()].concat()
}

pub(crate) fn texts<T: AsRef<[u8]>>(texts: &[T]) -> Value {
    let items: Vec<u8> = texts.iter().flat_map(|t| string(t.as_ref())).collect();
    value(ARRAY, &[array_head(TEXT, texts.len() as u64), items].concat())
}

pub(crate) fn i32s(numbers: &[i32]) -> Value {
    let items: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    value(ARRAY, &[array_head(5, numbers.len() as u64), items].concat())
}

pub(crate) fn f32s(numbers: &[f32]) -> Value {
    let items: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    value(ARRAY, &[array_head(6, numbers.len() as u64), items].concat())
}

/// One entry of the tensor table.
#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: Vec<u8>,
    pub(crate) dimensions: Vec<u64>,
    pub(crate) dimension_count: Option<u32>,
    pub(crate) number: u32,
    pub(crate) start: u64,
}

/// A file as parts; `bytes` puts them together.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) magic: Vec<u8>,
    pub(crate) version: u32,
    pub(crate) keys: Vec<(Vec<u8>, Value)>,
    pub(crate) key_count: Option<u64>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) tensor_count: Option<u64>,
    pub(crate) data: Vec<u8>,
    /// Of the data and of each tensor in it.
    pub(crate) alignment: usize,
}

/// Pieces of the small vocabulary: three special ones, all bytes, seven words.
pub(crate) fn pieces() -> Vec<String> {
    let mut pieces: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    pieces.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    pieces.extend(["▁", "▁a", "a", "b", "c", "ab", "abc"].map(str::to_owned));
    pieces
}

impl File {
    /// A small valid checkpoint with a SentencePiece vocabulary.
    pub(crate) fn valid() -> Self {
        let pieces = pieces();
        let scores: Vec<f32> = (0..pieces.len()).map(|id| -(id as f32)).collect();
        let mut kinds = vec![1; pieces.len()];
        kinds[..3].copy_from_slice(&[2, 3, 3]);
        kinds[3..259].fill(6);
        let mut file = Self::empty();
        for (key, value) in [
            ("general.architecture", text("llama")),
            ("general.name", text("small")),
            ("llama.block_count", u32(1)),
            ("llama.rope.freq_base", f32(10000.0)),
            ("tokenizer.ggml.model", text("llama")),
            ("tokenizer.ggml.tokens", texts(&pieces)),
            ("tokenizer.ggml.scores", f32s(&scores)),
            ("tokenizer.ggml.token_type", i32s(&kinds)),
            ("tokenizer.ggml.bos_token_id", u32(1)),
            ("tokenizer.ggml.eos_token_id", u32(2)),
            ("tokenizer.ggml.unknown_token_id", u32(0)),
            ("tokenizer.chat_template", text("{{ messages }}")),
        ] {
            file.set(key, value);
        }
        file.tensor("token_embd.weight", &[8, pieces.len() as u64], 0);
        file.tensor("output_norm.weight", &[8], 0);
        file
    }

    pub(crate) fn empty() -> Self {
        Self {
            magic: b"GGUF".to_vec(),
            version: 3,
            keys: Vec::new(),
            key_count: None,
            tensors: Vec::new(),
            tensor_count: None,
            data: Vec::new(),
            alignment: 32,
        }
    }

    /// Sets a key, in its place if it is there already.
    pub(crate) fn set(&mut self, key: &str, value: Value) {
        match self.keys.iter_mut().find(|(known, _)| known == key.as_bytes()) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.as_bytes().to_vec(), value)),
        }
    }

    /// Adds a key whatever it is called.
    pub(crate) fn push(&mut self, key: &[u8], value: Value) {
        self.keys.push((key.to_vec(), value));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.keys.retain(|(known, _)| known != key.as_bytes());
    }

    /// Adds an f32 or f16 tensor with its data.
    pub(crate) fn tensor(&mut self, name: &str, dimensions: &[u64], number: u32) {
        let count: u64 = dimensions.iter().product();
        let bytes = count * if number == 0 { 4 } else { 2 };
        let data: Vec<u8> = (0..bytes).map(|i| i as u8).collect();
        self.tensor_data(name, dimensions, number, &data);
    }

    /// Adds a tensor with this data.
    pub(crate) fn tensor_data(&mut self, name: &str, dimensions: &[u64], number: u32, data: &[u8]) {
        let start = self.data.len() as u64;
        self.data.extend(data);
        self.data.resize(self.data.len().next_multiple_of(self.alignment), 0);
        self.tensors.push(Tensor {
            name: name.as_bytes().to_vec(),
            dimensions: dimensions.to_vec(),
            dimension_count: None,
            number,
            start,
        });
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        let mut out = self.magic.clone();
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.extend(self.key_count.unwrap_or(self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            out.extend(string(key));
            out.extend(value.number.to_le_bytes());
            out.extend(&value.bytes);
        }
        for tensor in &self.tensors {
            out.extend(string(&tensor.name));
            let count = tensor.dimension_count.unwrap_or(tensor.dimensions.len() as u32);
            out.extend(count.to_le_bytes());
            out.extend(tensor.dimensions.iter().flat_map(|d| d.to_le_bytes()));
            out.extend(tensor.number.to_le_bytes());
            out.extend(tensor.start.to_le_bytes());
        }
        out
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.head();
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out.extend(&self.data);
        out
    }
}
