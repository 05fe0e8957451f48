//! A cursor over the bytes before the tensor data: reads little-endian numbers and strings.
//!
//! It exists so that no other file does arithmetic on lengths it has not checked: every read
//! compares with the bytes that are left, and nothing is copied or allocated.

use crate::fault::{CUT_SHORT, fault, fault_with_hint};
use plugin_api::Error;
use std::fmt::Display;

/// Most bytes of one string.
const STRING_BYTES_MAX: u64 = 64 << 20;

/// Where reading has got to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the byte `at` on.
    pub(crate) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The byte that is read next.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize, field: impl Display) -> Result<&'a [u8], Error> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let Some(taken) = taken else {
            let found = format!("{} bytes left at byte {}", self.left(), self.at);
            return Err(fault_with_hint(field, found, format!("{count} or more"), CUT_SHORT));
        };
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: impl Display) -> Result<[u8; N], Error> {
        let mut value = [0; N];
        value.copy_from_slice(self.take(N, field)?);
        Ok(value)
    }

    /// The next four bytes as a number.
    pub(crate) fn u32(&mut self, field: impl Display) -> Result<u32, Error> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// The next eight bytes as a number.
    pub(crate) fn u64(&mut self, field: impl Display) -> Result<u64, Error> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// The next string: eight bytes of length, then that many bytes, at most `max`.
    pub(crate) fn string(&mut self, max: u64, field: impl Display) -> Result<&'a [u8], Error> {
        let length = self.u64(&field)?;
        let max = max.min(STRING_BYTES_MAX);
        match usize::try_from(length) {
            Ok(count) if length <= max => self.take(count, field),
            _ => Err(fault(field, format!("a length of {length} bytes"), format!("at most {max}"))),
        }
    }
}
