//! Puts the tables together to an OpenAPI 3.1 document.

use serde_json::{Map, Value, json};

use super::answers::{self, ERROR};
use super::endpoints::{ENDPOINTS, Endpoint, Takes};
use super::field::{Field, Shape, Treatment};

/// What a refusal may be, beside a wrong request.
const REFUSALS: [(&str, &str); 9] = [
    ("400", "A field is wrong; `param` names it"),
    ("401", "The key is missing or wrong"),
    ("403", "The host or the origin is not allowed"),
    ("404", "There is no such model"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("415", "The body is not JSON"),
    ("429", "The queue is full, or a limit is reached; see `Retry-After`"),
    ("503", "The host is stopping, or the model is out of service"),
];

/// The document.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let operation = json!({ endpoint.method(): operation(endpoint) });
        paths.insert(endpoint.path.to_owned(), operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "host",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Language models behind one interface. Fields that are not listed are \
                            ignored, and null is the same as no field.",
        },
        "paths": paths,
        "components": {
            "schemas": answers::schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = json!({"summary": endpoint.about, "responses": responses(endpoint)});
    if endpoint.path.contains("{id}") {
        let id =
            json!({"name": "id", "in": "path", "required": true, "schema": {"type": "string"}});
        operation["parameters"] = json!([id]);
    }
    if matches!(endpoint.takes, Takes::Fields(_)) {
        let content = json!({"application/json": {"schema": request(endpoint)}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn responses(endpoint: &Endpoint) -> Value {
    let answer = json!({"schema": reference(endpoint.answers)});
    let mut content = json!({"application/json": answer});
    if endpoint.streams() {
        let events = json!({"schema": {"type": "string"}});
        let lines = endpoint.path.starts_with("/api/");
        content[if lines { "application/x-ndjson" } else { "text/event-stream" }] = events;
    }
    let good = if endpoint.path == "/v1/models/load" { "201" } else { "200" };
    let mut responses = json!({ good: {"description": endpoint.about, "content": content} });
    for (status, why) in REFUSALS {
        let content = json!({"application/json": {"schema": reference(ERROR)}});
        responses[status] = json!({"description": why, "content": content});
    }
    responses
}

fn request(endpoint: &Endpoint) -> Value {
    let is_shown = |field: &&Field| field.treatment != Treatment::Rejected;
    let mut properties = Map::new();
    for field in endpoint.fields().filter(is_shown) {
        let mut schema = field.shape.schema();
        if field.treatment == Treatment::Supported && field.shape != Shape::Any {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        schema["description"] = field.about.into();
        properties.insert(field.name.to_owned(), schema);
    }
    let is_required = |field: &&Field| field.treatment == Treatment::Required;
    let required: Vec<&str> = endpoint.fields().filter(is_required).map(|it| it.name).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
