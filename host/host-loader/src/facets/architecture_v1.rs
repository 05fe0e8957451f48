//! `architecture/1` as the host asks for it.

use super::{ArchitectureFacet, call};
use plugin_abi::{ArchitectureV1, Text};
use plugin_api::Error;

impl ArchitectureFacet for ArchitectureV1 {
    fn build(&self, description: &str) -> Result<Vec<u8>, Error> {
        call(|graph, error| (self.build)(Text::new(description), graph, error))
    }
}
