//! The node's wall clock, corrected by those of other nodes where it disagrees with most of them.
//!
//! What others say is held against a clock that nobody sets, so that a wall clock which is set wrong is known to be so at
//! once, and not only when others are asked again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::types::Millis;

/// A wall clock that differs by no more is as good as another: half of what a client's may (`spec/node-rpc` §2.5).
pub const TOLERANCE: Duration = Duration::from_secs(5);

/// Stands for a time that nobody has told.
const UNKNOWN: i64 = i64::MIN;

/// The system's clock, moved by an offset that tests and devnets may set; in its place the other nodes' time, where that is
/// known and another. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// What runs evenly is counted from here.
    began: Instant,
    offset_ms: AtomicI64,
    /// What it was then by the clocks of others, or [`UNKNOWN`].
    others_ms: AtomicI64,
    /// Others are still to be asked: as long as they may say that it is earlier, nothing expires.
    unsure: AtomicBool,
}

impl Default for Parts {
    fn default() -> Self {
        let (offset_ms, others_ms) = (AtomicI64::new(0), AtomicI64::new(UNKNOWN));
        Self { began: Instant::now(), offset_ms, others_ms, unsure: AtomicBool::new(false) }
    }
}

impl Clock {
    /// One by which nothing expires before [`Self::correct`] or [`Self::trust_own`].
    #[must_use]
    pub fn unsure() -> Self {
        Self(Arc::new(Parts { unsure: AtomicBool::new(true), ..Parts::default() }))
    }

    /// Now: by the system's clock, unless that is further than [`TOLERANCE`] from the others'.
    #[must_use]
    pub fn now(&self) -> Millis {
        let own = self.own();
        self.others().filter(|others| others.0.abs_diff(own.0) > TOLERANCE_MS).unwrap_or(own)
    }

    /// What goes by then may go now: the earlier of the system's time and the others', or none before others were asked.
    #[must_use]
    pub fn expiring(&self) -> Millis {
        if self.0.unsure.load(Ordering::Relaxed) { Millis(0) } else { self.own().min(self.now()) }
    }

    /// How far the system's clock is ahead of the others', in milliseconds; `None` while that is not known.
    #[must_use]
    pub fn ahead(&self) -> Option<i64> {
        let signed = |time: Millis| i64::try_from(time.0).unwrap_or(i64::MAX);
        self.others().map(|others| signed(self.own()).saturating_sub(signed(others)))
    }

    /// What [`Self::now`] would have said when the clock was made, in milliseconds of Unix time: changes by as much as the
    /// time jumps, and does not as it passes.
    #[must_use]
    pub fn shift(&self) -> i64 {
        self.shift_of(self.now())
    }

    /// As [`Self::shift`], of the system's clock alone.
    #[must_use]
    pub fn own_shift(&self) -> i64 {
        self.shift_of(self.own())
    }

    /// From now on the others' time is this ([`Self::shift_at`]).
    pub fn correct(&self, shift: i64) {
        self.0.others_ms.store(shift, Ordering::Relaxed);
        self.0.unsure.store(false, Ordering::Relaxed);
    }

    /// From now on the system's clock counts: there is nobody to ask.
    pub fn trust_own(&self) {
        self.correct(UNKNOWN);
    }

    /// The [`Self::shift`] of a clock that says `time` at `instant`.
    #[must_use]
    pub fn shift_at(&self, time: Millis, instant: Instant) -> i64 {
        let passed = instant.saturating_duration_since(self.0.began).as_millis();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        i64::try_from(time.0).unwrap_or(i64::MAX).saturating_sub(passed)
    }

    /// Runs `ms` ahead of the system's clock from now on (behind it, when negative).
    pub fn set_offset(&self, ms: i64) {
        self.0.offset_ms.store(ms, Ordering::Relaxed);
    }

    fn own(&self) -> Millis {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let system = u64::try_from(system).unwrap_or(u64::MAX);
        Millis(system.saturating_add_signed(self.0.offset_ms.load(Ordering::Relaxed)))
    }

    fn others(&self) -> Option<Millis> {
        let shift = self.0.others_ms.load(Ordering::Relaxed);
        let passed = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        (shift != UNKNOWN).then(|| Millis(passed.saturating_add_signed(shift)))
    }

    fn shift_of(&self, now: Millis) -> i64 {
        self.shift_at(now, Instant::now())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seconds")]
const TOLERANCE_MS: u64 = TOLERANCE.as_millis() as u64;

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: i64 = 8 * 3_600_000;

    fn apart(one: Millis, other: Millis) -> u64 {
        one.0.abs_diff(other.0)
    }

    #[test]
    fn a_clock_that_is_set_wrong_is_known_to_be_so_at_once() {
        let (clock, right) = (Clock::default(), Clock::default());
        clock.correct(clock.shift());
        for ms in [HOURS, 0, -HOURS] {
            clock.set_offset(ms);
            assert!(apart(clock.now(), right.now()) < 1000, "{ms}");
            assert!(clock.ahead().unwrap().abs_diff(ms) < 1000, "{ms}");
            // Never too early, whoever of them is right.
            let earliest = right.now().0.saturating_add_signed(ms.min(0));
            assert!(clock.expiring().0.abs_diff(earliest) < 1000, "{ms}");
        }
        // What is as good as another's is not touched.
        clock.set_offset(4000);
        assert!(apart(clock.now(), right.now()) > 3000);
        clock.set_offset(HOURS);
        clock.trust_own();
        assert!(apart(clock.now(), right.now()) > 3_600_000 && clock.ahead().is_none());
    }

    #[test]
    fn nothing_expires_before_others_were_asked() {
        let clock = Clock::unsure();
        assert_eq!(clock.expiring(), Millis(0));
        clock.trust_own();
        assert!(apart(clock.expiring(), clock.now()) < 1000);
    }
}
