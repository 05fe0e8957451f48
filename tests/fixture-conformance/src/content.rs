//! Fixtures that give each kind of content, or fail.

use crate::Fixture;
use plugin_api::ToolAnswer;
use serde_json::{Value, json};

/// A red pixel, PNG in Base64.
pub(crate) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC";

/// A millisecond of silence, WAV in Base64.
const SILENCE: &str = "UklGRiwAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQgAAACAgICAgICAgA==";

pub(crate) const TOOLS: &[Fixture] = &[
    Fixture::new("test_simple_text", |_, _| {
        Ok(ToolAnswer::text("This is a simple text response for testing."))
    }),
    Fixture::new("test_image_content", |_, _| Ok(ToolAnswer::content(vec![image()]))),
    Fixture::new("test_audio_content", |_, _| {
        let sound = json!({"type": "audio", "data": SILENCE, "mimeType": "audio/wav"});
        Ok(ToolAnswer::content(vec![sound]))
    }),
    Fixture::new("test_embedded_resource", |_, _| {
        let text = "This is an embedded resource content.";
        Ok(ToolAnswer::content(vec![embedded("test://embedded-resource", "text/plain", text)]))
    }),
    Fixture::new("test_multiple_content_types", |_, _| {
        let text = json!({"type": "text", "text": "Multiple content types test:"});
        let data = r#"{"test":"data","value":123}"#;
        let resource = embedded("test://mixed-content-resource", "application/json", data);
        Ok(ToolAnswer::content(vec![text, image(), resource]))
    }),
    Fixture::new("test_error_handling", |_, _| {
        Ok(ToolAnswer::failure("This tool intentionally returns an error for testing"))
    }),
];

pub(crate) fn image() -> Value {
    json!({"type": "image", "data": PIXEL, "mimeType": "image/png"})
}

pub(crate) fn embedded(uri: &str, mime_type: &str, text: &str) -> Value {
    let resource = json!({"uri": uri, "mimeType": mime_type, "text": text});
    json!({"type": "resource", "resource": resource})
}

/// A tool whose schema has words of JSON Schema 2020-12 that must arrive at the client.
pub(crate) fn schema_tool() -> Value {
    json!({
        "name": "json_schema_2020_12_tool",
        "description": "Tool with JSON Schema 2020-12 features",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                },
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {
                "properties": {"contactMethod": {"const": "phone"}},
                "required": ["contactMethod"],
            },
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false,
        },
    })
}

/// A tool with an argument that clients mirror in a header of HTTP.
pub(crate) fn header_tool() -> Value {
    let region = json!({"type": "string", "x-mcp-header": "Region"});
    json!({
        "name": "test_custom_headers",
        "description": "Tool with an argument that is mirrored in a header",
        "inputSchema": {"type": "object", "properties": {"region": region}},
    })
}
