//! Plugin `fixture-conformance`: the tools, prompts and resources that the official conformance
//! suite of MCP (`@modelcontextprotocol/conformance`) calls by name.
//!
//! The suite proves a server only through such fixtures. They are a plugin, so that what is tested
//! is the host as it is shipped. What each must do is said by the suite's scenarios.
//!
//! | file | its fixtures |
//! |---|---|
//! | `content` | give each kind of content, or fail |
//! | `talking` | tell and ask while they run |
//! | `input` | want more from the client first |
//! | `reading` | are resources and prompts |
//! | `changing` | change what is offered |

mod changing;
mod content;
mod input;
mod reading;
mod talking;

use plugin_api::{Error, ErrorKind, ToolAnswer, ToolCall, ToolOffer, Tools};
use serde_json::{Map, Value, json};

plugin_api::register!(tools: Fixtures);
plugin_api::export_plugin!();

/// Arguments of a call.
type Arguments = Map<String, Value>;

/// A tool of the suite.
struct Fixture {
    name: &'static str,
    /// Arguments, all of them texts that must be given.
    takes: &'static [&'static str],
    /// Capabilities that a client must have.
    needs: &'static [&'static str],
    run: fn(&Arguments, &ToolCall<'_>) -> Result<ToolAnswer, Error>,
}

impl Fixture {
    const fn new(
        name: &'static str,
        run: fn(&Arguments, &ToolCall<'_>) -> Result<ToolAnswer, Error>,
    ) -> Self {
        Self { name, takes: &[], needs: &[], run }
    }

    fn listed(&self) -> Value {
        let properties: Arguments =
            self.takes.iter().map(|name| ((*name).to_owned(), json!({"type": "string"}))).collect();
        json!({
            "name": self.name,
            "description": format!("Fixture of the conformance suite: {}.", self.name),
            "inputSchema": {
                "type": "object", "properties": properties, "required": self.takes,
            },
            "clientNeeds": self.needs,
        })
    }
}

fn fixtures() -> impl Iterator<Item = &'static Fixture> {
    [content::TOOLS, talking::TOOLS, input::TOOLS, changing::TOOLS].into_iter().flatten()
}

struct Fixtures;

impl Tools for Fixtures {
    const NAME: &'static str = "conformance";

    fn offer() -> Result<ToolOffer, Error> {
        let mut tools: Vec<Value> = fixtures().map(Fixture::listed).collect();
        tools.extend([content::schema_tool(), content::header_tool()]);
        tools.extend(changing::tool());
        let mut prompts = reading::prompts();
        prompts.extend(changing::prompt());
        Ok(ToolOffer {
            tools,
            prompts,
            resources: reading::resources(),
            resource_templates: reading::templates(),
        })
    }

    fn version() -> u64 {
        changing::version()
    }

    fn call(name: &str, arguments: &Arguments, call: &ToolCall<'_>) -> Result<ToolAnswer, Error> {
        match fixtures().find(|fixture| fixture.name == name) {
            Some(fixture) => (fixture.run)(arguments, call),
            None => Ok(ToolAnswer::text(format!("{name} was called"))),
        }
    }

    fn read(uri: &str, _: &ToolCall<'_>) -> Result<ToolAnswer, Error> {
        reading::read(uri)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no resource {uri}")))
    }

    fn prompt(name: &str, arguments: &Arguments, call: &ToolCall<'_>) -> Result<ToolAnswer, Error> {
        reading::fill(name, arguments, call)
    }
}

/// An argument that the schema demands.
fn text<'a>(arguments: &'a Arguments, name: &str) -> &'a str {
    arguments.get(name).and_then(Value::as_str).unwrap_or_default()
}
