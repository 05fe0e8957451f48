//! The routines of one dtype, whoever provides them.
//!
//! Plain dtypes are linked in, block dtypes come from quantization plugins over the wire; the rest
//! of the crate sees one type. Geometry that a plugin states is checked here once, so that sizes
//! derived from it can be trusted. Nothing here holds weights.

use kernels::{MatmulTile, ROW_GROUP};
use plugin_api::plugin_abi::MatmulTileV1;
use plugin_api::{DtypeLookup, DtypeRef, Error};

/// Largest block or row group that is believed.
const GEOMETRY_MAX: usize = 1 << 16;

/// A dtype's routines.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kernel {
    /// Linked into this plugin.
    Native(&'static kernels::Dtype),
    /// In another plugin.
    Plugin(DtypeRef),
    /// Stored in a dtype of another plugin, multiplied as f32: exact where speed does not matter.
    Dequantized(DtypeRef),
}

impl Kernel {
    /// The routines of dtype `name`, for the weight in role `role`.
    pub(crate) fn find(name: &str, role: &str, dtypes: DtypeLookup<'_>) -> Result<Self, Error> {
        if let Some(&dtype) = kernels::plain().iter().find(|dtype| dtype.name == name) {
            return Ok(Self::Native(dtype));
        }
        let dtype = dtypes.find(name).ok_or_else(|| {
            Error::unsupported(format!(
                "weight {role} has dtype {name}, which no loaded plugin provides: \
                 add a quantization plugin that lists {name} to the plugin folder"
            ))
        })?;
        let sizes = [dtype.block_len(), dtype.block_bytes(), dtype.row_group()];
        if sizes.iter().any(|size| !(1..=GEOMETRY_MAX).contains(size)) {
            return Err(Error::unsupported(format!(
                "dtype {name} has a block of {} values and {} bytes and groups of {} rows, \
                 sizes from 1 to {GEOMETRY_MAX} expected: update the plugin that provides it",
                sizes[0], sizes[1], sizes[2]
            )));
        }
        Ok(Self::Plugin(dtype))
    }

    /// The same weights multiplied without rounding the inputs, where the dtype would round them.
    pub(crate) fn exact(self) -> Self {
        match self {
            Self::Plugin(dtype) if dtype.rounds_inputs() => Self::Dequantized(dtype),
            other => other,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Native(dtype) => dtype.name,
            Self::Plugin(dtype) | Self::Dequantized(dtype) => dtype.name(),
        }
    }

    /// The dtype, and what it is multiplied as if that is another one.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Native(_) | Self::Plugin(_) => self.name().to_owned(),
            Self::Dequantized(_) => format!("{} as {}", self.name(), kernels::F32.name),
        }
    }

    /// Whether products are of 8-bit integers, not of f32.
    pub(crate) fn multiplies_int8(&self) -> bool {
        self.input_format() != kernels::F32.input_format
    }

    pub(crate) fn input_format(&self) -> &'static str {
        match self {
            Self::Native(dtype) => dtype.input_format,
            Self::Plugin(dtype) => dtype.input_format(),
            Self::Dequantized(_) => kernels::F32.input_format,
        }
    }

    pub(crate) fn block_len(&self) -> usize {
        match self {
            Self::Native(dtype) => dtype.block_len,
            Self::Plugin(dtype) | Self::Dequantized(dtype) => dtype.block_len(),
        }
    }

    /// Rows that `pack` interleaves; a tile begins at a multiple of it.
    pub(crate) fn row_group(&self) -> usize {
        match self {
            Self::Native(_) | Self::Dequantized(_) => ROW_GROUP,
            Self::Plugin(dtype) => dtype.row_group(),
        }
    }

    /// Bytes of `k` values as the checkpoint stores them; `k` is a whole number of blocks.
    pub(crate) fn row_bytes(&self, k: usize) -> usize {
        let block_bytes = match self {
            Self::Native(dtype) => dtype.block_bytes,
            Self::Plugin(dtype) | Self::Dequantized(dtype) => dtype.block_bytes(),
        };
        k / self.block_len() * block_bytes
    }

    pub(crate) fn input_bytes(&self, k: usize) -> usize {
        match self {
            Self::Native(dtype) => dtype.input_bytes(k),
            Self::Plugin(dtype) => dtype.input_bytes(k),
            Self::Dequantized(_) => kernels::F32.input_bytes(k),
        }
    }

    pub(crate) fn packed_bytes(&self, rows: usize, k: usize) -> usize {
        match self {
            Self::Native(dtype) => dtype.packed_bytes(rows, k),
            Self::Plugin(dtype) => dtype.packed_bytes(rows, k),
            Self::Dequantized(_) => kernels::F32.packed_bytes(rows, k),
        }
    }

    pub(crate) fn dequantize(&self, src: &[u8], dst: &mut [f32]) -> Result<(), Error> {
        match self {
            Self::Native(dtype) => {
                dtype.dequantize(src, dst);
                Ok(())
            }
            Self::Plugin(dtype) | Self::Dequantized(dtype) => dtype.dequantize(src, dst),
        }
    }

    /// Prepares one input row; `dst` has `input_bytes` of it.
    pub(crate) fn prepare_input(&self, x: &[f32], dst: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Native(dtype) => {
                dtype.prepare_input(x, dst);
                Ok(())
            }
            Self::Plugin(dtype) => dtype.prepare_input(x, dst),
            Self::Dequantized(_) => {
                kernels::F32.prepare_input(x, dst);
                Ok(())
            }
        }
    }

    /// Packs `src`, whole row groups or the last rows of a matrix; `dst` has their
    /// `packed_bytes`.
    pub(crate) fn pack(&self, src: &[u8], k: usize, dst: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::Native(dtype) => {
                dtype.pack(src, k, dst);
                Ok(())
            }
            Self::Plugin(dtype) => dtype.pack(src, src.len() / self.row_bytes(k), k, dst),
            Self::Dequantized(dtype) => {
                let mut values = vec![0.0_f32; src.len() / self.row_bytes(k) * k];
                dtype.dequantize(src, &mut values)?;
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                kernels::F32.pack(&bytes, k, dst);
                Ok(())
            }
        }
    }

    /// Multiplies a tile.
    ///
    /// # Safety
    /// The tile's buffers have the sizes this kernel gave for its shape and were filled by it, and
    /// no other thread touches the tile's part of the output.
    pub(crate) unsafe fn matmul(&self, tile: &MatmulTileV1) -> Result<(), Error> {
        let native = match self {
            Self::Native(dtype) => dtype,
            Self::Dequantized(_) => &kernels::F32,
            // SAFETY: passed on to the caller.
            Self::Plugin(dtype) => return unsafe { dtype.matmul(tile) },
        };
        let tile = MatmulTile {
            weights: tile.weights,
            k: tile.k,
            row_begin: tile.row_begin,
            row_end: tile.row_end,
            inputs: tile.inputs,
            input_stride: tile.input_stride,
            token_count: tile.token_count,
            output: tile.output,
            output_stride: tile.output_stride,
        };
        // SAFETY: passed on to the caller.
        unsafe { native.matmul(&tile) };
        Ok(())
    }
}
