//! Requests through the whole crate: tokenizer, engine thread, assembler, against a scripted model.
//!
//! One binary, so that it links once. Nothing here knows how the crate is made inside.

#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fake_embedder;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod tool_forms;
