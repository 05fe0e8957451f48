//! The weights of a session, packed once at load.
//!
//! Matrices move into one region of huge pages, in parallel and in pieces, so that the packed copy
//! replaces the mapped file instead of doubling it: a piece of the file is read once and never
//! again. Vectors become f32; embedding tables stay where they are. It must not be written after
//! loading.

use crate::inventory::{Inventory, MatrixId, Tensor};
use crate::memory::Region;
use crate::pool;
use graph::{Graph, Op, WeightId};
use plugin_api::{Error, Progress};

/// Bytes of a checkpoint that one chunk of work packs.
const PIECE_BYTES: usize = 1 << 20;

/// Packed matrices, and vectors and tables by weight.
#[derive(Debug)]
pub(crate) struct Weights {
    inventory: Inventory,
    packed: Region,
    vectors: Vec<Option<Box<[f32]>>>,
}

/// Some rows of a matrix to pack.
#[derive(Debug, Clone, Copy)]
struct Piece {
    matrix: MatrixId,
    row_begin: usize,
    row_end: usize,
}

impl Weights {
    /// Packs everything on `threads` threads.
    pub(crate) fn load(
        graph: &Graph,
        inventory: Inventory,
        threads: usize,
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        let vectors = vectors(graph, &inventory)?;
        let packed = Region::zeroed(inventory.packed_bytes, "packed weights")?;
        let weights = Self { inventory, packed, vectors };
        let pieces = weights.pieces();
        let total: u64 = pieces.iter().map(|piece| weights.source(*piece).len() as u64).sum();
        let mut done = 0;
        progress.report(done, total);
        for some in pieces.chunks(4 * threads) {
            pool::run(threads, some.len(), &|index, _| weights.pack(some[index]))?;
            done += some.iter().map(|piece| weights.source(*piece).len() as u64).sum::<u64>();
            progress.report(done, total);
        }
        Ok(weights)
    }

    /// A weight as the checkpoint has it.
    pub(crate) fn tensor(&self, weight: WeightId) -> Tensor {
        self.inventory.tensor(weight)
    }

    /// The shape and kernel of a matrix.
    pub(crate) fn matrix(&self, id: MatrixId) -> Tensor {
        self.inventory.matrices[id].source
    }

    /// The packed bytes of a matrix.
    pub(crate) fn packed(&self, id: MatrixId) -> *const u8 {
        self.packed.at(self.inventory.matrices[id].packed_start)
    }

    /// A weight that a norm or a bias uses.
    pub(crate) fn vector(&self, weight: WeightId) -> &[f32] {
        self.vectors[weight].as_deref().expect("vectors of all norms and biases were read")
    }

    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (matrix, Tensor { kernel, rows, k, .. }) in
            self.inventory.matrices.iter().map(|matrix| matrix.source).enumerate()
        {
            let group = kernel.row_group();
            let step = (PIECE_BYTES / kernel.row_bytes(k)).next_multiple_of(group).max(group);
            for row_begin in (0..rows).step_by(step) {
                pieces.push(Piece { matrix, row_begin, row_end: rows.min(row_begin + step) });
            }
        }
        pieces
    }

    fn source(&self, piece: Piece) -> &'static [u8] {
        let Tensor { kernel, bytes, k, .. } = self.matrix(piece.matrix);
        let row_bytes = kernel.row_bytes(k);
        &bytes[piece.row_begin * row_bytes..piece.row_end * row_bytes]
    }

    fn pack(&self, piece: Piece) -> Result<(), Error> {
        let Tensor { kernel, k, .. } = self.matrix(piece.matrix);
        let begin = self.inventory.matrices[piece.matrix].packed_start
            + kernel.packed_bytes(piece.row_begin, k);
        let bytes = kernel.packed_bytes(piece.row_end - piece.row_begin, k);
        assert!(begin + bytes <= self.inventory.packed_bytes, "a piece lies inside the region");
        // SAFETY: the range lies inside the region, and no other piece has any of these groups.
        let packed = unsafe { std::slice::from_raw_parts_mut(self.packed.at(begin), bytes) };
        kernel.pack(self.source(piece), k, packed)
    }
}

/// The weights of norms and biases as f32.
fn vectors(graph: &Graph, inventory: &Inventory) -> Result<Vec<Option<Box<[f32]>>>, Error> {
    let mut vectors = vec![None; graph.weights.len()];
    for node in &graph.nodes {
        let weight = match node.op {
            Op::RmsNorm { weight, .. } => weight,
            Op::Linear { bias: Some(bias), .. } => bias,
            _ => continue,
        };
        let Tensor { kernel, bytes, k, .. } = inventory.tensor(weight);
        let mut values = vec![0.0; k].into_boxed_slice();
        kernel.dequantize(bytes, &mut values)?;
        vectors[weight] = Some(values);
    }
    Ok(vectors)
}
