//! GGUF checkpoints and the ggml block dtypes.
