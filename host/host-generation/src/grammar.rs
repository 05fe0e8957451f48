//! Grammars that completions keep: JSON schemas, regular expressions, choices and Lark, by llguidance.
//!
//! A grammar is compiled where time may pass, by a request's own thread, with bounds on its size and
//! on the work it may cause; the engine thread only asks which tokens may come next. What the
//! vocabulary has to be prepared for is prepared with the first grammar and kept, and so are the
//! last grammars, which clients send again with each request. It must not know HTTP.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use host_engine::TokenId;
use host_metrics::LockMetrics;
use host_model::Tokenizer;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, TokRxInfo, TokTrie};
use llguidance::{JsonCompileOptions, Matcher, ParserFactory};
use serde_json::Value;

use crate::error::GenerationError;
use crate::limits::{GRAMMAR_BYTES_MAX, GRAMMAR_ERROR_CHARS_MAX, GRAMMARS_KEPT_MAX};
use crate::recent::Recent;
use crate::request::invalid;
use crate::schema::close_objects;

/// Between two parts of JSON: nothing, a space, or a line break with its indentation. Without a
/// bound a model that has lost its thread would go on with spaces for ever.
const JSON_SPACE: &str = r" |\n {0,16}";

/// What a completion must match from its first to its last character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grammar {
    /// The field that brought it, for errors.
    pub param: &'static str,
    /// The rule.
    pub rule: Rule,
}

/// The kinds of grammars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A document that a JSON schema allows.
    JsonSchema(Value),
    /// A regular expression, in the syntax of Rust's `regex`.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A grammar in llguidance's dialect of Lark.
    Lark(String),
}

impl Rule {
    /// Any JSON object.
    #[must_use]
    pub fn json_object() -> Self {
        Self::JsonSchema(any_object())
    }

    /// A schema with the host's own options in it, any object if there is none.
    pub(crate) fn schema(schema: Option<&Value>) -> Value {
        let mut schema = match schema {
            Some(schema @ Value::Object(_)) => schema.clone(),
            _ => any_object(),
        };
        close_objects(&mut schema);
        let options = JsonCompileOptions {
            whitespace_pattern: Some(JSON_SPACE.to_owned()),
            ..JsonCompileOptions::default()
        };
        // The same key from a client is replaced.
        options.apply_to(&mut schema);
        schema
    }

    /// The rule as one text, which is what it is kept under.
    fn text(&self) -> String {
        match self {
            Self::JsonSchema(schema) => format!("json {schema}"),
            Self::Regex(regex) => format!("regex {regex}"),
            Self::Choice(texts) => format!("choice {texts:?}"),
            Self::Lark(grammar) => format!("lark {grammar}"),
        }
    }

    fn top_level(&self) -> Result<TopLevelGrammar, String> {
        match self {
            Self::JsonSchema(schema @ Value::Object(_)) => {
                Ok(TopLevelGrammar::from_json_schema(Self::schema(Some(schema))))
            }
            Self::JsonSchema(_) => Err("the schema is no object, expected one".to_owned()),
            Self::Regex(regex) => Ok(TopLevelGrammar::from_regex(regex)),
            Self::Choice(texts) if texts.is_empty() => Err("there is nothing to choose".to_owned()),
            Self::Choice(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| escape(text)).collect();
                Ok(TopLevelGrammar::from_regex(&texts.join("|")))
            }
            Self::Lark(grammar) => Ok(TopLevelGrammar::from_lark(grammar.clone())),
        }
    }
}

/// The schema of any JSON object.
fn any_object() -> Value {
    serde_json::json!({ "type": "object" })
}

/// A regular expression that matches a text and nothing else.
pub(crate) fn escape(text: &str) -> String {
    let special = |c: char| r"\.+*?()|[]{}^$#&-~/".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Compiles the grammars of one model.
pub(crate) struct GrammarCompiler {
    tokenizer: Tokenizer,
    eos: Vec<TokenId>,
    factory: OnceLock<Result<ParserFactory, String>>,
    /// Each at its beginning.
    recent: Recent<String, Matcher>,
}

impl fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarCompiler").field("eos", &self.eos).finish_non_exhaustive()
    }
}

impl GrammarCompiler {
    pub(crate) fn new(tokenizer: &Tokenizer, eos: &[TokenId], lock: LockMetrics) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            eos: eos.to_vec(),
            factory: OnceLock::new(),
            recent: Recent::new(GRAMMARS_KEPT_MAX, lock),
        }
    }

    /// A grammar at its beginning.
    pub(crate) fn compile(&self, grammar: &Grammar) -> Result<Matcher, GenerationError> {
        let text = grammar.rule.text();
        let build = || {
            self.build(&text, &grammar.rule).map_err(|reason| {
                invalid(grammar.param, format!("{} cannot be followed: {reason}", grammar.param))
            })
        };
        self.recent.find_or_make(|other| *other == text, || text.clone(), build)
    }

    fn build(&self, text: &str, rule: &Rule) -> Result<Matcher, String> {
        if text.len() > GRAMMAR_BYTES_MAX {
            return Err(format!(
                "it has {} bytes, expected at most {GRAMMAR_BYTES_MAX}",
                text.len()
            ));
        }
        let grammar = rule.top_level()?;
        guarded(|| {
            let factory = self.factory.get_or_init(|| factory(&self.tokenizer, &self.eos));
            let factory = factory.as_ref().map_err(String::clone)?;
            let parser = factory.create_parser(grammar).map_err(in_one_line)?;
            let mut matcher = Matcher::new(Ok(parser));
            // What allows nothing at all is better refused now.
            let first = matcher.compute_mask_or_eos().map_err(in_one_line)?;
            if first.is_zero() {
                return Err("no token of this model can begin it".to_owned());
            }
            Ok(matcher)
        })
    }
}

/// Prepares the vocabulary: every token as the bytes that it stands for.
fn factory(tokenizer: &Tokenizer, eos: &[TokenId]) -> Result<ParserFactory, String> {
    let bytes = |token: TokenId| {
        let bytes = tokenizer.token_bytes(token);
        // Control tokens are out of reach for texts: no text has this byte.
        let control = tokenizer.is_special(token) || eos.contains(&token);
        let marker = control.then_some(TokTrie::SPECIAL_TOKEN_MARKER);
        marker.into_iter().chain(bytes).collect()
    };
    let count = u32::try_from(tokenizer.vocab_size()).map_err(|error| error.to_string())?;
    let words: Vec<Vec<u8>> = (0..count).map(bytes).collect();
    let first_eos = eos.first().copied().unwrap_or(count);
    let trie = TokTrie::from(&TokRxInfo::new(count, first_eos), &words);
    let trie = if eos.is_empty() { trie } else { trie.with_eos_tokens(eos) };
    let env = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&(env as _)).map_err(in_one_line)?;
    factory.quiet();
    factory.limits_mut().verbose_errors = false;
    Ok(factory)
}

/// The library's words in one line, without its marks, cut where they get long.
pub(crate) fn in_one_line(error: impl fmt::Display) -> String {
    let error = format!("{error:#}");
    let words: Vec<&str> =
        error.split_whitespace().filter(|word| *word != "<non-verbose/>").collect();
    words.join(" ").chars().take(GRAMMAR_ERROR_CHARS_MAX).collect()
}

/// Runs the library on a client's words; a panic becomes an error.
fn guarded<T>(body: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err("the grammar library panicked on it".to_owned()))
}
