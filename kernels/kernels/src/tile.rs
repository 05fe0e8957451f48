//! The walk over one tile of a matrix product, the same for every dtype.
//!
//! A tile is some row groups times all tokens of a step. The walk decides only the order in
//! which (row group, token) pairs are computed, never how one of them is: that is a [`Strip`],
//! which is why a result does not depend on the shape of the tile. It must not allocate and
//! must not touch outputs outside its rows.

use std::marker::PhantomData;
use std::ops::Range;

use crate::isa::Kernel;
use crate::simd::Simd;

/// Rows that are interleaved in packed weights: one SIMD lane per row.
pub const ROW_GROUP: usize = 16;

/// Prepared inputs that one pass over the row groups reads: half of a usual second-level cache.
const PASS_INPUT_BYTES: usize = 768 * 1024;

/// How far ahead weights are asked for, in bytes: about the latency of memory times its speed.
pub(crate) const PREFETCH_BYTES: usize = 4096;

/// Runs the body for each index below `$count`, at most eight, without a loop: what is kept per
/// index stays in registers. The compiler's own unrolling stops short of eight tokens.
macro_rules! unrolled {
    ($i:ident < $count:ident, $body:block) => {
        unrolled!(@ $i, $count, $body, 0 1 2 3 4 5 6 7)
    };
    (@ $i:ident, $count:ident, $body:block, $($index:literal)*) => {$(
        if $index < $count {
            let $i: usize = $index;
            $body
        }
    )*};
}
pub(crate) use unrolled;

/// One share of a matrix product: `output[t][row] = weights[row] · inputs[t]`.
///
/// The pointers are raw because many threads write disjoint rows of one output.
#[derive(Clone, Copy, Debug)]
pub struct MatmulTile {
    /// Packed weights of the whole matrix, from row group 0; fastest on a border of 64 bytes.
    pub weights: *const u8,
    /// Values per row.
    pub k: usize,
    /// First row, a multiple of [`ROW_GROUP`].
    pub row_begin: usize,
    /// End of the rows; nothing at or past it is written.
    pub row_end: usize,
    /// Prepared input rows.
    pub inputs: *const u8,
    /// Bytes from one prepared input row to the next.
    pub input_stride: usize,
    /// Number of input rows.
    pub token_count: usize,
    /// `output[t * output_stride + row]`.
    pub output: *mut f32,
    /// Floats from one token's outputs to the next one's.
    pub output_stride: usize,
}

/// How a dtype computes one row group for `T` tokens.
pub(crate) trait Strip: 'static {
    /// Most tokens that are worth computing together.
    fn tokens<S: Simd>() -> usize;

    /// Bytes of one packed row group of `k` values per row.
    fn group_bytes(k: usize) -> usize;

    /// The outputs of the group's rows for each input row. The operations of one lane and token
    /// must not depend on `T`. `cold` says that the weights come from memory.
    ///
    /// # Safety
    /// `group` must be valid for `group_bytes(k)` and each of `inputs` for a prepared row of `k`.
    unsafe fn run<S: Simd, const T: usize>(
        s: S,
        group: *const u8,
        k: usize,
        inputs: [*const u8; T],
        cold: bool,
    ) -> [S::F; T];

    /// The outputs of all tokens of a tile for the first of some row groups, which must be whole,
    /// with the bits of [`Strip::run`]: where there is a faster way for many tokens. Answers the
    /// group it stopped at.
    ///
    /// # Safety
    /// The pointers of `tile` must be valid for its shape, and `groups` inside it.
    #[inline(always)]
    unsafe fn many<S: Simd>(_s: S, _tile: &MatmulTile, groups: Range<usize>) -> usize {
        groups.start
    }
}

/// The kernel of one whole tile.
pub(crate) struct Walk<'a, M> {
    tile: &'a MatmulTile,
    strip: PhantomData<M>,
}

impl<'a, M: Strip> Walk<'a, M> {
    /// # Safety
    /// The pointers of `tile` must be valid for its shape, as [`crate::Dtype::matmul`] says, until
    /// the kernel has run.
    pub(crate) unsafe fn new(tile: &'a MatmulTile) -> Self {
        assert!(tile.row_begin.is_multiple_of(ROW_GROUP), "a tile begins at a row group");
        Walk { tile, strip: PhantomData }
    }
}

