//! Stores as clients have signed them, for as long as another member would still take them.
//!
//! A member of a version that loses namespaces in transfers is given what it missed in this form, while it can be.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use bytes::Bytes;

use crate::types::MessageHash;

/// Bytes kept at most; the oldest go first.
const ROOM: usize = 16 << 20;
/// What an entry takes beside its params, about.
const OVERHEAD: usize = 256;

/// A forwarded `store`.
struct Original {
    hash: MessageHash,
    params: Bytes,
    until: Instant,
}

/// The stores that are kept.
#[derive(Default)]
pub(super) struct Originals {
    /// By age.
    entries: BTreeMap<u64, Original>,
    places: HashMap<MessageHash, u64>,
    next: u64,
    bytes: usize,
}

impl Originals {
    /// Keeps the `params` of the store of `hash`, which is taken `until` then.
    pub(super) fn keep(&mut self, hash: MessageHash, params: Bytes, until: Instant) {
        self.forget(&hash);
        self.bytes += params.len() + OVERHEAD;
        self.places.insert(hash, self.next);
        self.entries.insert(self.next, Original { hash, params, until });
        self.next += 1;
        while let Some((_, oldest)) = self.entries.first_key_value()
            && (self.bytes > ROOM || oldest.until <= Instant::now())
        {
            let hash = oldest.hash;
            self.forget(&hash);
        }
    }

    /// The params of the store of `hash`, if they would still be taken.
    pub(super) fn get(&self, hash: &MessageHash) -> Option<Bytes> {
        let original = self.entries.get(self.places.get(hash)?)?;
        (original.until > Instant::now()).then(|| original.params.clone())
    }

    /// Nobody is given this any more.
    pub(super) fn forget(&mut self, hash: &MessageHash) {
        if let Some(original) = self.places.remove(hash).and_then(|place| self.entries.remove(&place)) {
            self.bytes -= original.params.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_oldest_go_and_what_nobody_takes_is_not_given() {
        let (mut originals, later) = (Originals::default(), Instant::now() + Duration::from_secs(60));
        let hash = |number: u8| MessageHash([number; 32]);
        originals.keep(hash(1), Bytes::from_static(b"gone"), Instant::now());
        assert_eq!((originals.get(&hash(1)), originals.bytes), (None, 0));
        for number in 2..6 {
            originals.keep(hash(number), Bytes::from(vec![number; ROOM / 3 - OVERHEAD]), later);
        }
        let held: Vec<u8> = (1..6).filter(|number| originals.get(&hash(*number)).is_some()).collect();
        assert_eq!(held, [3, 4, 5]);
        originals.keep(hash(4), Bytes::new(), later);
        assert_eq!((originals.get(&hash(4)), originals.places.len()), (Some(Bytes::new()), 3));
        (1..6).for_each(|number| originals.forget(&hash(number)));
        assert_eq!((originals.entries.len(), originals.bytes), (0, 0));
    }
}
