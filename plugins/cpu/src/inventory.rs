//! What each weight of the graph is used as, and what that costs: matrices to pack, vectors,
//! embedding tables.
//!
//! Checked and sized before any data is read, so that an estimate is as good as a session. Two
//! weights that name the same bytes share one packed matrix; an embedding is never packed, because
//! a step reads few of its rows. Nothing here allocates in proportion to the weights.

use crate::kernel::Kernel;
use crate::memory::ALIGNMENT;
use graph::{Graph, Op, WeightId};
use plugin_api::{DtypeLookup, Error, WeightData};
use std::collections::{BTreeMap, BTreeSet};

/// Matrices that are this small as f32, all together, are multiplied exactly: they stay in the
/// cache, so 8-bit inputs would gain nothing and cost accuracy.
const EXACT_BYTES_MAX: usize = 16 << 20;

/// Index into [`Inventory::matrices`].
pub(crate) type MatrixId = usize;

/// Tensors by use.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// Distinct matrices.
    pub(crate) matrices: Vec<Matrix>,
    /// Bytes of all packed matrices.
    pub(crate) packed_bytes: usize,
    tensors: Vec<Tensor>,
    matrix_of: Vec<Option<MatrixId>>,
    /// Bytes of the tables that are read on demand, which a session must keep.
    pub(crate) table_bytes: usize,
}

/// The bytes of a weight and how to read them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tensor {
    pub(crate) kernel: Kernel,
    /// Rows of `row_bytes`, as the checkpoint has them; empty when they are read on demand.
    pub(crate) bytes: &'static [u8],
    pub(crate) rows: usize,
    /// Values in a row.
    pub(crate) k: usize,
}

/// A matrix in the layout of its kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix {
    /// The weight it is read from.
    pub(crate) weight: WeightId,
    pub(crate) source: Tensor,
    /// Where its packed bytes begin in the region of all matrices.
    pub(crate) packed_start: usize,
}

impl Inventory {
    /// Sorts the weights that the graph's nodes use.
    pub(crate) fn new(
        graph: &Graph,
        weights: &[WeightData],
        dtypes: DtypeLookup<'_>,
    ) -> Result<Self, Error> {
        if weights.len() != graph.weights.len() {
            return Err(Error::failed(format!(
                "{} weights expected, {} found",
                graph.weights.len(),
                weights.len()
            )));
        }
        let tensor = |index: usize| tensor(&graph.weights[index], weights[index], dtypes);
        let mut inventory = Self {
            matrices: Vec::new(),
            packed_bytes: 0,
            tensors: (0..weights.len()).map(tensor).collect::<Result<_, _>>()?,
            matrix_of: vec![None; weights.len()],
            table_bytes: 0,
        };
        inventory.table_bytes = inventory.tables(graph).map(|(_, bytes)| bytes).sum();
        if inventory.is_small(graph) {
            inventory.tensors.iter_mut().for_each(|tensor| tensor.kernel = tensor.kernel.exact());
        }
        let mut known = BTreeMap::new();
        for weight in graph.nodes.iter().flat_map(|node| node.op.matrices()) {
            let role = &graph.weights[weight].role;
            inventory.add_matrix(weight, &mut known).map_err(|error| error.context(role))?;
        }
        Ok(inventory)
    }

    /// Any weight as the checkpoint has it.
    pub(crate) fn tensor(&self, weight: WeightId) -> Tensor {
        self.tensors[weight]
    }

    /// The tables of embeddings that are read on demand, each once, with their bytes.
    pub(crate) fn tables(&self, graph: &Graph) -> impl Iterator<Item = (WeightId, usize)> {
        let weights: BTreeSet<WeightId> = graph
            .nodes
            .iter()
            .filter_map(|node| match node.op {
                Op::Embed { weight } | Op::EmbedPosition { weight } => Some(weight),
                _ => None,
            })
            .collect();
        weights.into_iter().filter_map(|weight| {
            let tensor = self.tensors[weight];
            tensor.bytes.is_empty().then(|| (weight, tensor.stored_bytes()))
        })
    }

