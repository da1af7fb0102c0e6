//! Whose turn it is to be compared with: for each comparison that another member begins we go through the store and hold
//! what was found, and it pays for nothing of that.
//!
//! One has its turn at a time, and one scan is under way at a time. A turn is one way through the store, in as many
//! sessions as it takes. Those who were told to wait come before those who have had a turn since, and who has made us scan
//! for long rests for a multiple of it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::types::{AccountId, Ed25519PublicKey};

/// Who is silent for this long has had its turn; and whose turn lasts for that long, when somebody else asks.
const SILENT: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(120);
/// Scanning that a member may cause at any time, and how many times as long as more of it is the rest that follows.
const FREE: Duration = Duration::from_secs(1);
const REST: u32 = 4;
/// Who was told to wait, and does not ask again for this long, does not wait any more.
const PATIENCE: Duration = Duration::from_secs(30);

struct Turn {
    member: Ed25519PublicKey,
    began: Instant,
    used: Instant,
    /// Where its next session may begin; `None`: it has been through all.
    next: Option<AccountId>,
    /// It has said so.
    is_over: bool,
}

/// What a member has had.
#[derive(Clone, Copy)]
struct Served {
    last: Instant,
    /// When all that we have scanned for it is paid for by rest.
    paid: Instant,
}

#[derive(Default)]
struct TurnState {
    turn: Option<Turn>,
    is_scanning: bool,
    served: HashMap<Ed25519PublicKey, Served>,
    waiting: HashMap<Ed25519PublicKey, Instant>,
}

/// The turns of all members.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<TurnState>>);

impl Turns {
    /// Begins a session from account `first` on, if this member may; the scan for it goes on until it is dropped.
    pub(super) fn begin(&self, member: Ed25519PublicKey, first: AccountId) -> Option<Scan> {
        let now = Instant::now();
        let mut state = self.0.lock();
        let goes_on = state.goes_on(&member, first, now);
        if state.is_scanning || !(goes_on || state.may_begin(&member, now)) {
            state.waiting.insert(member, now);
            return None;
        }
        state.waiting.remove(&member);
        match &mut state.turn {
            Some(turn) if goes_on => turn.used = now,
            turn => *turn = Some(Turn { member, began: now, used: now, next: None, is_over: false }),
        }
        state.is_scanning = true;
        Some(Scan { turns: self.clone(), member, began: now, next: None })
    }

    /// The member makes use of its turn.
    pub(super) fn used(&self, member: &Ed25519PublicKey) {
        if let Some(turn) = self.0.lock().turn.as_mut().filter(|turn| turn.member == *member) {
            turn.used = Instant::now();
        }
    }

    /// The member has ended its session, and with it its turn unless there is more to compare.
    pub(super) fn end(&self, member: &Ed25519PublicKey) {
        if let Some(turn) = self.0.lock().turn.as_mut().filter(|turn| turn.member == *member) {
            turn.is_over = turn.next.is_none();
        }
    }
}

impl TurnState {
    /// Whether this would be the next session of a turn.
    fn goes_on(&self, member: &Ed25519PublicKey, first: AccountId, now: Instant) -> bool {
        self.turn.as_ref().is_some_and(|turn| {
            turn.member == *member && now < turn.began + LONGEST && turn.next.is_some_and(|next| first >= next)
        })
    }

    fn may_begin(&mut self, member: &Ed25519PublicKey, now: Instant) -> bool {
        self.waiting.retain(|_, asked| now < *asked + PATIENCE);
        self.served.retain(|_, served| now < served.paid.max(served.last + PATIENCE));
        let is_taken = self.turn.as_ref().is_some_and(|turn| {
            turn.member != *member && !turn.is_over && now < turn.used + SILENT && now < turn.began + LONGEST
        });
        let served = self.served.get(member);
        let rests = served.is_some_and(|served| served.paid > now + FREE * REST);
        let last = |member: &Ed25519PublicKey| self.served.get(member).map(|served| served.last);
        let is_behind = |other: &Ed25519PublicKey| other != member && last(other) < last(member);
        !is_taken && !rests && !self.waiting.keys().any(is_behind)
    }
}

