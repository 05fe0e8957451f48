//! `model_load` and `model_unload`, for callers who may change the host.

use std::path::Path;

use host_generation::{Kept, Wanted};
use host_model::CatalogEntry;
use host_tools::{Context, Map};
use serde_json::json;

use super::arguments::Arguments;
use super::failure::Failure;
use super::lists::model_object;
use super::{Called, HostTools};

impl HostTools {
    /// Loads a model of the list by its id, or any from a path on the host's machine. It goes on
    /// when the caller leaves.
    pub(super) async fn load(&self, arguments: &Map, context: &Context) -> Called {
        let arguments = Arguments(arguments);
        let models = &self.parts.models;
        let (path, id) = (arguments.optional_text("path"), arguments.optional_text("id"));
        let (id, wanted) = match (path, id) {
            (None, None) => return Err(Failure::arguments("id or path is missing")),
            (None, Some(id)) => (id.to_owned(), models.want(id, true)),
            (Some(path), id) => {
                let checkpoint = CatalogEntry::at(Path::new(path), id);
                (checkpoint.id.clone(), models.want_checkpoint(checkpoint))
            }
        };
        let mut loading = match wanted {
            Wanted::Unknown => return Err(Failure::new(format!("there is no model {id}"))),
            Wanted::Failed(failure) => return Err(failure.into()),
            Wanted::Load(loading, job) => {
                if let Some(job) = job {
                    job.spawn(&self.parts.admin);
                }
                loading
            }
        };
        while let Some(progress) = loading.next().await {
            let total = Some(progress.total_bytes as f64).filter(|total| *total > 0.0);
            let stage = Some(progress.stage.name());
            context.notifier.progress(progress.done_bytes as f64, total, stage);
        }
        // Held until it has been shown.
        let _model = loading.wait().await?;
        let entry = models.entry(&id);
        let entry = entry.ok_or_else(|| Failure::new("the model was unloaded again at once"))?;
        Ok(json!({"model": model_object(&entry)}))
    }

    /// Takes a model out of service; what it is answering is finished.
    pub(super) fn unload(&self, arguments: &Map) -> Called {
        let id = Arguments(arguments).text("id");
        match self.parts.models.remove(id) {
            Ok(unloaded) => Ok(json!({"id": id, "unloaded": unloaded})),
            Err(Kept::Unknown) => Err(Failure::new(format!("there is no model {id}"))),
            Err(Kept::Loading) => {
                Err(Failure::new(format!("the model {id} is being loaded; unload it then")))
            }
        }
    }
}
