//! The reference itself: each op against values worked out by hand, and what must not matter to a
//! row: how its prompt is cut, and who else is in the batch.

mod faults;
mod loading;
mod model;
mod ops;
mod runner;
mod sequences;
