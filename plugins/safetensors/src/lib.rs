//! Hugging Face checkpoint folders with safetensors weights.
