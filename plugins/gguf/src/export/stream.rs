//! The bytes of one tensor, piece by piece, in the order of the file.
//!
//! Pieces are made on every core at once, because the source may have to quantize them, and are
//! handed on in order.

use super::tensors::{Content, Order, Tensor};
use plugin_api::graph::WeightId;
use plugin_api::{Error, RowSource};
use std::ops::Range;
use std::thread;

/// Bytes of a piece.
const PIECE_BYTES: usize = 1 << 20;

/// Some rows of one weight.
#[derive(Debug, Clone)]
struct Piece {
    weight: WeightId,
    rows: Range<usize>,
}

/// Hands all bytes of a tensor to `write`.
pub(super) fn tensor(
    tensor: &Tensor,
    rows: RowSource<'_>,
    mut write: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let (parts, order, add) = match &tensor.content {
        Content::Values(values) => {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            return write(&bytes);
        }
        Content::Weights { parts, order, add } => (parts, *order, *add),
    };
    let row_bytes = tensor.row_bytes()?;
    let is_vector = tensor.dimensions.len() == 1;
    let pieces = pieces(parts, if is_vector { Order::AsTheyAre } else { order }, row_bytes);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let make = |piece: &Piece| {
        let mut bytes = vec![0; piece.rows.len() * row_bytes];
        rows.read(piece.weight, piece.rows.clone(), &mut bytes)?;
        let unit = if is_vector { size_of::<f32>() } else { row_bytes };
        Ok(match order {
            Order::AsTheyAre => plus(bytes, add),
            Order::Interleaved { head } => interleave(&bytes, unit, head),
        })
    };
    for some in pieces.chunks(4 * threads) {
        for bytes in in_parallel(some, threads, &make)? {
            write(&bytes)?;
        }
    }
    Ok(())
}

/// Makes every piece, in order.
fn in_parallel(
    pieces: &[Piece],
    threads: usize,
    make: &(impl Fn(&Piece) -> Result<Vec<u8>, Error> + Sync),
) -> Result<Vec<Vec<u8>>, Error> {
    let share = pieces.len().div_ceil(threads).max(1);
    let make_share = |share: &[Piece]| share.iter().map(make).collect::<Result<Vec<_>, _>>();
    thread::scope(|scope| {
        let shares: Vec<_> =
            pieces.chunks(share).map(|share| scope.spawn(move || make_share(share))).collect();
        let mut made = Vec::new();
        for share in shares {
            let share = share.join().map_err(|_| Error::failed("a piece panicked"))?;
            made.extend(share?);
        }
        Ok(made)
    })
}

/// Cuts the parts; a head is never cut in two, because its rows change places.
fn pieces(parts: &[(WeightId, usize)], order: Order, row_bytes: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for &(weight, count) in parts {
        let least = match order {
            Order::AsTheyAre => 1,
            Order::Interleaved { head } => head.max(1),
        };
        let step = (PIECE_BYTES / row_bytes.max(1)).next_multiple_of(least).max(least);
        for begin in (0..count).step_by(step) {
            pieces.push(Piece { weight, rows: begin..count.min(begin + step) });
        }
    }
    pieces
}

/// Puts unit `i` of the first half of each head beside unit `i` of the second.
fn interleave(bytes: &[u8], unit: usize, head: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for head in bytes.chunks((head * unit).max(1)) {
        let (first, second) = head.split_at(head.len() / 2);
        for (a, b) in first.chunks(unit).zip(second.chunks(unit)) {
            out.extend_from_slice(a);
            out.extend_from_slice(b);
        }
    }
    out
}

/// Adds to every value of a vector.
fn plus(mut bytes: Vec<u8>, add: f32) -> Vec<u8> {
    if add != 0.0 {
        for value in bytes.as_chunks_mut().0 {
            *value = (f32::from_le_bytes(*value) + add).to_le_bytes();
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_each_head_are_interleaved() {
        assert_eq!(interleave(&[0, 1, 2, 3, 4, 5, 6, 7], 1, 4), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(interleave(&[0, 0, 1, 1, 2, 2, 3, 3], 2, 4), [0, 0, 2, 2, 1, 1, 3, 3]);
    }

    #[test]
    fn pieces_cover_every_row_once_and_cut_no_head() {
        let order = Order::Interleaved { head: 1000 };
        let pieces = pieces(&[(7, 3000)], order, 1000);
        assert!(
            pieces.len() > 1 && pieces.iter().all(|piece| piece.rows.len().is_multiple_of(1000))
        );
        assert_eq!(pieces.iter().map(|piece| piece.rows.len()).sum::<usize>(), 3000);
    }
}
