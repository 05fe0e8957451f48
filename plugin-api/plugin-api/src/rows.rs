//! Reading rows of tensors that do not lie in memory as they are wanted.
//!
//! The safe face of `plugin_abi::RowSourceV1`: compute plugins and writers read from it, the host
//! is behind it.

use crate::Error;
use plugin_abi::RowSourceV1;
use std::fmt;
use std::ops::Range;

/// The function behind a [`RowSource`]: tensor, rows, destination.
type Read<'a> = dyn Fn(usize, Range<usize>, &mut [u8]) -> Result<(), Error> + Sync + 'a;

/// Gives rows of tensors; may be used from several threads at once.
#[derive(Clone, Copy)]
pub struct RowSource<'a> {
    read: &'a Read<'a>,
}

impl fmt::Debug for RowSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowSource")
    }
}

impl<'a> RowSource<'a> {
    /// Wraps a function.
    #[must_use]
    pub fn new(read: &'a Read<'a>) -> Self {
        Self { read }
    }

    /// A source without tensors.
    #[must_use]
    pub fn none() -> RowSource<'static> {
        RowSource { read: &|index, _, _| Err(Error::failed(format!("no rows of tensor {index}"))) }
    }

    /// Writes the bytes of some rows of tensor `index` to `dst`, which is exactly as long; a row is
    /// what the last dimension counts.
    ///
    /// # Errors
    /// The tensor or the rows are not there, or they cannot be read or converted.
    pub fn read(&self, index: usize, rows: Range<usize>, dst: &mut [u8]) -> Result<(), Error> {
        (self.read)(index, rows, dst)
    }

    /// What the function of a source of the wire does; used behind [`RowSource::new`].
    pub(crate) fn of_wire(
        wire: RowSourceV1,
    ) -> impl Fn(usize, Range<usize>, &mut [u8]) -> Result<(), Error> + Sync {
        /// A source may be used from several threads at once, so says the wire.
        struct Shared(RowSourceV1);
        // SAFETY: as the type says.
        unsafe impl Sync for Shared {}
        impl Shared {
            fn read(&self, index: usize, rows: Range<usize>, dst: &mut [u8]) -> Result<(), Error> {
                let (begin, end) = (rows.start, rows.end);
                crate::session::check(|error| {
                    let RowSourceV1 { context, read } = self.0;
                    read(context, index, begin, end, dst.as_mut_ptr(), dst.len(), error)
                })
            }
        }
        let shared = Shared(wire);
        move |index, rows, dst| shared.read(index, rows, dst)
    }
}
