//! In-situ quantization: a recipe becomes a dtype for each weight, and values become blocks while
//! they are loaded.
//!
//! The policy is a quantizer plugin's and the arithmetic that of the dtypes; here they are brought
//! together and checked. Because the host knows the graph, it works for every architecture.

use crate::LoadError;
use crate::importance::Importance;
use crate::prepare::plugin;
use crate::weights::{Place, Weights};
use graph::{Graph, Op};
use host_loader::{OpenCheckpoint, Registry};
use plugin_api::{DtypeRef, Error, QuantizeRequest, QuantizeTensor, Recipe};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Longest file of rules.
const RULES_BYTES_MAX: u64 = 1 << 20;
/// Values that are converted at a time: they stay in the nearest caches.
const CONVERT_VALUES: usize = 1 << 14;
/// What the claims of quantizers call a file of rules.
const RULES: &str = "rules";

/// How the values of one weight become blocks.
#[derive(Debug, Clone)]
pub(crate) struct Quantization {
    from: DtypeRef,
    to: DtypeRef,
    /// A weight for the error of each column.
    importance: Option<Arc<[f32]>>,
}

/// Gives the weights the dtypes that `recipe` asks for: a name, or the path of a file of rules.
pub(crate) fn quantize(
    registry: &Registry,
    (path, checkpoint): (&Path, &OpenCheckpoint),
    (graph, weights): (&Graph, &mut Weights),
    recipe: &str,
    importance: Option<&Importance>,
) -> Result<(), LoadError> {
    let (claim, recipe) = read_recipe(path, recipe)?;
    let Some(quantizer) = registry.quantizer(&claim) else {
        return Err(LoadError::UnknownRecipe {
            recipe: claim,
            known: crate::prepare::list(&registry.recipes().collect::<Vec<_>>()),
        });
    };
    let tensors = describe(checkpoint, graph, weights);
    let mut request = QuantizeRequest::new(recipe, graph.architecture.clone(), tensors);
    request.importance = importance.is_some();
    let plan = quantizer.plan(&request).map_err(|source| plugin(path, source))?;
    for (index, dtype) in plan.dtypes.into_iter().enumerate() {
        let Some(dtype) = dtype else { continue };
        let (place, tensor) = (&weights.places()[index], &request.tensors[index]);
        if dtype == place.dtype {
            continue;
        }
        let importance = importance.and_then(|known| known.of(&graph.weights[index]));
        let made = Quantization::new(registry, place, &dtype, importance);
        let how = made.map_err(|why| {
            LoadError::invalid(path, format!("tensor {} to {dtype}: {why}", tensor.name))
        })?;
        weights.quantize(index, dtype, how);
    }
    Ok(())
}

/// Gives every weight that is no matrix the dtype f32, as files keep norms and biases.
pub(crate) fn widen_vectors(
    registry: &Registry,
    path: &Path,
    graph: &Graph,
    weights: &mut Weights,
) -> Result<(), LoadError> {
    for (index, weight) in graph.weights.iter().enumerate() {
        let place = &weights.places()[index];
        if weight.shape.len() > 1 || place.dtype == "f32" {
            continue;
        }
        let how = Quantization::new(registry, place, "f32", None);
        let how = how.map_err(|why| LoadError::invalid(path, format!("{}: {why}", weight.role)))?;
        weights.quantize(index, "f32".to_owned(), how);
    }
    Ok(())
}

/// The claim of a recipe and the recipe itself.
fn read_recipe(path: &Path, recipe: &str) -> Result<(String, Recipe), LoadError> {
    let file = Path::new(recipe);
    let Ok(metadata) = std::fs::metadata(file) else {
        return Ok((recipe.to_owned(), Recipe::Name(recipe.to_owned())));
    };
    let invalid = |why: String| LoadError::invalid(path, format!("rules {recipe}: {why}"));
    if !metadata.is_file() || metadata.len() > RULES_BYTES_MAX {
        return Err(invalid(format!("a file of at most {RULES_BYTES_MAX} bytes expected")));
    }
    let text = std::fs::read_to_string(file).map_err(|e| invalid(e.to_string()))?;
    Ok((RULES.to_owned(), Recipe::Rules(text)))
}

