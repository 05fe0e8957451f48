//! The policy against llama.cpp's choices, and files of rules.

mod llama_cpp;
mod rules;

use plugin_api::{QuantizeRequest, QuantizeTensor, Quantizer as _, Recipe};
use plugin_isq::Isq;

/// A matrix of the model.
fn matrix(role: &str, shape: [usize; 2]) -> QuantizeTensor {
    QuantizeTensor {
        role: role.to_owned(),
        name: role.to_owned(),
        dtype: "bf16".to_owned(),
        shape: shape.to_vec(),
        matrix: true,
        embedding: false,
    }
}

/// The dtypes of a plan.
fn plan(recipe: Recipe, tensors: Vec<QuantizeTensor>) -> Result<Vec<Option<String>>, String> {
    let request = QuantizeRequest::new(recipe, "tiny".to_owned(), tensors);
    Isq::plan(&request).map(|plan| plan.dtypes).map_err(|error| error.to_string())
}
