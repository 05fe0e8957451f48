//! Path to running model: format, architecture, graph, compute session, tokenizer.
