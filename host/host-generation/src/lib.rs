//! Validated request to text: chat template, engine, stop strings, finish reason.
