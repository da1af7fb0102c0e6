//! Counters in parts.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread::available_parallelism,
};

/// Counters in a line. Processors fetch two lines of 64 bytes at once.
const LINE: usize = 16;
/// Parts that a counter has at most.
const MOST: usize = 64;

#[repr(align(128))]
#[derive(Default)]
struct Line([AtomicU64; LINE]);

/// Some counters. Their sums may run over, and then begin at 0 again.
pub struct Stripes {
    /// Those of one part, then those of the next.
    lines: Box<[Line]>,
    lines_of_part: usize,
    parts: usize,
}

/// The number of this thread among those that asked for theirs.
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // One that is ending is as the first.
    OWN.try_with(|own| *own).unwrap_or(0)
}

impl Stripes {
    /// With so many counters, all 0.
    #[must_use]
    pub fn new(counters: usize) -> Self {
        let parts = available_parallelism().map_or(1, usize::from).next_power_of_two().min(MOST);
        let lines_of_part = counters.div_ceil(LINE);
        let lines = (0..parts * lines_of_part).map(|_| Line::default()).collect();
        Self { lines, lines_of_part, parts }
    }

    /// Adds to a counter. One that is not there is not counted.
    pub fn add(&self, counter: usize, more: u64) {
        let part = thread_number() & (self.parts - 1);
        let line = counter / LINE;
        if line < self.lines_of_part
            && let Some(line) = self.lines.get(part * self.lines_of_part + line)
        {
            line.0[counter % LINE].fetch_add(more, Ordering::Relaxed);
        }
    }

    /// What a counter has come to.
    #[must_use]
    pub fn sum(&self, counter: usize) -> u64 {
        let parts = self.lines.chunks_exact(self.lines_of_part.max(1));
        let of_part =
            |part: &[Line]| part.get(counter / LINE).map_or(0, |l| l.0[counter % LINE].load(Ordering::Relaxed));
        parts.map(of_part).fold(0, u64::wrapping_add)
    }
}

impl std::fmt::Debug for Stripes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stripes").field("counters", &(self.lines_of_part * LINE)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_however_many_threads_count() {
        let stripes = Stripes::new(LINE + 3);
        std::thread::scope(|scope| {
            for _ in 0..MOST + 9 {
                scope.spawn(|| (0..1000).for_each(|_| (0..LINE + 3).for_each(|counter| stripes.add(counter, 2))));
            }
        });
        for counter in 0..LINE + 3 {
            assert_eq!(stripes.sum(counter), 2000 * (MOST as u64 + 9));
        }
        stripes.add(2 * LINE, 1);
        assert_eq!((stripes.sum(2 * LINE), stripes.sum(0)), (0, 2000 * (MOST as u64 + 9)));
    }
}
