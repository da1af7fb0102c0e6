//! Whom to compare with, and when. What is wished for later never puts off what is planned, and is not lost with it.

use std::{
    collections::{HashMap, hash_map::Entry},
    time::Instant,
};

use crate::types::Ed25519PublicKey;

/// A member to compare with.
struct Wish {
    next: Instant,
    /// How often that was tried in vain.
    attempts: u32,
    /// And once more then.
    then: Option<Instant>,
}

/// At most two comparisons are planned with each member.
#[derive(Default)]
pub(super) struct Wishes(HashMap<Ed25519PublicKey, Wish>);

impl Wishes {
    /// Compare with `member` at `at`, after so many `attempts`.
    pub(super) fn add(&mut self, member: Ed25519PublicKey, at: Instant, attempts: u32) {
        match self.0.entry(member) {
            Entry::Vacant(place) => {
                place.insert(Wish { next: at, attempts, then: None });
            }
            Entry::Occupied(place) => {
                let wish = place.into_mut();
                let later = wish.next.max(at);
                if at < wish.next {
                    (wish.next, wish.attempts) = (at, attempts);
                }
                if later > wish.next {
                    wish.then = wish.then.max(Some(later));
                }
            }
        }
    }

    /// A member whose time has come, and how often it was tried.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Ed25519PublicKey, u32)> {
        let (member, wish) = self.0.iter_mut().find(|(_, wish)| wish.next <= now)?;
        let due = (*member, wish.attempts);
        match wish.then.take() {
            Some(then) => (wish.next, wish.attempts) = (then, 0),
            None => drop(self.0.remove(&due.0)),
        }
        Some(due)
    }

    /// When the first is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|wish| wish.next).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_wishes_again_and_again_puts_nothing_off() {
        let (mut wishes, member, start) = (Wishes::default(), Ed25519PublicKey([1; 32]), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        wishes.add(member, at(6), 0);
        // Each time for six seconds from then.
        (1..=6).for_each(|second| wishes.add(member, at(second + 6), 0));
        assert_eq!((wishes.next(), wishes.take_due(at(5))), (Some(at(6)), None));
        assert_eq!(wishes.take_due(at(6)), Some((member, 0)));
        // The last of them is not lost.
        assert_eq!((wishes.next(), wishes.take_due(at(11))), (Some(at(12)), None));
        assert_eq!((wishes.take_due(at(12)), wishes.next()), (Some((member, 0)), None));
    }

    #[test]
    fn what_is_wished_for_sooner_comes_first_and_a_failure_is_tried_again() {
        let (mut wishes, member, start) = (Wishes::default(), Ed25519PublicKey([1; 32]), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        wishes.add(member, at(300), 0);
        wishes.add(member, at(0), 0);
        assert_eq!(wishes.take_due(at(0)), Some((member, 0)));
        wishes.add(member, at(1), 1);
        assert_eq!(wishes.take_due(at(1)), Some((member, 1)));
        assert_eq!(wishes.next(), Some(at(300)));
    }
}
