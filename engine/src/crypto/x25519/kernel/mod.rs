//! The generic vector code, for tests: in lanes that need no special processor, and in ranges instead of numbers.

mod batch;
mod field;
mod field25;
mod field52;
mod ladder;
mod lanes;
mod portable;
mod ranges;
