//! Recognises what is not a GGUF file but was given as one, so that the refusal can say what to do.
//!
//! It looks at the first bytes only and must not interpret a foreign file any further; a pickle,
//! above all, is only ever named.

/// What a file is, and what to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// Such as `a git-lfs pointer`.
    pub(crate) what: &'static str,
    /// What to do.
    pub(crate) hint: &'static str,
}

const DOWNLOAD_AGAIN: &str = "the download failed, download the file again";
const CONVERT: &str = "convert the checkpoint to GGUF or safetensors";
const UNPACK: &str = "unpack it first";

/// First bytes of foreign files.
const STARTS: [(&[u8], Foreign); 14] = [
    (
        b"version https://git-lfs",
        foreign("a git-lfs pointer", "run `git lfs pull` to get the file"),
    ),
    (b"<!doctype", foreign("an HTML page", DOWNLOAD_AGAIN)),
    (b"<html", foreign("an HTML page", DOWNLOAD_AGAIN)),
    (b"<?xml", foreign("an XML page", DOWNLOAD_AGAIN)),
    (b"lmgg", foreign("a GGML file from before GGUF", CONVERT)),
    (b"fmgg", foreign("a GGMF file from before GGUF", CONVERT)),
    (b"tjgg", foreign("a GGJT file from before GGUF", CONVERT)),
    (b"ggml", foreign("a GGML file from before GGUF", CONVERT)),
    (
        b"sbs\n",
        foreign(
            "a gemma.cpp file (.sbs)",
            "it cannot be converted back, get the same model as safetensors or GGUF",
        ),
    ),
    (b"pk\x03\x04", foreign("a zip archive, as PyTorch writes them", CONVERT)),
    (b"\x1f\x8b", foreign("a gzip archive", UNPACK)),
    (b"\x28\xb5\x2f\xfd", foreign("a zstd archive", UNPACK)),
    (b"7z\xbc\xaf", foreign("a 7z archive", UNPACK)),
    (b"\0\0\0\0\0\0\0\0", foreign("zeros", DOWNLOAD_AGAIN)),
];

const fn foreign(what: &'static str, hint: &'static str) -> Foreign {
    Foreign { what, hint }
}

/// What the file that begins with `bytes` is, if it is something well known.
pub(crate) fn recognise(bytes: &[u8]) -> Option<Foreign> {
    let start = bytes.get(..64).unwrap_or(bytes).trim_ascii_start().to_ascii_lowercase();
    if let Some((_, found)) = STARTS.iter().find(|(known, _)| start.starts_with(known)) {
        return Some(*found);
    }
    match bytes {
        [0x80, 2..=5, ..] => Some(foreign("a Python pickle, as PyTorch writes them", CONVERT)),
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => Some(foreign(
            "a safetensors file",
            "open the folder it lies in, together with its config.json",
        )),
        [b'{' | b'[', ..] => Some(foreign("JSON text", "name the .gguf file itself")),
        _ if is_old_imatrix(bytes) => Some(foreign(
            "an importance matrix from before GGUF (.dat)",
            "name the model's own file; `llama-imatrix --in-file` converts a matrix to GGUF",
        )),
        _ => None,
    }
}

/// llama.cpp's former file of importance matrices has no magic: a count of entries, then for each
/// the length of a weight's name and the name itself.
fn is_old_imatrix(bytes: &[u8]) -> bool {
    let Some(([_, _, 0, 0, length, 0, 0, 0], rest)) = bytes.split_first_chunk() else {
        return false;
    };
    let name = rest.get(..usize::from(*length)).unwrap_or(rest);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    [b"blk.".as_slice(), b"output", b"token_embd"].iter().any(|start| name.starts_with(start))
        && name.iter().all(plain)
}
