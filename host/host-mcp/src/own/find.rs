//! Finds the model that a call names, and waits for its load if it is there to be loaded.

use host_generation::{Embedder, GenerationError, Generator, Models, ServedModel, Wanted};

use super::HostTools;
use super::failure::Failure;

/// The model of calls that name none.
const DEFAULT: &str = "default";

/// Most loads that a call waits for before its model is there.
const LOADS_MAX: usize = 3;

impl HostTools {
    pub(crate) async fn generator(&self, id: Option<&str>) -> Result<Generator, Failure> {
        self.find(id, Models::generator).await?.map_err(Failure::from)
    }

    pub(crate) async fn embedder(&self, id: Option<&str>) -> Result<Embedder, Failure> {
        self.find(id, Models::embedder).await?.map_err(Failure::from)
    }

    pub(crate) async fn model(&self, id: Option<&str>) -> Result<ServedModel, Failure> {
        let found = |models: &Models, id: &str| models.get(id).map(Ok);
        self.find(id, found).await?.map_err(|error: GenerationError| error.into())
    }

    async fn find<T>(
        &self,
        id: Option<&str>,
        look_up: impl Fn(&Models, &str) -> Option<T>,
    ) -> Result<T, Failure> {
        let (models, id) = (&self.parts.models, id.unwrap_or(DEFAULT));
        // Held until it is found: nobody unloads a model that is held.
        let mut _held = None;
        for _ in 0..=LOADS_MAX {
            if let Some(found) = look_up(models, id) {
                return Ok(found);
            }
            match models.want(id, false) {
                Wanted::Unknown if id == DEFAULT => {
                    return Err(Failure::new("no model is loaded, and none is there to be loaded"));
                }
                Wanted::Unknown => {
                    let message = format!("there is no model {id}; the tool `models` lists them");
                    return Err(Failure::new(message));
                }
                Wanted::Failed(failure) => return Err(failure.into()),
                Wanted::Load(mut loading, job) => {
                    if let Some(job) = job {
                        job.spawn(&self.parts.admin);
                    }
                    _held = Some(loading.wait().await?);
                }
            }
        }
        Err(Failure::new(format!("the model {id} was unloaded again before it could be used")))
    }
}
