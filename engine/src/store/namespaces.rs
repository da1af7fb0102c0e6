//! The namespace of a message that came without its own, found by its hash (`spec/swarms` §4).
//!
//! Nodes before 2.11.3 lose it on the way; the hash covers it, and clients know the message by that hash alone.

use std::collections::BTreeSet;

use blake2b_simd::many::{HashManyJob, MAX_DEGREE, hash_many};
use parking_lot::Mutex;

use crate::types::{AccountId, MessageHash, Namespace};

/// Those that clients use.
const IN_USE: [i16; 13] = [0, 2, 3, 4, 5, 11, 12, 13, 14, 21, -10, -11, -21];
/// Those that are tried after them.
const NEAR: std::ops::RangeInclusive<i16> = -128..=127;
/// Farther ones that a node remembers to have seen. A message costs as many hashes at most as there are of all three
/// kinds: some 320.
const REMEMBERED: usize = 64;
/// Bytes that may be hashed for the messages of one transfer: a fraction of a second. [`IN_USE`] takes half of it for the
/// largest blob.
const BUDGET: usize = 256 << 20;
/// What BLAKE2b hashes at once.
const BLOCK: usize = 128;

/// Namespaces beyond -128 to 127 that a node has seen since it started, the latest first.
#[derive(Default)]
pub struct SeenNamespaces(Mutex<Vec<i16>>);

impl SeenNamespaces {
    /// A message is in `namespace`.
    pub fn note(&self, namespace: Namespace) {
        if NEAR.contains(&namespace.0) {
            return;
        }
        let mut seen = self.0.lock();
        if seen.first() == Some(&namespace.0) {
            return;
        }
        seen.retain(|other| *other != namespace.0);
        seen.truncate(REMEMBERED - 1);
        seen.insert(0, namespace.0);
    }

    /// To look for the namespaces of one transfer's messages.
    #[must_use]
    pub fn search(&self) -> NamespaceSearch {
        NamespaceSearch { latest: self.0.lock().clone(), budget: BUDGET, inputs: Default::default() }
    }
}

/// Looks for the namespaces of one transfer's messages. Slow: not for threads that serve.
pub struct NamespaceSearch {
    /// Found lately, the latest first; neighbours in a blob are alike.
    latest: Vec<i16>,
    /// Bytes that still may be hashed.
    budget: usize,
    inputs: [Vec<u8>; MAX_DEGREE],
}

impl NamespaceSearch {
    /// For the files of whoever runs the node, who may wait.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { latest: Vec::new(), budget: usize::MAX, inputs: Default::default() }
    }

    /// Where `data` has the hash `hash`: in `named`, in another namespace, or, as far as was looked, in none.
    #[must_use]
    pub fn find(
        &mut self,
        account: &AccountId,
        hash: &MessageHash,
        data: &[u8],
        named: Namespace,
    ) -> Option<Namespace> {
        if MessageHash::of(account, named, data) == *hash {
            return Some(named);
        }
        let candidates: Vec<i16> = self.latest.iter().copied().chain(IN_USE).chain(NEAR).collect();
        let mut tried = BTreeSet::from([named.0]);
        let fresh: Vec<i16> = candidates.into_iter().filter(|candidate| tried.insert(*candidate)).collect();
        let cost = (account.0.len() + 6 + data.len()).next_multiple_of(BLOCK);
        for together in fresh.chunks(MAX_DEGREE) {
            self.budget = self.budget.checked_sub(cost * together.len())?;
            if let Some(found) = self.first_of(together, account, hash, data) {
                self.latest.retain(|other| *other != found);
                self.latest.truncate(REMEMBERED - 1);
                self.latest.insert(0, found);
                return Some(Namespace(found));
            }
        }
        None
    }

    /// The one of a few candidates, hashed side by side, that gives `hash`.
    fn first_of(&mut self, candidates: &[i16], account: &AccountId, hash: &MessageHash, data: &[u8]) -> Option<i16> {
        for (input, candidate) in self.inputs.iter_mut().zip(candidates) {
            input.clear();
            input.extend_from_slice(&account.0);
            input.extend_from_slice(Namespace(*candidate).signed_text().as_bytes());
            input.extend_from_slice(data);
        }
        let params = MessageHash::params();
        let job = |input| HashManyJob::new(&params, input);
        let mut jobs: Vec<HashManyJob<'_>> =
            self.inputs.iter().take(candidates.len()).map(|input| job(input.as_slice())).collect();
        hash_many(jobs.iter_mut());
        let found = jobs.iter().position(|job| job.to_hash().as_bytes() == hash.0)?;
        candidates.get(found).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_tells_the_namespace() {
        let account = AccountId([5; 33]);
        let seen = SeenNamespaces::default();
        seen.note(Namespace(-1230));
        let mut search = seen.search();
        for number in IN_USE.into_iter().chain([1, -128, 127, -1230]) {
            for data in [b"".as_slice(), b"message", &[7; 76_800]] {
                let hash = MessageHash::of(&account, Namespace(number), data);
                assert_eq!(search.find(&account, &hash, data, Namespace(0)), Some(Namespace(number)), "{number}");
                assert_eq!(search.find(&account, &hash, data, Namespace(42)), Some(Namespace(number)), "{number}");
            }
        }
        let hash = MessageHash::of(&account, Namespace(400), b"message");
        assert_eq!(search.find(&account, &hash, b"message", Namespace(0)), None);
        seen.note(Namespace(400));
        assert_eq!(seen.search().find(&account, &hash, b"message", Namespace(0)), Some(Namespace(400)));
    }

    #[test]
    fn what_is_remembered_and_what_is_hashed_has_an_end() {
        let seen = SeenNamespaces::default();
        (1000..2000).for_each(|number| seen.note(Namespace(number)));
        seen.note(Namespace(1990));
        let latest = seen.search().latest;
        assert_eq!((latest.len(), latest[0], latest[1], latest[10]), (REMEMBERED, 1990, 1999, 1989));
        let (account, foreign) = (AccountId([5; 33]), MessageHash([1; 32]));
        let mut search = seen.search();
        search.budget = 10 * MAX_DEGREE * BLOCK;
        assert_eq!(search.find(&account, &foreign, b"", Namespace(0)), None);
        assert_eq!(search.budget, 0);
        // What it is called rightly costs nothing.
        let hash = MessageHash::of(&account, Namespace(7), b"");
        assert_eq!(search.find(&account, &hash, b"", Namespace(7)), Some(Namespace(7)));
        assert_eq!(search.find(&account, &hash, b"", Namespace(8)), None);
    }
}
