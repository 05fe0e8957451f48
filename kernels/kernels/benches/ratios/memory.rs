//! Memory in huge pages, so that speeds are those of memory and not of its address translation.

use std::alloc::{Layout, alloc, handle_alloc_error};

const HUGE_PAGE: usize = 2 << 20;

/// Zeroed memory in huge pages where the system has them; never given back.
pub(crate) fn huge_pages(bytes: usize) -> &'static mut [u8] {
    let layout = Layout::from_size_align(bytes.next_multiple_of(HUGE_PAGE), HUGE_PAGE)
        .expect("a size and alignment that fit the address space");
    // SAFETY: the layout has a size above zero.
    let memory = unsafe { alloc(layout) };
    if memory.is_null() {
        handle_alloc_error(layout);
    }
    #[cfg(target_os = "linux")]
    {
        unsafe extern "C" {
            fn madvise(address: *mut u8, len: usize, advice: i32) -> i32;
        }
        const MADV_HUGEPAGE: i32 = 14;
        // Before the memory is touched: pages that are there already stay small.
        // SAFETY: the range is this allocation; the advice changes no contents.
        unsafe { madvise(memory, layout.size(), MADV_HUGEPAGE) };
    }
    // SAFETY: `alloc` gave that many bytes, which nothing else has.
    unsafe { memory.write_bytes(0, layout.size()) };
    // SAFETY: as above, and they are zero by now.
    unsafe { std::slice::from_raw_parts_mut(memory, bytes) }
}
