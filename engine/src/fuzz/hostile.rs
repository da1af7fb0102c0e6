//! Mutations of examples.

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};

/// One change of a byte string.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Truncate(Index),
    Repeat(Index, usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| index.index(bytes.len() + 1);
        match self {
            Self::Flip(index, mask) => {
                let at = at(index);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }
            Self::Insert(index, piece) => {
                let at = at(index);
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Remove(index, length) => {
                let at = at(index);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Self::Truncate(index) => bytes.truncate(at(index)),
            Self::Repeat(index, length) => {
                let at = at(index);
                let piece = bytes[at..bytes.len().min(at + length)].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// Pieces that mean something to one of the formats.
const WORDS: &[&str] = &[
    "i0e",
    "i-1e",
    "i18446744073709551615e",
    "d",
    "l",
    "e",
    "0:",
    "99999999999:",
    "de",
    "le",
    "{}",
    "[]",
    "null",
    "true",
    "-1",
    "1e999",
    "\"",
    "\\u0000",
    "\\ud800",
    "{\"",
    "[[[[[[[[",
    "llllllll",
    "all",
    "\0\0\0\0",
    "\u{ff}\u{ff}",
    "9999999:",
];

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![vec(any::<u8>(), 0..8), select(WORDS).prop_map(|word| word.as_bytes().to_vec()),];
    prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(index, mask)| Change::Flip(index, mask)),
        3 => (any::<Index>(), piece).prop_map(|(index, piece)| Change::Insert(index, piece)),
        2 => (any::<Index>(), 1_usize..12).prop_map(|(index, length)| Change::Remove(index, length)),
        1 => any::<Index>().prop_map(Change::Truncate),
        1 => (any::<Index>(), 1_usize..64).prop_map(|(index, length)| Change::Repeat(index, length)),
    ]
}

/// Bytes that were one of the `examples` once, or never were anything.
pub(super) fn hostile(examples: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let mutated = (select(examples), vec(change(), 0..5)).prop_map(|(mut bytes, changes)| {
        for change in &changes {
            change.apply(&mut bytes);
        }
        bytes
    });
    prop_oneof![9 => mutated, 1 => vec(any::<u8>(), 0..300)]
}
