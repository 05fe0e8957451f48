//! The HTTP surface over a scripted model: requests in, bytes out.
//!
//! One binary, so that it links once. Most tests call the router directly; those about connections
//! use a socket of the system's choosing.

#[cfg(test)]
mod access;
#[cfg(test)]
mod access_log;
#[cfg(test)]
mod agent;
#[cfg(test)]
mod anthropic;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod completions;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod errors;
#[cfg(test)]
#[path = "../../../host-generation/tests/generation/fake.rs"]
mod fake;
#[cfg(test)]
#[path = "../../../host-generation/tests/generation/fake_embedder.rs"]
mod fake_embedder;
mod grammar;
#[cfg(test)]
mod loads;
#[cfg(test)]
mod ollama;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod operations;
mod page;
#[cfg(test)]
mod rate_limits;
#[cfg(test)]
mod reasoning;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod service;
#[cfg(test)]
mod test_host;
mod tools;
