//! Unloads models that nobody has used for a while; they come back when they are asked for.

use host_generation::Models;
use std::time::Duration;

/// Longest time between two looks.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Watches the models for as long as it is polled.
pub(crate) async fn unload_idle(models: Models, after: Duration) {
    let pause = (after / 4).clamp(Duration::from_millis(100), PAUSE_MAX);
    loop {
        tokio::time::sleep(pause).await;
        let models = models.clone();
        // Letting go of a large tokenizer takes a while.
        let unloaded = tokio::task::spawn_blocking(move || models.evict_idle(after)).await;
        for id in unloaded.unwrap_or_default() {
            tracing::info!(model = id, "unloaded, since nobody used it");
        }
    }
}