/// A scan of the store for a member, while it is under way.
pub(super) struct Scan {
    turns: Turns,
    member: Ed25519PublicKey,
    began: Instant,
    next: Option<AccountId>,
}

impl Scan {
    /// It was not all: there is more from here on.
    pub(super) const fn stopped_at(&mut self, next: Option<AccountId>) {
        self.next = next;
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.turns.0.lock();
        state.is_scanning = false;
        if let Some(turn) = state.turn.as_mut().filter(|turn| turn.member == self.member) {
            (turn.used, turn.next) = (now, self.next);
        }
        let served = state.served.entry(self.member).or_insert(Served { last: now, paid: now });
        served.last = now;
        served.paid = served.paid.max(now) + REST * (now - self.began);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ed25519PublicKey = Ed25519PublicKey([1; 32]);
    const B: Ed25519PublicKey = Ed25519PublicKey([2; 32]);
    const C: Ed25519PublicKey = Ed25519PublicKey([3; 32]);
    const START: AccountId = AccountId([0; 33]);
    const MIDDLE: AccountId = AccountId([5; 33]);

    fn ago(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()
    }

    #[test]
    fn one_scan_is_under_way_at_a_time() {
        let turns = Turns::default();
        let scan = turns.begin(A, START).unwrap();
        assert!(turns.begin(A, START).is_none() && turns.begin(B, START).is_none());
        drop(scan);
        // The turn is A's still, but B waits.
        assert!(turns.begin(B, START).is_none());
        turns.end(&A);
        assert!(turns.begin(A, START).is_none());
        assert!(turns.begin(B, START).is_some());
    }

    #[test]
    fn who_makes_us_scan_for_long_rests() {
        let turns = Turns::default();
        let mut seconds = 0;
        while let Some(mut scan) = turns.begin(A, START) {
            scan.began = ago(1);
            drop(scan);
            turns.end(&A);
            seconds += 1;
            assert!(seconds < 10, "without an end");
        }
        assert!((1..=2).contains(&seconds), "{seconds}");
        assert!(turns.begin(B, START).is_some());
        // Nobody waits but A, and B has had its turn; A has rested.
        turns.0.lock().served.get_mut(&A).unwrap().paid = Instant::now();
        turns.end(&B);
        assert!(turns.begin(A, START).is_some());
    }

    #[test]
    fn a_turn_is_one_way_through_the_store() {
        let turns = Turns::default();
        for _ in 0..5 {
            let mut scan = turns.begin(A, MIDDLE).unwrap();
            scan.began = ago(1);
            scan.stopped_at(Some(MIDDLE));
            drop(scan);
            turns.end(&A);
            assert!(turns.begin(B, START).is_none());
        }
        // From the start again is another turn.
        assert!(turns.begin(A, START).is_none());
        // No turn lasts for ever.
        turns.0.lock().turn.as_mut().unwrap().began = ago(LONGEST.as_secs());
        assert!(turns.begin(A, MIDDLE).is_none());
        assert!(turns.begin(B, START).is_some());
    }

    #[test]
    fn who_waits_comes_before_who_was_served_since() {
        let turns = Turns::default();
        for member in [A, B] {
            drop(turns.begin(member, START));
            turns.end(&member);
        }
        drop(turns.begin(C, START).unwrap());
        assert!(turns.begin(B, START).is_none() && turns.begin(A, START).is_none());
        turns.end(&C);
        assert!(turns.begin(C, START).is_none() && turns.begin(B, START).is_none());
        drop(turns.begin(A, START).unwrap());
        // Who is silent has had its turn.
        turns.0.lock().turn.as_mut().unwrap().used = ago(SILENT.as_secs());
        drop(turns.begin(B, START).unwrap());
    }
}
