//! The generic vector code, for tests: in lanes that need no special processor, and in ranges instead of numbers.

#![allow(
    clippy::absurd_extreme_comparisons,
    clippy::manual_is_multiple_of,
    clippy::needless_range_loop,
    reason = "formulas of limbs and columns are read by their indices"
)]

mod batch;
mod doubles;
mod edwards;
mod field;
mod field25;
mod field52;
mod ladder;
mod lanes;
mod portable;
mod ranges;
mod signature;
