//! The three tools that work on code: what they take and give, and how a model is asked.
//!
//! Each is a template, a schema of its answer, and a model that fills it: one of this host, whose
//! tokens cannot leave the schema, or one elsewhere that speaks OpenAI's API. The answers are the
//! most likely ones and the same each time.

mod endpoint;
mod http;
mod run;
mod schemas;
mod templates;

use host_tools::{Map, Owner, Prompt, PromptArgument, ToolError};
use serde_json::{Value, json};

pub use endpoint::{Endpoint, EndpointError, Endpoints};

use crate::own::Arguments;

/// One of the tools that work on code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeTool {
    FormalizeTask,
    GenerateCode,
    ReviewCode,
}

impl CodeTool {
    pub(crate) const ALL: [Self; 3] = [Self::FormalizeTask, Self::GenerateCode, Self::ReviewCode];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FormalizeTask => "formalize_task",
            Self::GenerateCode => "generate_code",
            Self::ReviewCode => "review_code",
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::FormalizeTask => "Turns an informal request into a precise task with steps.",
            Self::GenerateCode => "Writes code for a description.",
            Self::ReviewCode => "Reviews code: a score, issues, and a better version.",
        }
    }

    /// Schemas of its arguments and of its result.
    pub(crate) fn schemas(self) -> [Value; 2] {
        match self {
            Self::FormalizeTask => schemas::formalize_task(),
            Self::GenerateCode => schemas::generate_code(),
            Self::ReviewCode => schemas::review_code(),
        }
    }

    /// The template as a prompt, for clients that have a model of their own.
    pub(crate) fn prompt(self) -> Prompt {
        let [input, _] = self.schemas();
        let required = input["required"].as_array().cloned().unwrap_or_default();
        let properties = input["properties"].as_object().cloned().unwrap_or_default();
        let arguments = properties.iter().filter(|(name, _)| *name != "model");
        let argument = |(name, schema): (&String, &Value)| PromptArgument {
            name: name.clone(),
            description: schema["description"].as_str().map(str::to_owned),
            required: required.iter().any(|required| required == name),
        };
        Prompt {
            name: self.name().to_owned(),
            title: None,
            description: self.description().to_owned(),
            arguments: arguments.map(argument).collect(),
            owner: Owner::Host,
            original_name: self.name().to_owned(),
            meta: Map::new(),
        }
    }

    /// The template filled with arguments, as a result of `prompts/get`.
    pub(crate) fn fill(self, arguments: &Map) -> Result<Value, ToolError> {
        let prompt = self.prompt();
        let is_missing = |argument: &&PromptArgument| {
            argument.required && Arguments(arguments).text(&argument.name).is_empty()
        };
        if let Some(missing) = prompt.arguments.iter().find(is_missing) {
            return Err(ToolError::InvalidArguments(format!("{} is missing", missing.name)));
        }
        let [system, user] = templates::fill(self, Arguments(arguments));
        let text = format!("{system}\n\n{user}");
        let message = json!({"role": "user", "content": {"type": "text", "text": text}});
        Ok(json!({"description": prompt.description, "messages": [message]}))
    }
}

#[cfg(test)]
mod tests {
    use host_tools::Map;
    use serde_json::{Value, json};

    use super::CodeTool;

    fn map(value: Value) -> Map {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn a_prompt_says_what_it_needs_and_is_filled_with_it() {
        let prompt = CodeTool::ReviewCode.prompt();
        let arguments: Vec<_> =
            prompt.arguments.iter().map(|it| (&*it.name, it.required)).collect();
        assert_eq!(arguments, [("code", true), ("style_guide", false), ("focus_areas", false)]);
        let missing = CodeTool::ReviewCode.fill(&Map::new()).expect_err("no code");
        assert!(missing.to_string().contains("code is missing"), "{missing}");
        let filled = CodeTool::ReviewCode.fill(&map(json!({"code": "x = 1"}))).expect("filled");
        let text = filled["messages"][0]["content"]["text"].as_str().expect("a text");
        assert!(text.contains("x = 1") && text.contains("pep8") && text.contains("JSON"), "{text}");
    }

    #[test]
    fn names_lead_back_to_their_tools() {
        for tool in CodeTool::ALL {
            assert_eq!(CodeTool::named(tool.name()), Some(tool));
        }
        assert_eq!(CodeTool::named("chat"), None);
    }
}
