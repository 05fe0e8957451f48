//! `embed`.

use host_generation::Prompt;
use host_tools::Map;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::arguments::Arguments;
use super::failure::Failure;
use super::{Called, HostTools};

impl HostTools {
    /// The vectors of texts.
    pub(super) async fn embed(&self, arguments: &Map) -> Called {
        let arguments = Arguments(arguments);
        let texts = arguments.texts("input");
        let embedder = self.embedder(arguments.optional_text("model")).await?;
        let model = embedder.summary().id.clone();
        let submit = move || {
            let tokens = |text| embedder.tokens(Prompt::Text { text, add_special: true });
            let tokens = texts.into_iter().map(tokens).collect::<Result<Vec<_>, _>>()?;
            embedder.embed(tokens)
        };
        let pending = spawn_blocking(submit).await.map_err(|_| Failure::new("a bug of the host"));
        let embeddings = pending??.wait().await?;
        let usage = json!({"prompt_tokens": embeddings.prompt_tokens});
        Ok(json!({"model": model, "embeddings": embeddings.vectors, "usage": usage}))
    }
}
