//! The weights of a session, packed once at load.
//!
//! Matrices move into one region of huge pages, in parallel and in pieces, so that the packed copy
//! replaces the mapped file instead of doubling it: a piece of the file is read once and never
//! again. A weight without bytes is read from the host piece by piece, on the threads that pack
//! it: so it is quantized in parallel and never whole in memory twice. Vectors become f32;
//! embedding tables stay where they are, or are read once. It must not be written after loading.

use crate::inventory::{Inventory, Matrix, MatrixId, Tensor};
use crate::memory::Region;
use crate::pool;
use graph::{Graph, Op, WeightId};
use plugin_api::{Error, Progress, RowSource};
use std::borrow::Cow;
use std::ops::Range;

/// Bytes of a checkpoint that one chunk of work packs.
const PIECE_BYTES: usize = 1 << 20;

/// Packed matrices, and vectors and tables by weight.
#[derive(Debug)]
pub(crate) struct Weights {
    inventory: Inventory,
    packed: Region,
    vectors: Vec<Option<Box<[f32]>>>,
    /// By weight: the embedding tables that were read on demand.
    tables: Vec<Option<Region>>,
}

/// Some rows of a matrix to pack, or of a table to keep.
#[derive(Debug, Clone)]
struct Piece {
    target: Target,
    rows: Range<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Target {
    Matrix(MatrixId),
    Table(WeightId),
}

impl Weights {
    /// Packs everything on `threads` threads.
    pub(crate) fn load(
        graph: &Graph,
        inventory: Inventory,
        rows: RowSource<'_>,
        threads: usize,
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        let vectors = vectors(graph, &inventory, rows)?;
        let mut tables = Vec::new();
        tables.resize_with(graph.weights.len(), || None);
        for (weight, bytes) in inventory.tables(graph) {
            tables[weight] = Some(Region::zeroed(bytes, "embeddings")?);
        }
        let packed = Region::zeroed(inventory.packed_bytes, "packed weights")?;
        let weights = Self { inventory, packed, vectors, tables };
        // Tables first: a matrix that is an embedding too is packed from its table.
        let (tables, matrices) = (weights.table_pieces(), weights.matrix_pieces());
        let bytes = |pieces: &[Piece]| -> u64 {
            pieces.iter().map(|piece| weights.piece_bytes(piece) as u64).sum()
        };
        let total = bytes(&tables) + bytes(&matrices);
        let mut done = 0;
        progress.report(done, total);
        for some in tables.chunks(4 * threads).chain(matrices.chunks(4 * threads)) {
            pool::run(threads, some.len(), &|index, _| weights.take(&some[index], rows))?;
            done += bytes(some);
            progress.report(done, total);
        }
        Ok(weights)
    }

    /// A weight's kernel and shape.
    pub(crate) fn tensor(&self, weight: WeightId) -> Tensor {
        self.inventory.tensor(weight)
    }

