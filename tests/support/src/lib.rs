//! What the end-to-end tests share: builds plugins, starts the host, talks HTTP.
