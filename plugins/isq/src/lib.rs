//! In-situ quantization: which dtype each tensor of a model becomes while it is loaded.
//!
//! A recipe is one dtype for all matrices, a mix of llama.cpp's that gives some more bits, or a file
//! of rules. Here is only the policy: names and shapes in, dtypes out.
//!
//! | file | holds |
//! |---|---|
//! | `recipe` | recipes by name, and the plan of a request |
//! | `model` | what a request says about the model: layers, experts, kinds of tensor |
//! | `mix` | llama.cpp's mixes |
//! | `dtypes` | geometry, and what takes the place of a dtype whose blocks do not fit |
//! | `rules` | files of rules |

mod dtypes;
mod mix;
mod model;
mod recipe;
mod rules;

use plugin_api::{Error, QuantizePlan, QuantizeRequest, Quantizer};

/// The quantizer `isq`.
#[derive(Debug)]
pub struct Isq;

impl Quantizer for Isq {
    const NAME: &'static str = "isq";
    const CLAIMS: &'static [&'static str] = recipe::CLAIMS;

    fn plan(request: &QuantizeRequest) -> Result<QuantizePlan, Error> {
        recipe::plan(request)
    }
}

plugin_api::register!(quantizer: Isq);
plugin_api::register!(quantization "isq": [
    kernel_dtypes::Afq4,
    kernel_dtypes::Afq8,
    kernel_dtypes::Hqq4,
    kernel_dtypes::Hqq8,
]);
plugin_api::export_plugin!();
