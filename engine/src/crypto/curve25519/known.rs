//! What was computed of public keys that have signed before. Nothing of it is a verdict: only facts about keys, which
//! anybody could compute.
//!
//! A key is remembered once a signature of it has held. Memory is fixed. Which keys share a place depends on a secret of
//! the process. A key that is used earns credit; a new key takes the place of one without any, or else takes one credit
//! away: so a flood of new keys does not displace those that are used as often as it passes by, and costs what it costs
//! without all this, and a look at one place.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use curve25519_dalek::EdwardsPoint;
use parking_lot::Mutex;

/// Places, each with a lock of its own.
const PLACES: usize = 512;
/// Keys in one place.
const WAYS: usize = 8;
/// Credit that a key can have, at most.
const CREDIT: u8 = 7;

/// x and y of a point.
type Affine = [[u8; 32]; 2];

/// What is known of a key that is a point, and not one of small order.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::crypto) struct Known {
    /// The X25519 key that belongs to it.
    pub(in crate::crypto) x25519: Option<[u8; 32]>,
    /// The point, negated.
    pub(in crate::crypto) negated: Option<EdwardsPoint>,
    /// The same.
    pub(super) low: Option<Affine>,
    /// 2^128 times that.
    pub(super) high: Option<Affine>,
    /// It has been asked for so often, as far as that is counted.
    pub(super) uses: u8,
}

struct Entry {
    key: [u8; 32],
    known: Known,
    credit: u8,
}

#[derive(Default)]
struct Place {
    entries: Vec<Entry>,
    /// Whose turn it is to lose credit.
    hand: usize,
}

/// Known keys.
pub(in crate::crypto) struct KnownKeys {
    places: Box<[Mutex<Place>]>,
    secret: RandomState,
    count: AtomicUsize,
}

impl KnownKeys {
    pub(super) fn new() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
            secret: RandomState::new(),
            count: AtomicUsize::new(0),
        }
    }

    /// Those of this process.
    pub(in crate::crypto) fn shared() -> &'static Self {
        static KEYS: LazyLock<KnownKeys> = LazyLock::new(KnownKeys::new);
        &KEYS
    }

    fn place(&self, key: &[u8; 32]) -> &Mutex<Place> {
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let hash = self.secret.hash_one(key) as usize;
        &self.places[hash % PLACES]
    }

    /// What is known of `key`.
    pub(in crate::crypto) fn get(&self, key: &[u8; 32]) -> Option<Known> {
        let mut place = self.place(key).lock();
        let entry = place.entries.iter_mut().find(|entry| entry.key == *key)?;
        entry.credit = entry.credit.saturating_add(1).min(CREDIT);
        entry.known.uses = entry.known.uses.saturating_add(1);
        Some(entry.known)
    }

    /// Notes what is known of `key`, beside what was.
    pub(in crate::crypto) fn put(&self, key: &[u8; 32], known: &Known) {
        let mut place = self.place(key).lock();
        let place = &mut *place;
        if let Some(Entry { known: old, .. }) = place.entries.iter_mut().find(|entry| entry.key == *key) {
            old.x25519 = old.x25519.or(known.x25519);
            old.negated = old.negated.or(known.negated);
            old.low = old.low.or(known.low);
            old.high = old.high.or(known.high);
            return;
        }
        let new = Entry { key: *key, known: *known, credit: 0 };
        if place.entries.len() < WAYS {
            place.entries.reserve_exact(WAYS - place.entries.len());
            place.entries.push(new);
            self.count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let hand = place.hand;
        place.hand = (hand + 1) % WAYS;
        let old = &mut place.entries[hand];
        match old.credit.checked_sub(1) {
            Some(left) => old.credit = left,
            None => *old = new,
        }
    }

    /// Bytes that keys take, and may take.
    pub(super) fn bytes(&self) -> (usize, usize) {
        let each = size_of::<Entry>();
        (self.count.load(Ordering::Relaxed) * each, PLACES * WAYS * each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> [u8; 32] {
        let mut key = [7; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        key
    }

    fn known(number: u8) -> Known {
        Known { x25519: Some([number; 32]), ..Known::default() }
    }

    #[test]
    fn what_is_known_is_kept_and_grows() {
        let keys = KnownKeys::new();
        assert!(keys.get(&key(1)).is_none());
        keys.put(&key(1), &known(1));
        keys.put(&key(1), &Known { low: Some([[2; 32]; 2]), x25519: Some([9; 32]), ..Known::default() });
        let found = keys.get(&key(1)).unwrap();
        assert_eq!((found.x25519, found.low, found.high), (Some([1; 32]), Some([[2; 32]; 2]), None));
        assert_eq!((found.uses, keys.get(&key(1)).unwrap().uses), (1, 2));
        assert!(keys.get(&key(2)).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let keys = KnownKeys::new();
        for number in 0..50_000 {
            keys.put(&key(number), &known(1));
        }
        let (used, most) = keys.bytes();
        assert_eq!(used, most);
        assert!(most < 2 << 20, "{most}");
        let held = keys.places.iter().map(|place| place.lock().entries.capacity()).sum::<usize>();
        assert_eq!(held * size_of::<Entry>(), most);
    }

    /// Whatever secret there is: who comes back before a flood has gone round has credit again.
    #[test]
    fn a_flood_of_new_keys_leaves_those_that_are_used() {
        let keys = KnownKeys::new();
        let hot = key(u32::MAX);
        keys.put(&hot, &known(1));
        for number in 0..20_000 {
            assert!(keys.get(&hot).is_some(), "{number}");
            keys.put(&key(number), &known(2));
        }
        // Others that were used much last for a while, then give way.
        let keys = KnownKeys::new();
        keys.put(&hot, &known(1));
        for _ in 0..100 {
            keys.get(&hot);
        }
        let place = keys.place(&hot);
        let rivals: Vec<_> =
            (0..).map(key).filter(|key| std::ptr::eq(keys.place(key), place)).take(WAYS * 10).collect();
        for (number, rival) in rivals.iter().enumerate() {
            keys.put(rival, &known(3));
            let there = place.lock().entries.iter().any(|entry| entry.key == hot);
            // Those that fill the place, then one round for each credit and one for the key itself.
            assert_eq!(there, number < (WAYS - 1) + WAYS * usize::from(CREDIT), "{number}");
        }
    }
}
