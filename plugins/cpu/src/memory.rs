//! Zeroed anonymous memory, in huge pages where the system has them.
//!
//! Weights, keys and values and the buffers of a step live here: reading them through huge pages
//! is a third faster than through the small ones a file mapping gets, and memory that nobody
//! touches costs nothing. A region knows neither what it holds nor who uses which part: its users
//! divide it among themselves.

use plugin_api::Error;
use std::ptr::NonNull;

/// Every region begins at a multiple of it, as the kernels ask of packed weights and inputs.
pub(crate) const ALIGNMENT: usize = 64;

/// One piece of memory, zeroed, freed when dropped.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    bytes: usize,
    mapping: system::Mapping,
}

// SAFETY: a region is plain memory; who may touch which part is settled by its users.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves `bytes` zeroed bytes for `what`.
    pub(crate) fn zeroed(bytes: usize, what: &str) -> Result<Self, Error> {
        let short = || {
            let mib = bytes.div_ceil(1 << 20);
            Error::failed(format!(
                "no memory for {what}: {mib} MiB asked for; use a smaller context or model"
            ))
        };
        let (start, mapping) = system::map(bytes.max(1)).ok_or_else(short)?;
        Ok(Self { start, bytes, mapping })
    }

    /// The first byte.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The byte at `at`.
    ///
    /// # Panics
    /// If `at` lies outside the region.
    pub(crate) fn at(&self, at: usize) -> *mut u8 {
        assert!(at <= self.bytes, "{at} is outside a region of {} bytes", self.bytes);
        self.start().wrapping_add(at)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        system::unmap(&self.mapping);
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ptr::{NonNull, null_mut};

    const HUGE: usize = 2 << 20;

    /// What `mmap` gave, to give back.
    #[derive(Debug)]
    pub(super) struct Mapping {
        start: *mut libc::c_void,
        bytes: usize,
    }

    /// Maps memory; what is large enough begins at a huge page and is made of them.
    pub(super) fn map(bytes: usize) -> Option<(NonNull<u8>, Mapping)> {
        let spare = if bytes >= HUGE { HUGE } else { 0 };
        let total = bytes.checked_next_multiple_of(1 << 12)?.checked_add(spare)?;
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no
        // other memory.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                total,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return None;
        }
        let mapping = Mapping { start, bytes: total };
        let mut first = start.cast::<u8>();
        if spare > 0 {
            first = first.wrapping_add(first.align_offset(HUGE));
            // SAFETY: the range lies inside the mapping above. The advice may be refused, and the
            // memory works without it.
            unsafe { libc::madvise(first.cast(), bytes, libc::MADV_HUGEPAGE) };
        }
        Some((NonNull::new(first)?, mapping))
    }

    pub(super) fn unmap(mapping: &Mapping) {
        // SAFETY: `map` made exactly this mapping, and its region is being dropped.
        unsafe { libc::munmap(mapping.start, mapping.bytes) };
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::ALIGNMENT;
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    /// What the allocator gave, to give back.
    #[derive(Debug)]
    pub(super) struct Mapping {
        start: *mut u8,
        layout: Layout,
    }

    pub(super) fn map(bytes: usize) -> Option<(NonNull<u8>, Mapping)> {
        let layout = Layout::from_size_align(bytes, ALIGNMENT).ok()?;
        // SAFETY: the layout is not empty: `Region::zeroed` asks for a byte at least.
        let start = unsafe { alloc_zeroed(layout) };
        Some((NonNull::new(start)?, Mapping { start, layout }))
    }

    pub(super) fn unmap(mapping: &Mapping) {
        // SAFETY: `map` made exactly this allocation, and its region is being dropped.
        unsafe { dealloc(mapping.start, mapping.layout) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_zeroed_aligned_and_writable_to_their_end() {
        for bytes in [0, 1, 4096, (2 << 20) - 1, 2 << 20, (5 << 20) + 7] {
            let region = Region::zeroed(bytes, "a test").expect("a little memory");
            assert!(region.start().addr().is_multiple_of(ALIGNMENT));
            // SAFETY: the region is this long and nobody else knows it.
            let all = unsafe { std::slice::from_raw_parts_mut(region.start(), bytes) };
            assert!(all.iter().all(|&byte| byte == 0));
            all.fill(1);
        }
    }

    #[test]
    fn more_than_there_is_gives_an_error() {
        for bytes in [usize::MAX, usize::MAX / 2, 1 << 46] {
            let error = Region::zeroed(bytes, "everything").expect_err("too much");
            assert!(error.message().contains("no memory for everything"), "{error}");
        }
    }
}
