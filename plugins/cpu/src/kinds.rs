//! The kinds of op that a profile tells apart.
//!
//! Work on rows has one kind for each thing that is done; products have one for each use of
//! matrices and dtype, because a dtype decides how much is read and how fast it is multiplied.
//! Kinds are settled when a graph is scheduled, so that a step looks nothing up.

use crate::kernel::Kernel;

/// One kind of op; its number is its place among [`Kinds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind(usize);

impl Kind {
    pub(crate) const EMBEDDING: Self = Self(0);
    pub(crate) const COPY: Self = Self(1);
    pub(crate) const POOL: Self = Self(2);
    pub(crate) const NORM: Self = Self(3);
    pub(crate) const ROPE: Self = Self(4);
    pub(crate) const ELEMENTWISE: Self = Self(5);
    pub(crate) const PREPARE: Self = Self(6);
    pub(crate) const STORE: Self = Self(7);
    pub(crate) const ATTENTION: Self = Self(8);
    pub(crate) const ROUTING: Self = Self(9);

    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// What the kinds without a matrix are called, in the order of their numbers.
const PLAIN: [&str; 10] = [
    "embedding rows",
    "copy",
    "pool",
    "norm",
    "rope",
    "elementwise",
    "prepare inputs",
    "kv store",
    "attention",
    "routing",
];

/// The kinds of one graph.
#[derive(Debug)]
pub(crate) struct Kinds(Vec<KindInfo>);

/// What to tell people about a kind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KindInfo {
    pub(crate) name: String,
    /// Whether it multiplies 8-bit integers.
    pub(crate) int8: bool,
}

impl Kinds {
    pub(crate) fn new() -> Self {
        let plain = |name: &str| KindInfo { name: name.to_owned(), int8: false };
        Self(PLAIN.into_iter().map(plain).collect())
    }

    /// The kind of products for `purpose` with matrices of a kernel.
    pub(crate) fn product(&mut self, purpose: &str, kernel: &Kernel) -> Kind {
        let name = format!("{purpose} {}", kernel.label());
        let info = KindInfo { name, int8: kernel.multiplies_int8() };
        let known = self.0.iter().position(|kind| *kind == info);
        Kind(known.unwrap_or_else(|| {
            self.0.push(info);
            self.0.len() - 1
        }))
    }

    /// All of them, in the order of their numbers.
    pub(crate) fn all(&self) -> &[KindInfo] {
        &self.0
    }
}
