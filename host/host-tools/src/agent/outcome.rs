//! What a model sees of a result: text, as much of it as there is room for.

use serde_json::Value;

use crate::{ToolError, ToolOutcome};

/// A result as text, and whether it says what went wrong.
pub(super) fn text(result: Result<ToolOutcome, ToolError>) -> (String, bool) {
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(error) => return (format!("Error: {error}"), true),
    };
    if outcome.input_required.is_some() {
        return ("Error: the tool wants input that nobody here can give".to_owned(), true);
    }
    let blocks: Vec<String> = outcome.content.iter().map(block).collect();
    let text = match (blocks.is_empty(), outcome.structured) {
        (true, Some(structured)) => structured.to_string(),
        _ => blocks.join("\n"),
    };
    if outcome.is_error { (format!("Error: {text}"), true) } else { (text, false) }
}

/// A content block of MCP as text; what is no text is only named.
fn block(block: &Value) -> String {
    let field = |name: &str| block[name].as_str();
    match field("type") {
        Some("text") => field("text").unwrap_or_default().to_owned(),
        Some("resource") => match block["resource"]["text"].as_str() {
            Some(text) => text.to_owned(),
            None => format!("[{}: not text]", block["resource"]["uri"].as_str().unwrap_or("?")),
        },
        Some("resource_link") => format!("[{}]", field("uri").unwrap_or("?")),
        kind => format!(
            "[{} of type {}: not text]",
            kind.unwrap_or("content"),
            field("mimeType").unwrap_or("unknown")
        ),
    }
}

/// The text, or its beginning after a note that says so: a model must not take a part for the whole,
/// least of all a part of a JSON document.
pub(super) fn fit(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    let note = format!(
        "[The result has {} bytes and is cut: what follows is only its beginning. Ask for less.]\n",
        text.len()
    );
    let end = text.floor_char_boundary(bytes_max.saturating_sub(note.len()));
    note + &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{fit, text};
    use crate::{ToolError, ToolOutcome};
    use serde_json::json;

    #[test]
    fn every_kind_of_content_becomes_text() {
        let content = vec![
            json!({"type": "text", "text": "one"}),
            json!({"type": "resource", "resource": {"uri": "a:b", "text": "two"}}),
            json!({"type": "resource_link", "uri": "c:d"}),
            json!({"type": "image", "mimeType": "image/png", "data": "AAAA"}),
        ];
        let outcome = ToolOutcome { content, ..ToolOutcome::default() };
        let expected = "one\ntwo\n[c:d]\n[image of type image/png: not text]";
        assert_eq!(text(Ok(outcome)), (expected.to_owned(), false));
        let structured = Some(json!({"n": 1}));
        let outcome = ToolOutcome { structured, ..ToolOutcome::default() };
        assert_eq!(text(Ok(outcome)), ("{\"n\":1}".to_owned(), false));
    }

    #[test]
    fn what_went_wrong_is_said() {
        assert_eq!(text(Ok(ToolOutcome::failure("no"))), ("Error: no".to_owned(), true));
        assert_eq!(text(Err(ToolError::Cancelled)), ("Error: cancelled".to_owned(), true));
        let input_required = Some(json!({}));
        let (said, is_error) = text(Ok(ToolOutcome { input_required, ..ToolOutcome::default() }));
        assert!(is_error && said.contains("input"), "{said}");
    }

    #[test]
    fn a_part_is_never_taken_for_the_whole() {
        assert_eq!(fit("short".to_owned(), 5), "short");
        let long = fit("ü".repeat(500), 301);
        assert!(long.len() <= 301 && long.ends_with('ü'), "{long}");
        assert!(long.starts_with("[The result has 1000 bytes and is cut"), "{long}");
        assert!(fit("x".repeat(500), 10).ends_with("]\n"), "the note is always there");
    }
}
