//! The tables against the page that is made of them, and against the routes.

use std::fmt::Write as _;
use std::path::Path;

use super::document::document;
use super::endpoints::ENDPOINTS;
use super::field::{Shape, Treatment};
use crate::router::ROUTES;

const BEGIN: &str = "<!-- fields: made by the tests of host-http -->\n";
const END: &str = "<!-- end of fields -->\n";

/// The tables as Markdown.
fn tables() -> String {
    let mut text = String::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.fields().next().is_some()) {
        writeln!(text, "\n### `{}`\n", endpoint.path).expect("a string takes all");
        text += "| field | what | | meaning |\n|---|---|---|---|\n";
        let mut fields: Vec<_> = endpoint.fields().collect();
        fields.sort_by_key(|field| field.treatment);
        for field in fields {
            let (name, shape) = (field.name, words(field.shape));
            let (treatment, about) = (word(field.treatment), field.about);
            writeln!(text, "| `{name}` | {shape} | {treatment} | {about} |").expect("as above");
        }
    }
    text + "\n"
}

/// What becomes of a field, in a word.
fn word(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::Required => "required",
        Treatment::Supported => "supported",
        Treatment::Ignored => "ignored",
        Treatment::Rejected => "rejected",
    }
}

/// What a field may be, in words.
fn words(shape: Shape) -> String {
    match shape {
        Shape::Any => "anything".to_owned(),
        Shape::Text => "text".to_owned(),
        Shape::Flag => "true or false".to_owned(),
        Shape::Integer(least, most) => format!("integer, {}", range(least, most)),
        Shape::Number(least, most) => format!("number, {least} to {most}"),
        Shape::NumberAbove(least, most) => format!("number above {least}, at most {most}"),
        Shape::OneOf(words) => words.join(", "),
        Shape::List => "list".to_owned(),
        Shape::Texts => "list of texts".to_owned(),
        Shape::TextOrTexts => "text or list of texts".to_owned(),
        Shape::Tokens => "list of token ids".to_owned(),
        Shape::Object => "object".to_owned(),
        Shape::Prompt => "text, token ids, or a list of either".to_owned(),
        Shape::Messages => "list of messages".to_owned(),
        Shape::Tools => "list of tools".to_owned(),
    }
}

fn range(least: i64, most: i64) -> String {
    match (least, most) {
        (least, _) if least <= i64::from(i32::MIN) => "any".to_owned(),
        (least, most) if most >= i64::from(i32::MAX) => format!("{least} or more"),
        (least, most) => format!("{least} to {most}"),
    }
}

#[test]
fn the_page_has_every_field() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openai.md");
    let page = std::fs::read_to_string(&path).expect("docs/openai.md");
    let (before, rest) = page.split_once(BEGIN).expect("the mark before the tables");
    let (found, after) = rest.split_once(END).expect("the mark after the tables");
    let tables = tables();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let page = format!("{before}{BEGIN}{tables}{END}{after}");
        std::fs::write(&path, page).expect("docs/openai.md can be written");
    } else {
        assert!(found == tables, "docs/openai.md is old: run this test with UPDATE_EXPECT=1");
    }
}

#[test]
fn every_route_is_in_the_document() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    // Pages for people, what is no JSON, and second names.
    let others = [
        "/",
        "/page/{*path}",
        "/favicon.svg",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/v1/tokenize",
        "/v1/detokenize",
    ];
    for route in ROUTES {
        let name = route.replace("{*id}", "{id}");
        assert!(others.contains(&route) || paths.contains_key(&name), "{route} is missing");
    }
    let known = |path: &String| ROUTES.contains(&path.replace("{id}", "{*id}").as_str());
    assert!(paths.keys().all(known), "a path of the document is no route");
}

#[test]
fn no_endpoint_has_a_field_twice() {
    for endpoint in ENDPOINTS {
        let mut names: Vec<&str> = endpoint.fields().map(|field| field.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}: {names:?}", endpoint.path);
    }
}
