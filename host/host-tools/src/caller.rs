//! Who asks, and what they may do.
//!
//! Scopes are words in a key file or a token. There is one question about them, [`Caller::may`],
//! and it is asked by listing and by calling alike: what is hidden cannot be called.

use std::str::FromStr;
use std::sync::Arc;

use crate::{Glob, Tool};

/// One thing a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// `infer`: the models, over any surface.
    Infer,
    /// `mcp:list`: what only shows something, as the list of models.
    List,
    /// `mcp:call:GLOB`: the tools whose name fits.
    Call(Glob),
    /// `mcp:admin`: everything, loading and unloading of models too.
    Admin,
}

/// A word that is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope: infer, mcp:list, mcp:call:GLOB or mcp:admin expected")]
pub struct ScopeError(pub String);

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(word: &str) -> Result<Self, ScopeError> {
        match word {
            "infer" => Ok(Self::Infer),
            "mcp:list" => Ok(Self::List),
            "mcp:admin" => Ok(Self::Admin),
            _ => match word.strip_prefix("mcp:call:") {
                Some(glob) if !glob.is_empty() => Ok(Self::Call(Glob::new(glob))),
                _ => Err(ScopeError(word.to_owned())),
            },
        }
    }
}

/// All that a caller may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Arc<[Scope]>);

impl Scopes {
    /// Everything.
    pub fn all() -> Self {
        [Scope::Admin].into_iter().collect()
    }

    /// Whether they are enough for something that has no name of its own, as a route of HTTP.
    pub fn allow(&self, need: Need) -> bool {
        self.0.iter().any(|scope| match scope {
            Scope::Admin => true,
            Scope::Infer => matches!(need, Need::List | Need::Infer),
            Scope::List => need == Need::List,
            Scope::Call(_) => false,
        })
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// What is needed to see and call a tool, beside `mcp:call` with its name or `mcp:admin`, which
/// are always enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Need {
    /// Any scope: it only shows something about the host.
    List,
    /// `infer`: it runs a model.
    Infer,
    /// Nothing else is enough.
    #[default]
    Call,
    /// `mcp:admin` and nothing less: it changes the host.
    Admin,
}

/// Where a caller comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// A client of MCP.
    Mcp,
    /// A model, for the client of a chat.
    Agent,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The name in logs and limits; never a secret.
    pub subject: Arc<str>,
    /// What they may do.
    pub scopes: Scopes,
    /// Where they come in.
    pub surface: Surface,
}

impl Caller {
    /// Somebody at the MCP surface who may do everything, as the person at the console.
    pub fn everything(subject: &str) -> Self {
        Self { subject: subject.into(), scopes: Scopes::all(), surface: Surface::Mcp }
    }

    /// Whether they may see and call a tool: the one policy of the host.
    pub fn may(&self, tool: &Tool) -> bool {
        let shown = tool.hidden_from != Some(self.surface);
        let is_named = |scope: &Scope| match scope {
            Scope::Call(names) => tool.need != Need::Admin && names.matches(&tool.name),
            Scope::Infer | Scope::List | Scope::Admin => false,
        };
        shown && (self.scopes.allow(tool.need) || self.scopes.0.iter().any(is_named))
    }

    /// Whether they may see and read prompts and resources: any scope of MCP is enough.
    pub fn may_read(&self) -> bool {
        self.scopes.0.iter().any(|scope| *scope != Scope::Infer)
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, Need, Scope, Scopes, Surface};
    use crate::{Map, Owner, Tool};

    fn caller(scopes: &[&str]) -> Caller {
        let scopes: Scopes = scopes.iter().map(|word| word.parse().unwrap()).collect();
        Caller { subject: "somebody".into(), scopes, surface: Surface::Mcp }
    }

    fn tool(name: &str, need: Need) -> Tool {
        Tool { need, ..Tool::new(name, "", Map::new(), Owner::Host) }
    }

    #[test]
    fn a_scope_allows_what_it_names_and_nothing_else() {
        let (models, chat) = (tool("models", Need::List), tool("chat", Need::Infer));
        let (read, load) = (tool("fs__read", Need::Call), tool("model_load", Need::Admin));
        let check = |scopes: &[&str], expected: [bool; 4]| {
            let caller = caller(scopes);
            let found = [&models, &chat, &read, &load].map(|tool| caller.may(tool));
            assert_eq!(found, expected, "{scopes:?}");
        };
        check(&[], [false; 4]);
        check(&["mcp:list"], [true, false, false, false]);
        check(&["infer"], [true, true, false, false]);
        check(&["mcp:call:fs__*"], [false, false, true, false]);
        check(&["mcp:call:*"], [true, true, true, false]);
        check(&["infer", "mcp:call:fs__*"], [true, true, true, false]);
        check(&["mcp:admin"], [true; 4]);
    }

    #[test]
    fn a_tool_is_hidden_from_a_surface_whatever_the_scopes() {
        let mut hidden = tool("fs__read", Need::Call);
        hidden.hidden_from = Some(Surface::Mcp);
        let mut caller = caller(&["mcp:admin"]);
        assert!(!caller.may(&hidden));
        caller.surface = Surface::Agent;
        assert!(caller.may(&hidden));
    }

    #[test]
    fn a_word_that_is_no_scope_is_named() {
        for word in ["", "admin", "mcp:call:", "mcp:call", "INFER"] {
            let error = word.parse::<Scope>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{word}`")), "{error}");
        }
    }
}
