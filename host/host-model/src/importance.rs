//! How much each input of a matrix matters: an importance matrix, by weight.

use graph::Weight;
use std::collections::HashMap;
use std::sync::Arc;

/// Mean squares of the inputs of matrices.
#[derive(Debug, Default)]
pub(crate) struct Importance {
    /// By role of the weight: one value for each column.
    columns: HashMap<String, Arc<[f32]>>,
}

impl Importance {
    /// The columns of a weight, if they are known.
    pub(crate) fn of(&self, weight: &Weight) -> Option<Arc<[f32]>> {
        self.columns.get(&weight.role).cloned()
    }
}
