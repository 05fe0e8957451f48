//! `${NAME}` in the texts of a configuration.
//!
//! A secret stands in the environment and not in the file. A variable that is not set is an error
//! and never an empty text: a server that is started without its key fails later and less clearly.

use std::fmt;

/// Looks up a variable by its name.
pub struct Environment<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

impl Environment<'_> {
    /// A text with its variables replaced: `${NAME}`, `${NAME:-default}`, and the spellings of
    /// editors `${env:NAME}` and `${input:ID}`. An input is the variable of its upper-case name,
    /// because a server has nobody to ask.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').ok_or_else(|| "`${` without `}`".to_owned())?;
            expanded.push_str(before);
            expanded.push_str(&self.value(name)?);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn value(&self, name: &str) -> Result<String, String> {
        if let Some(id) = name.strip_prefix("input:") {
            let variable = id.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            return (self.0)(&variable).ok_or_else(|| {
                format!("`${{{name}}}`: set the environment variable {variable} to its value")
            });
        }
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        let variable = name.strip_prefix("env:").unwrap_or(name);
        (self.0)(variable)
            .or_else(|| default.map(str::to_owned))
            .ok_or_else(|| format!("the environment variable {variable} is not set"))
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;

    #[test]
    fn variables_are_replaced_and_what_is_missing_is_named() {
        let lookup = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "API_KEY" => Some("k".to_owned()),
            _ => None,
        };
        let environment = Environment(&lookup);
        let check = |text: &str, expected: &str| {
            assert_eq!(environment.expand(text).as_deref(), Ok(expected), "{text}");
        };
        check("no variable, $HOME and {braces}", "no variable, $HOME and {braces}");
        check("${HOME}/a:${HOME}/b", "/home/me/a:/home/me/b");
        check("${env:HOME}", "/home/me");
        check("${input:api-key}", "k");
        check("${PORT:-80}${HOME:-x}", "80/home/me");
        check("${PORT:-}", "");
        let refused = |text: &str, part: &str| {
            let error = environment.expand(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused("a${PORT}", "PORT is not set");
        refused("${input:gh token}", "GH_TOKEN");
        refused("${HOME", "without `}`");
    }
}
