//! What a body may become once it is decoded: how deep it may nest, and how much memory it may take for its length.
//!
//! `{}` is two bytes and a tree's node of 700 in memory: whoever decodes what a stranger sent charges each value to an
//! [`Allowance`] before it is made.

/// Lists and dicts may nest this deep; a deeper body is refused rather than recursed into.
pub(crate) const MAX_DEPTH: usize = 32;
/// Bytes of memory that every body may take.
const BASE: usize = 1 << 20;
/// And for each of its own bytes.
const PER_BYTE: usize = 6;
/// A dict: its first node, whatever it holds.
const DICT: usize = 704;
/// An entry of a dict: nodes are half full or more.
const ENTRY: usize = 128;
/// An item of a list that grows by doubling.
const ITEM: usize = 64;
/// A string's own piece of memory, beside its bytes.
const STRING: usize = 32;

/// The body would take more memory than its length allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded;

/// The memory that one body may still take.
#[derive(Debug)]
pub(crate) struct Allowance(usize);

impl Allowance {
    /// Of a body of `length` bytes.
    pub(crate) const fn of_body(length: usize) -> Self {
        Self(BASE.saturating_add(length.saturating_mul(PER_BYTE)))
    }

    pub(crate) const fn dict(&mut self) -> Result<(), Exceeded> {
        self.take(DICT)
    }

    pub(crate) const fn entry(&mut self) -> Result<(), Exceeded> {
        self.take(ENTRY)
    }

    pub(crate) const fn item(&mut self) -> Result<(), Exceeded> {
        self.take(ITEM)
    }

    pub(crate) const fn string(&mut self, length: usize) -> Result<(), Exceeded> {
        self.take(length.saturating_add(STRING))
    }

    const fn take(&mut self, bytes: usize) -> Result<(), Exceeded> {
        match self.0.checked_sub(bytes) {
            Some(rest) => {
                self.0 = rest;
                Ok(())
            }
            None => Err(Exceeded),
        }
    }
}