impl<M: Strip> Kernel for Walk<'_, M> {
    type Output = ();

    #[inline(always)]
    fn call<S: Simd>(self, s: S) {
        let tile = self.tile;
        let (mut begin, whole) = (tile.row_begin / ROW_GROUP, tile.row_end / ROW_GROUP);
        if tile.token_count >= S::PANEL_TOKENS_MIN {
            // SAFETY: `new` had its caller vouch for the tile.
            begin = unsafe { M::many(s, tile, begin..whole) };
        }
        // One call for all that is left: what it does is compiled into each place that asks for it.
        // SAFETY: as above.
        unsafe { passes::<S, M>(s, tile, begin..tile.row_end.div_ceil(ROW_GROUP)) };
    }
}

/// Row group by row group, for as many tokens at a time as have their inputs in the cache.
///
/// # Safety
/// The pointers of `tile` must be valid for its shape, and `groups` inside it.
#[inline(always)]
unsafe fn passes<S: Simd, M: Strip>(s: S, tile: &MatmulTile, groups: Range<usize>) {
    let pass = (PASS_INPUT_BYTES / tile.input_stride.max(1)).next_multiple_of(M::tokens::<S>());
    let pass = pass.max(M::tokens::<S>());
    for begin in (0..tile.token_count).step_by(pass) {
        let end = tile.token_count.min(begin + pass);
        for group in groups.clone() {
            // SAFETY: the caller vouches for the tile; group and tokens are inside it.
            unsafe { group_outputs::<S, M>(s, tile, group, begin..end) };
        }
    }
}

/// # Safety
/// `group` and `tokens` must lie inside a tile whose pointers are valid.
#[inline(always)]
unsafe fn group_outputs<S: Simd, M: Strip>(
    s: S,
    tile: &MatmulTile,
    group: usize,
    tokens: Range<usize>,
) {
    let mut token = tokens.start;
    while token < tokens.end {
        let left = (tokens.end - token).min(M::tokens::<S>());
        let cold = token == tokens.start;
        let at = Place { group, token, cold };
        // Each arm takes at most the `left` tokens, which the caller says are inside the tile.
        token += match left {
            // SAFETY: as above.
            8.. => unsafe { strip::<S, M, 8>(s, tile, at) },
            // SAFETY: as above.
            4.. => unsafe { strip::<S, M, 4>(s, tile, at) },
            // SAFETY: as above.
            2.. => unsafe { strip::<S, M, 2>(s, tile, at) },
            // SAFETY: as above.
            _ => unsafe { strip::<S, M, 1>(s, tile, at) },
        };
    }
}

#[derive(Clone, Copy)]
struct Place {
    group: usize,
    token: usize,
    cold: bool,
}

/// Computes `T` tokens of one group and gives `T`.
///
/// # Safety
/// The group and `T` tokens at `at` must lie inside a tile whose pointers are valid.
#[inline(always)]
unsafe fn strip<S: Simd, M: Strip, const T: usize>(s: S, tile: &MatmulTile, at: Place) -> usize {
    // SAFETY: the caller says that this group lies inside the packed weights.
    let weights = unsafe { tile.weights.add(at.group * M::group_bytes(tile.k)) };
    let mut inputs = [tile.inputs; T];
    for (t, input) in inputs.iter_mut().enumerate() {
        // SAFETY: the caller says that these tokens lie inside the inputs.
        *input = unsafe { tile.inputs.add((at.token + t) * tile.input_stride) };
    }
    // SAFETY: both point at whole rows of the tile, see above.
    let sums = unsafe { M::run::<S, T>(s, weights, tile.k, inputs, at.cold) };

    let row = at.group * ROW_GROUP;
    let count = ROW_GROUP.min(tile.row_end - row);
    for (t, sum) in sums.into_iter().enumerate() {
        let mut lanes = [0.0; ROW_GROUP];
        s.store(sum, &mut lanes);
        // SAFETY: the first of `count` rows of this token, all before `row_end`.
        let out = unsafe { tile.output.add((at.token + t) * tile.output_stride + row) };
        if count == ROW_GROUP {
            // SAFETY: room for the whole group is before `row_end`, and no other thread has it.
            unsafe { *out.cast() = lanes };
        } else {
            // SAFETY: no other thread has these rows, and `lanes` is a local.
            unsafe { std::ptr::copy_nonoverlapping(lanes.as_ptr(), out, count) };
        }
    }
    T
}
