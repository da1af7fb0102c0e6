//! How often values were how large: two buckets to an octave, so that none is off by more than half.

use std::time::Duration;

use super::Stripes;

/// The largest value of a bucket: 1, 2, 3, 4, 6, 8, 12, 16, ….
#[must_use]
pub const fn bound(bucket: usize) -> u64 {
    match bucket {
        0 => 1,
        _ if bucket % 2 == 1 => 1 << bucket.div_ceil(2),
        _ => 3 << (bucket / 2 - 1),
    }
}

/// The bucket of a value.
const fn bucket(value: u64) -> usize {
    if value <= 1 {
        return 0;
    }
    let below = value - 1;
    let octave = below.ilog2();
    let upper = octave == 0 || below >> (octave - 1) & 1 == 1;
    2 * octave as usize + upper as usize
}

/// Buckets of a duration: up to 33 s.
const OF_TIMES: usize = 50;

/// Histograms of one kind.
#[derive(Debug)]
pub struct Histograms {
    cells: Stripes,
    buckets: usize,
}

/// What a histogram has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// How many values are in each bucket ([`bound`]), and last how many are beyond all.
    pub counts: Vec<u64>,
    /// Of all values: nanoseconds, for durations.
    pub sum: u64,
}

impl Distribution {
    /// How many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Histograms {
    /// Of durations, in buckets of microseconds.
    #[must_use]
    pub fn of_times(series: usize) -> Self {
        Self { cells: Stripes::new(series * (OF_TIMES + 2)), buckets: OF_TIMES }
    }

    /// Of numbers of things, up to `most` and beyond.
    #[must_use]
    pub fn of_sizes(series: usize, most: usize) -> Self {
        let buckets = bucket(most as u64) + 1;
        Self { cells: Stripes::new(series * (buckets + 2)), buckets }
    }

    /// One more duration.
    pub fn time(&self, series: usize, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.put(series, nanos.div_ceil(1000), nanos);
    }

    /// One more number of things.
    pub fn size(&self, series: usize, size: usize) {
        self.put(series, size as u64, size as u64);
    }

    fn put(&self, series: usize, value: u64, amount: u64) {
        let first = series * (self.buckets + 2);
        self.cells.add(first + bucket(value).min(self.buckets), 1);
        self.cells.add(first + self.buckets + 1, amount);
    }

    /// What one has by now.
    #[must_use]
    pub fn read(&self, series: usize) -> Distribution {
        let first = series * (self.buckets + 2);
        let counts = (first..=first + self.buckets).map(|cell| self.cells.sum(cell)).collect();
        Distribution { counts, sum: self.cells.sum(first + self.buckets + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_the_bucket_whose_bound_is_the_first_that_is_not_less() {
        for value in (0..5000).chain([(1 << 40) - 1, 1 << 40, (1 << 40) + 1, 3 << 39, (3 << 39) + 1]) {
            let found = bucket(value);
            assert!(value <= bound(found), "{value}");
            assert!(found == 0 || value > bound(found - 1), "{value}");
        }
        assert_eq!(bucket(u64::MAX), 127);
    }

    #[test]
    fn values_are_counted_and_added_up() {
        let times = Histograms::of_times(2);
        for nanos in [0, 1000, 1001, 2000, 33_554_432_000, 33_554_432_001] {
            times.time(1, Duration::from_nanos(nanos));
        }
        let read = times.read(1);
        assert_eq!((&read.counts[..3], &read.counts[OF_TIMES - 1..]), (&[2, 2, 0][..], &[1, 1][..]));
        assert_eq!((read.count(), read.sum), (6, 67_108_868_002));
        assert_eq!(bound(OF_TIMES - 1), 1 << 25);
        assert_eq!(times.read(0).count(), 0);
        let sizes = Histograms::of_sizes(1, 64);
        [1, 3, 64, 65].into_iter().for_each(|size| sizes.size(0, size));
        assert_eq!((sizes.read(0).counts.len(), sizes.read(0).sum), (13, 133));
        assert_eq!(sizes.read(0).counts[11..], [1, 1]);
    }
}
