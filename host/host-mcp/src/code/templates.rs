//! How a model is asked: who it is and what it must answer, then the work.

use super::CodeTool;
use crate::own::Arguments;

/// The messages of system and user.
pub(super) fn fill(tool: CodeTool, arguments: Arguments<'_>) -> [String; 2] {
    let or = |name, default| match arguments.text(name) {
        "" => default,
        given => given,
    };
    let [role, work] = match tool {
        CodeTool::FormalizeTask => {
            let context = or("context", "none");
            let request = arguments.text("informal_request");
            [
                "You turn informal requests into precise software tasks. Say what must hold, and \
                 the steps to get there, in order."
                    .to_owned(),
                format!("Context: {context}\n\nRequest:\n{request}"),
            ]
        }
        CodeTool::GenerateCode => {
            let (language, style) = (or("language", "python"), or("style", "pep8"));
            let description = arguments.text("description");
            [
                format!(
                    "You write complete, working code in {language} and follow {style}. You name \
                     the packages it needs."
                ),
                format!("Write code for this:\n{description}"),
            ]
        }
        CodeTool::ReviewCode => {
            let guide = or("style_guide", "pep8");
            // A client fills a prompt with text only, so the list may come as one.
            let areas = arguments.texts("focus_areas").join(", ");
            let focus = if areas.is_empty() { String::new() } else { format!(" Look at {areas}.") };
            let code = arguments.text("code");
            [
                format!(
                    "You review code against {guide}, strictly and kindly: faults with their line, \
                     what is good, a score from 0 to 100, and the code as it should be.{focus}"
                ),
                format!("Review this code:\n{code}"),
            ]
        }
    };
    let [_, schema] = tool.schemas();
    let names = schema["properties"].as_object().into_iter().flatten();
    let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    let answer = format!("Answer with one JSON object of the fields {}.", names.join(", "));
    [format!("{role} {answer}"), work]
}
