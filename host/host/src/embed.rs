//! `host embed`: the vectors of texts, as JSON.

use crate::args::EmbedArgs;
use crate::console::answer;
use crate::{Failure, wiring};
use host_generation::{Embedder, Prompt};
use host_metrics::Metrics;
use serde_json::json;

/// Runs the command.
pub(crate) fn embed(args: &EmbedArgs) -> Result<(), Failure> {
    let registry = wiring::registry(&args.plugins)?;
    let model = wiring::load(&registry, &args.model, &wiring::load_options(&args.load))?;
    let embedder = Embedder::spawn(model, Metrics::new())?;
    let tokens = args
        .texts
        .iter()
        .map(|text| embedder.tokens(Prompt::Text { text: text.clone(), add_special: true }));
    let embeddings = embedder.embed(tokens.collect::<Result<_, _>>()?)?.blocking_wait()?;
    embedder.shutdown();
    let facts = json!({
        "model": embedder.summary().id,
        "prompt_tokens": embeddings.prompt_tokens,
        "embeddings": embeddings.vectors,
    });
    answer(&format!("{facts}\n"));
    Ok(())
}