    /// Row `index` of an embedding table, as the checkpoint has it.
    pub(crate) fn table_row(&self, weight: WeightId, index: usize) -> &[u8] {
        let Tensor { kernel, k, .. } = self.inventory.tensor(weight);
        let bytes = kernel.row_bytes(k);
        &self.stored(weight)[index * bytes..(index + 1) * bytes]
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

    /// All bytes of a weight that lie in memory; none of one that is read on demand.
    fn stored(&self, weight: WeightId) -> &[u8] {
        let tensor = self.inventory.tensor(weight);
        match &self.tables[weight] {
            // SAFETY: the region is as long as the tensor; it is written only while tables are
            // taken, before anybody reads them.
            Some(table) => unsafe {
                std::slice::from_raw_parts(table.start(), tensor.stored_bytes())
            },
            None => tensor.bytes,
        }
    }

    fn matrix_pieces(&self) -> Vec<Piece> {
        let matrices = self.inventory.matrices.iter().enumerate();
        matrices.flat_map(|(id, matrix)| pieces(Target::Matrix(id), matrix.source)).collect()
    }

    fn table_pieces(&self) -> Vec<Piece> {
        let tables = self.tables.iter().enumerate().filter(|(_, table)| table.is_some());
        let piece = |(weight, _)| pieces(Target::Table(weight), self.inventory.tensor(weight));
        tables.flat_map(piece).collect()
    }

    fn piece_bytes(&self, piece: &Piece) -> usize {
        let Tensor { kernel, k, .. } = match piece.target {
            Target::Matrix(id) => self.matrix(id),
            Target::Table(weight) => self.inventory.tensor(weight),
        };
        kernel.row_bytes(k) * piece.rows.len()
    }

    /// Packs or keeps the rows of a piece.
    fn take(&self, piece: &Piece, rows: RowSource<'_>) -> Result<(), Error> {
        match piece.target {
            Target::Matrix(id) => self.pack(id, piece, rows),
            Target::Table(weight) => {
                let Tensor { kernel, k, .. } = self.inventory.tensor(weight);
                let table = self.tables[weight].as_ref().expect("pieces are of tables there are");
                let begin = table.at(kernel.row_bytes(k) * piece.rows.start);
                // SAFETY: the rows lie inside the table, and no other piece has any of them.
                let to = unsafe { std::slice::from_raw_parts_mut(begin, self.piece_bytes(piece)) };
                rows.read(weight, piece.rows.clone(), to)
            }
        }
    }

    fn pack(&self, id: MatrixId, piece: &Piece, rows: RowSource<'_>) -> Result<(), Error> {
        let Matrix { weight, source: Tensor { kernel, k, .. }, packed_start } =
            self.inventory.matrices[id];
        let begin = packed_start + kernel.packed_bytes(piece.rows.start, k);
        let bytes = kernel.packed_bytes(piece.rows.len(), k);
        assert!(begin + bytes <= self.inventory.packed_bytes, "a piece lies inside the region");
        let row_bytes = kernel.row_bytes(k);
        let stored = self.stored(weight);
        let source = if stored.is_empty() {
            let mut read = vec![0; self.piece_bytes(piece)];
            rows.read(weight, piece.rows.clone(), &mut read)?;
            Cow::Owned(read)
        } else {
            Cow::Borrowed(&stored[piece.rows.start * row_bytes..piece.rows.end * row_bytes])
        };
        // SAFETY: the range lies inside the region, and no other piece has any of these groups.
        let packed = unsafe { std::slice::from_raw_parts_mut(self.packed.at(begin), bytes) };
        kernel.pack(&source, k, packed)
    }
}

/// Cuts a tensor at row groups into pieces of about [`PIECE_BYTES`].
fn pieces(target: Target, tensor: Tensor) -> impl Iterator<Item = Piece> {
    let Tensor { kernel, rows, k, .. } = tensor;
    let group = kernel.row_group();
    let step = (PIECE_BYTES / kernel.row_bytes(k)).next_multiple_of(group).max(group);
    (0..rows).step_by(step).map(move |begin| Piece { target, rows: begin..rows.min(begin + step) })
}

/// The weights of norms and biases as f32.
fn vectors(
    graph: &Graph,
    inventory: &Inventory,
    rows: RowSource<'_>,
) -> Result<Vec<Option<Box<[f32]>>>, Error> {
    let mut vectors = vec![None; graph.weights.len()];
    for weight in graph.nodes.iter().flat_map(|node| vectors_of(&node.op)) {
        let Tensor { kernel, bytes, k, .. } = inventory.tensor(weight);
        let mut values = vec![0.0; k].into_boxed_slice();
        let mut read = Vec::new();
        if bytes.is_empty() {
            read.resize(kernel.row_bytes(k), 0);
            rows.read(weight, 0..1, &mut read)?;
        }
        kernel.dequantize(if bytes.is_empty() { &read } else { bytes }, &mut values)?;
        vectors[weight] = Some(values);
    }
    Ok(vectors)
}

/// The weights of an op that are neither matrices nor embeddings.
fn vectors_of(op: &Op) -> Vec<WeightId> {
    match *op {
        Op::RmsNorm { weight, .. } | Op::Bias { weight } => vec![weight],
        Op::LayerNorm { weight, bias, .. } => std::iter::once(weight).chain(bias).collect(),
        Op::Linear { bias, .. } => bias.into_iter().collect(),
        _ => Vec::new(),
    }
}