    /// The matrix of a weight that an op multiplies.
    pub(crate) fn matrix_of(&self, weight: WeightId) -> MatrixId {
        self.matrix_of[weight].expect("every weight that an op multiplies was added as a matrix")
    }

    fn is_small(&self, graph: &Graph) -> bool {
        let matrices = graph.nodes.iter().flat_map(|node| node.op.matrices());
        let matrices = matrices.map(|weight| self.tensors[weight]);
        let bytes = matrices.map(|tensor| tensor.rows.saturating_mul(tensor.k).saturating_mul(4));
        bytes.fold(0, usize::saturating_add) <= EXACT_BYTES_MAX
    }

    fn add_matrix(
        &mut self,
        weight: WeightId,
        known: &mut BTreeMap<Identity, MatrixId>,
    ) -> Result<(), Error> {
        let source = self.tensors[weight];
        let next = self.matrices.len();
        let id = match source.identity() {
            Some(identity) => *known.entry(identity).or_insert(next),
            None => self.matrix_of[weight].unwrap_or(next),
        };
        if id == next {
            let packed_start = self.packed_bytes;
            let end = source.packed_bytes()?.checked_add(packed_start);
            self.packed_bytes = end
                .and_then(|end| end.checked_next_multiple_of(ALIGNMENT))
                .ok_or_else(|| Error::invalid("the matrices are larger than any memory"))?;
            self.matrices.push(Matrix { weight, source, packed_start });
        }
        self.matrix_of[weight] = Some(id);
        Ok(())
    }
}

/// What two weights with one packed matrix have in common: the bytes, by address and count, the
/// values in a row and the dtype.
type Identity = (usize, usize, usize, &'static str);

impl Tensor {
    /// Nothing for a weight that is read on demand.
    fn identity(&self) -> Option<Identity> {
        let Self { kernel, bytes, k, .. } = self;
        (!bytes.is_empty()).then(|| (bytes.as_ptr().addr(), bytes.len(), *k, kernel.name()))
    }

    /// Bytes of all rows as the checkpoint has them, or would have.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.kernel.row_bytes(self.k) * self.rows
    }

    /// Bytes of the whole matrix packed, after making sure that its groups lie one after another.
    fn packed_bytes(&self) -> Result<usize, Error> {
        let group = self.kernel.row_group();
        let whole = self.kernel.packed_bytes(self.rows, self.k);
        let last = (self.rows - 1) / group * group;
        let parts = self.kernel.packed_bytes(last, self.k).checked_add(self.rows_packed(last));
        if whole == 0 || parts != Some(whole) {
            return Err(Error::unsupported(format!(
                "dtype {} packs {} rows of {} values into {whole} bytes, but its groups into \
                 {parts:?}: update the plugin that provides it",
                self.kernel.name(),
                self.rows,
                self.k
            )));
        }
        Ok(whole)
    }

    fn rows_packed(&self, begin: usize) -> usize {
        self.kernel.packed_bytes(self.rows - begin, self.k)
    }
}

fn tensor(
    weight: &graph::Weight,
    data: WeightData,
    dtypes: DtypeLookup<'_>,
) -> Result<Tensor, Error> {
    let role = &weight.role;
    let kernel = Kernel::find(data.dtype, role, dtypes)?;
    let k = *weight.shape.last().unwrap_or(&0);
    if k == 0 || !k.is_multiple_of(kernel.block_len()) {
        return Err(Error::invalid(format!(
            "weight {role} has rows of {k} values, whole blocks of {} expected for dtype {}",
            kernel.block_len(),
            data.dtype
        )));
    }
    let rows = weight.shape[..weight.shape.len() - 1].iter().product();
    let expected = kernel.row_bytes(k).checked_mul(rows);
    let on_demand = data.bytes.is_empty() && expected.is_some();
    if !on_demand && expected != Some(data.bytes.len()) {
        return Err(Error::invalid(format!(
            "weight {role} of shape {:?} in dtype {} has {} bytes, {} expected",
            weight.shape,
            data.dtype,
            data.bytes.len(),
            expected.unwrap_or(usize::MAX)
        )));
    }
    Ok(Tensor { kernel, bytes: data.bytes, rows, k })
}