/// The weights as a quantizer sees them.
fn describe(checkpoint: &OpenCheckpoint, graph: &Graph, weights: &Weights) -> Vec<QuantizeTensor> {
    let mut matrix = vec![false; graph.weights.len()];
    let mut embedding = matrix.clone();
    for node in &graph.nodes {
        node.op.matrices().into_iter().for_each(|weight| matrix[weight] = true);
        if let Op::Embed { weight } = node.op {
            embedding[weight] = true;
        }
    }
    let describe = |(index, place): (usize, &Place)| QuantizeTensor {
        role: graph.weights[index].role.clone(),
        name: checkpoint.info().tensors[place.tensor].name.clone(),
        dtype: place.dtype.clone(),
        shape: graph.weights[index].shape.clone(),
        matrix: matrix[index],
        embedding: embedding[index],
    };
    weights.places().iter().enumerate().map(describe).collect()
}

impl Quantization {
    fn new(
        registry: &Registry,
        place: &Place,
        dtype: &str,
        importance: Option<Arc<[f32]>>,
    ) -> Result<Self, String> {
        let find = |name: &str| {
            let found = registry.dtype(name).map(|provider| provider.dtype());
            found.ok_or_else(|| {
                format!("no loaded plugin provides dtype {name}; add one that lists it")
            })
        };
        let (from, to) = (find(&place.dtype)?, find(dtype)?);
        if !to.quantizes() {
            return Err("the plugin that provides this dtype can only read it".to_owned());
        }
        for block in [from.block_len(), to.block_len()] {
            if !place.columns.is_multiple_of(block) {
                let columns = place.columns;
                return Err(format!("rows of {columns} values are no whole blocks of {block}"));
            }
        }
        if importance.as_ref().is_some_and(|columns| columns.len() != place.columns) {
            return Err(format!("the importance matrix has not its {} columns", place.columns));
        }
        Ok(Self { from, to, importance })
    }

    /// Writes `row_count` rows of `columns` values to `dst`, in the new dtype; `read` gives the
    /// bytes of rows in the old one.
    pub(crate) fn convert(
        &self,
        columns: usize,
        row_count: usize,
        dst: &mut [u8],
        read: impl Fn(Range<usize>, &mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let to_bytes = row_bytes(self.to, columns);
        if dst.len() != row_count * to_bytes {
            let (found, expected) = (dst.len(), row_count * to_bytes);
            return Err(Error::failed(format!("a buffer of {found} bytes, {expected} expected")));
        }
        let step = (CONVERT_VALUES / columns).clamp(1, row_count.max(1));
        let mut source = vec![0; step * row_bytes(self.from, columns)];
        let mut values = vec![0.0; step * columns];
        let importance = self.importance.as_ref().map(|importance| importance.repeat(step));
        for (index, dst) in dst.chunks_mut(step * to_bytes).enumerate() {
            let rows = index * step..row_count.min((index + 1) * step);
            let source = &mut source[..rows.len() * row_bytes(self.from, columns)];
            let values = &mut values[..rows.len() * columns];
            read(rows, source)?;
            self.from.dequantize(source, values)?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(Error::invalid(
                    "a value is no finite number: it cannot be quantized, keep its dtype by a rule",
                ));
            }
            let importance = importance.as_ref().map(|importance| &importance[..values.len()]);
            self.to.quantize(values, importance, dst)?;
        }
        Ok(())
    }
}

/// Bytes of a row; `columns` is a whole number of blocks.
fn row_bytes(dtype: DtypeRef, columns: usize) -> usize {
    columns / dtype.block_len() * dtype.block_bytes()
}
