//! Weights as f32 tensors, dequantized at load.
//!
//! candle reads the plain dtypes itself; block dtypes go through the plugin that owns them. Nothing
//! is packed: a matrix keeps the shape `[output, input]` that the graph gives it.

use candle_core::{DType, Device, Tensor};
use plugin_api::{DtypeLookup, DtypeRef, Error, SessionOptions};
use std::borrow::Cow;

/// How the bytes of a weight are read.
enum Dtype {
    Plain(DType),
    Block(DtypeRef),
}

/// Bytes of all weights as f32, after making sure that they can be read.
pub(crate) fn bytes_of_all(options: &SessionOptions<'_>) -> Result<u64, Error> {
    let (given, expected) = (options.weights.len(), options.graph.weights.len());
    if given != expected {
        return Err(Error::failed(format!("{given} weights for a graph of {expected}")));
    }
    let bytes = (0..given).map(|index| {
        source_bytes(options, index)?;
        value_count(options, index).map(|count| count as u64 * 4)
    });
    bytes.sum()
}

/// Reads all weights.
pub(crate) fn load(options: &SessionOptions<'_>, device: &Device) -> Result<Vec<Tensor>, Error> {
    let total = bytes_of_all(options)?;
    let mut done = 0;
    options.progress.report(done, total);
    let mut weights = Vec::new();
    for (index, weight) in options.graph.weights.iter().enumerate() {
        let tensor = read(options, index, device).map_err(|error| error.context(&weight.role))?;
        done += tensor.elem_count() as u64 * 4;
        options.progress.report(done, total);
        weights.push(tensor);
    }
    Ok(weights)
}

fn read(options: &SessionOptions<'_>, index: usize, device: &Device) -> Result<Tensor, Error> {
    let shape = options.graph.weights[index].shape.as_slice();
    let data = options.weights[index];
    let mut bytes = Cow::Borrowed(data.bytes);
    if bytes.is_empty() {
        let rows = shape[..shape.len() - 1].iter().product();
        bytes = vec![0; source_bytes(options, index)?].into();
        options.rows.read(index, 0..rows, bytes.to_mut())?;
    }
    let tensor = match dtype(data.dtype, options.dtypes)? {
        Dtype::Plain(dtype) => Tensor::from_raw_buffer(&bytes, dtype, shape, device),
        Dtype::Block(dtype) => {
            let mut values = vec![0.0_f32; value_count(options, index)?];
            dtype.dequantize(&bytes, &mut values)?;
            Tensor::from_vec(values, shape, device)
        }
    };
    let tensor = tensor.and_then(|tensor| tensor.to_dtype(DType::F32));
    tensor.map_err(|error| Error::failed(error.to_string()))
}

fn dtype(name: &str, dtypes: DtypeLookup<'_>) -> Result<Dtype, Error> {
    Ok(match name {
        "f32" => Dtype::Plain(DType::F32),
        "f16" => Dtype::Plain(DType::F16),
        "bf16" => Dtype::Plain(DType::BF16),
        name => Dtype::Block(dtypes.find(name).ok_or_else(|| {
            Error::unsupported(format!("no plugin offers dtype {name}: add the one that does"))
        })?),
    })
}

fn value_count(options: &SessionOptions<'_>, index: usize) -> Result<usize, Error> {
    let weight = &options.graph.weights[index];
    let count = weight.shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    let count = count.filter(|count| count.checked_mul(4).is_some());
    count.ok_or_else(|| Error::invalid(format!("{}: shape {:?}", weight.role, weight.shape)))
}

/// Bytes of a weight in its own dtype; those that were given must be as many.
fn source_bytes(options: &SessionOptions<'_>, index: usize) -> Result<usize, Error> {
    let (weight, data) = (&options.graph.weights[index], options.weights[index]);
    let (block_len, block_bytes) = match dtype(data.dtype, options.dtypes)? {
        Dtype::Plain(dtype) => (1, dtype.size_in_bytes()),
        Dtype::Block(dtype) => (dtype.block_len(), dtype.block_bytes()),
    };
    let row = weight.shape.last().copied().unwrap_or(0);
    let blocks = value_count(options, index)?.checked_div(block_len);
    let bytes = blocks.and_then(|blocks| blocks.checked_mul(block_bytes));
    match bytes.filter(|_| row.is_multiple_of(block_len)) {
        Some(bytes) if data.bytes.is_empty() || data.bytes.len() == bytes => Ok(bytes),
        _ => Err(Error::invalid(format!(
            "{}: {} bytes of dtype {} for shape {:?}",
            weight.role,
            data.bytes.len(),
            data.dtype,
            weight.shape
        ))),
    }
}
