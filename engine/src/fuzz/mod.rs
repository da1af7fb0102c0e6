//! Everything that reads bytes from outside, as functions of bytes: none panics, and none takes more memory than
//! [`allowed`].
//!
//! Examples are in `engine/fuzz/seeds`; add one when a new form comes. `engine/fuzz/corpus` has what fuzzing led by coverage
//! has found, as few as reach the same code (`make fuzz-coverage`). `make test` reads all of both, and mutations of them;
//! `make fuzz` a million mutations for each reader.

#[cfg(test)]
mod hostile;
pub(crate) mod memory;
mod node;
mod parsers;

use crate::{replicate, store, transport};

/// Takes bytes from outside; how many bytes of answers it gave, if it gives any.
type Read = fn(&[u8]) -> usize;

/// The readers, by the names of their examples' directories.
const READERS: [(&str, Read); 10] = [
    ("json", node::json),
    ("bencode", node::bencode),
    ("onion", parsers::onion),
    ("hop", parsers::hop),
    ("omq", transport::server::omq::fuzz_message),
    ("quic", transport::quic::frame::fuzz_stream),
    ("transfer", parsers::transfer),
    ("reconcile", replicate::fuzz_things),
    ("redo", store::fuzz_wal),
    ("import", store::fuzz_import),
];

/// Bytes of memory that a reader may hold at once for `bytes` that came, and went as answers.
const fn allowed(bytes: usize) -> usize {
    64 * bytes + (1 << 20)
}

/// Lets a reader read.
///
/// # Panics
/// When there is no such reader, what it read was not read as it should be, or it took too much memory.
#[allow(clippy::panic)]
pub fn check(reader: &str, bytes: &[u8]) {
    let Some((_, read)) = READERS.iter().find(|(name, _)| *name == reader) else { panic!("no reader {reader:?}") };
    // What is made at the first use is not of the bytes.
    read(&[]);
    let (answered, peak) = memory::peak(|| read(bytes));
    let allowed = allowed(bytes.len() + answered);
    assert!(peak <= allowed, "{reader}: {peak} bytes held for {} and {answered} of answers", bytes.len());
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use proptest::prelude::*;

    use super::{READERS, check, hostile::hostile};

    /// The examples of a reader, and what was found for it.
    pub(super) fn examples(reader: &str) -> Vec<Vec<u8>> {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let directories = ["seeds", "corpus"].map(|name| fuzz.join(name).join(reader));
        let entries = directories.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{reader} has no examples");
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    #[test]
    fn what_was_found_is_read() {
        for (reader, _) in READERS {
            examples(reader).iter().for_each(|bytes| check(reader, bytes));
        }
    }

    macro_rules! fuzz {
        ($($test:ident $reader:literal)*) => {
            proptest! {
                $(#[test]
                fn $test(bytes in hostile(examples($reader))) {
                    check($reader, &bytes);
                })*
            }
            const TESTED: [&str; READERS.len()] = [$($reader),*];
        };
    }

    fuzz! {
        fuzz_json "json"
        fuzz_bencode "bencode"
        fuzz_onion "onion"
        fuzz_hop "hop"
        fuzz_omq "omq"
        fuzz_quic "quic"
        fuzz_transfer "transfer"
        fuzz_reconcile "reconcile"
        fuzz_wal "redo"
        fuzz_import "import"
    }

    #[test]
    fn all_are_fuzzed_and_have_targets() {
        assert_eq!(READERS.map(|(name, _)| name), TESTED);
        let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        let mut targets: Vec<_> = fs::read_dir(targets).unwrap().map(|entry| entry.unwrap().path()).collect();
        targets.sort();
        let mut names: Vec<_> = READERS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let stems: Vec<_> = targets.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(stems, names);
    }

    #[test]
    #[should_panic(expected = "held")]
    fn too_much_memory_is_seen() {
        let (_, peak) = super::memory::peak(|| Vec::<u8>::with_capacity(2 << 20).capacity());
        assert!(peak <= super::allowed(0), "{peak} held");
    }
}
