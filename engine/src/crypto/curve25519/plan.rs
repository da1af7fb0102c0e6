//! What is done side by side, and in which vectors: a pure function of what each way of doing it took.

use super::{MAX_BATCH, backend::Backend};

/// Sizes of batches that are measured.
pub(super) const SIZES: [usize; 4] = [1, 4, 16, MAX_BATCH];
/// A vector has to be better by one part in so many: measurements are not that exact.
const MARGIN: u64 = 16;

/// What there is to do in batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// X25519 with one secret.
    X25519,
    /// Verifying signatures of keys that are new.
    Verify,
    /// Verifying signatures of keys that were seen before.
    VerifyKnown,
    /// Signing with one key.
    Sign,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::X25519, Self::Verify, Self::VerifyKnown, Self::Sign];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X25519 => "x25519",
            Self::Verify => "verify",
            Self::VerifyKnown => "verify_known",
            Self::Sign => "sign",
        }
    }
}

/// Nanoseconds of CPU time that one kind of work took with one backend, for each of [`SIZES`].
pub(super) type Times = [u64; SIZES.len()];

/// Of each backend, [`Times`] for each work; `None` for one that the processor does not have.
pub(super) type Measured = [Option<[Times; Operation::ALL.len()]>; Backend::ALL.len()];

/// How many of a batch are done in vectors, the rest one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) backend: Backend,
    pub(super) together: u8,
}

const ALONE: Split = Split { backend: Backend::Scalar, together: 0 };

/// What is done how, for every size of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    splits: [[Split; MAX_BATCH + 1]; Operation::ALL.len()],
}

/// A straight line through what was measured: so much at once, and so much for each vector of `lanes`.
#[derive(Clone, Copy)]
struct Line {
    lanes: usize,
    once: u64,
    each: u64,
}

impl Line {
    fn through(times: &Times, lanes: usize) -> Self {
        let [one, few, _, most] = *times;
        // Four are one vector, or four times one.
        let (first, count) = if lanes == 1 { (one, 1) } else { (few, 1) };
        let vectors = (MAX_BATCH.div_ceil(lanes) - count) as u64;
        let each = most.saturating_sub(first) / vectors;
        Self { lanes, once: first.saturating_sub(each), each }
    }

    fn time(&self, count: usize) -> u64 {
        if count == 0 {
            return 0;
        }
        self.once.saturating_add(self.each.saturating_mul(count.div_ceil(self.lanes) as u64))
    }
}

impl Plan {
    /// The best for what was `measured`. A vector is used only where it is faster than one by one.
    pub(super) fn best(measured: &Measured) -> Self {
        let mut splits = [[ALONE; MAX_BATCH + 1]; Operation::ALL.len()];
        let [Some(scalar), vectors @ ..] = measured else { return Self { splits } };
        for (work, splits) in splits.iter_mut().enumerate() {
            let alone = Line::through(&scalar[work], 1);
            for (count, split) in splits.iter_mut().enumerate() {
                let mut best = alone.time(count) - alone.time(count) / MARGIN;
                for (backend, times) in Backend::ALL[1..].iter().zip(vectors) {
                    let Some(times) = times else { continue };
                    let line = Line::through(&times[work], backend.lanes());
                    let full = count - count % backend.lanes();
                    for together in [full, count] {
                        let time = line.time(together).saturating_add(alone.time(count - together));
                        if together > 0 && time < best {
                            best = time;
                            *split = Split { backend: *backend, together: together as u8 };
                        }
                    }
                }
            }
        }
        Self { splits }
    }

    /// Everything but what comes alone with `backend`.
    pub(super) fn forced(backend: Backend) -> Self {
        let split = |count: usize| if count < 2 { ALONE } else { Split { backend, together: count as u8 } };
        let scalar = backend == Backend::Scalar;
        let splits = std::array::from_fn(|count| if scalar { ALONE } else { split(count) });
        Self { splits: [splits; Operation::ALL.len()] }
    }

    /// Everything with `backend`, to measure it.
    pub(super) fn all(backend: Backend) -> Self {
        let together = |count: usize| if backend == Backend::Scalar { 0 } else { count as u8 };
        let splits = std::array::from_fn(|count| Split { backend, together: together(count) });
        Self { splits: [splits; Operation::ALL.len()] }
    }

    pub(super) fn split(&self, work: Operation, count: usize) -> Split {
        self.splits[work as usize][count.min(MAX_BATCH)]
    }

    /// Which backend is used from which size of a batch on: what comes first is of one.
    #[must_use]
    pub fn steps(&self, work: Operation) -> Vec<(Backend, usize)> {
        let mut steps = vec![(Backend::Scalar, 1)];
        for (count, split) in self.splits[work as usize].iter().enumerate().skip(1) {
            if split.together > 0 && steps.last().is_some_and(|(last, _)| *last != split.backend) {
                steps.push((split.backend, count));
            }
        }
        if steps.get(1).is_some_and(|(_, from)| *from == 1) {
            steps.remove(0);
        }
        steps
    }

    /// The backend of the largest batches.
    #[must_use]
    pub fn most(&self, work: Operation) -> Backend {
        self.splits[work as usize][MAX_BATCH].backend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same for every work.
    fn measured(scalar: Times, avx2: Option<Times>, ifma: Option<Times>) -> Measured {
        [Some(scalar), avx2, None, ifma].map(|times| times.map(|times| [times; Operation::ALL.len()]))
    }

    fn linear(each: u64) -> Times {
        SIZES.map(|size| each * size as u64)
    }

    fn vectors(once: u64, each: u64, lanes: usize) -> Times {
        SIZES.map(|size| once + each * size.div_ceil(lanes) as u64)
    }

    #[test]
    fn a_vector_is_used_where_it_is_faster() {
        // Zen 3: two alone cost less than a vector, three do not.
        let plan = Plan::best(&measured(linear(39), Some(vectors(10, 90, 4)), None));
        let together = |count| plan.split(Operation::X25519, count).together;
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(together), [0, 0, 3, 4, 4, 4, 7, 8]);
        assert_eq!(plan.steps(Operation::X25519), [(Backend::Scalar, 1), (Backend::Avx2, 3)]);
        assert_eq!(plan.most(Operation::Sign), Backend::Avx2);
        // The best of several.
        let plan = Plan::best(&measured(linear(69), Some(vectors(40, 240, 4)), Some(vectors(13, 75, 8))));
        let split = plan.split(Operation::Verify, 9);
        assert_eq!(split, Split { backend: Backend::Ifma, together: 8 });
        assert_eq!(plan.steps(Operation::Verify), [(Backend::Scalar, 1), (Backend::Ifma, 2)]);
        // One that is the fastest for one as well.
        let plan = Plan::best(&measured(linear(100), None, Some(vectors(0, 50, 8))));
        assert_eq!(plan.steps(Operation::Sign), [(Backend::Ifma, 1)]);
        assert_eq!(plan.split(Operation::Sign, 1000).together, 64);
    }

    #[test]
    fn a_slower_or_hardly_faster_one_is_not() {
        for avx2 in [vectors(0, 235, 4), vectors(0, 154, 4), [0, u64::MAX, 0, u64::MAX]] {
            let plan = Plan::best(&measured(linear(39), Some(avx2), None));
            assert_eq!(plan, Plan::forced(Backend::Scalar));
            assert_eq!(plan.steps(Operation::X25519), [(Backend::Scalar, 1)]);
        }
        assert_eq!(Plan::best(&[None; Backend::ALL.len()]), Plan::forced(Backend::Scalar));
    }

    /// By what was measured itself, no batch of any size costs more than one by one.
    #[test]
    fn no_plan_is_slower_than_scalar() {
        for each in [1, 30, 75, 150, 300, 1000] {
            for once in [0, 10, 100, 1000] {
                let (scalar, ifma) = (linear(40), vectors(once, each, 8));
                let plan = Plan::best(&measured(scalar, None, Some(ifma)));
                for count in 1..=MAX_BATCH {
                    let together = usize::from(plan.split(Operation::Sign, count).together);
                    let vectors = if together == 0 { 0 } else { once + each * together.div_ceil(8) as u64 };
                    assert!(vectors + 40 * (count - together) as u64 <= 40 * count as u64);
                }
            }
        }
    }

    #[test]
    fn forced_is_forced() {
        let plan = Plan::forced(Backend::Avx2);
        assert_eq!(plan.split(Operation::X25519, 1), ALONE);
        assert_eq!(plan.split(Operation::X25519, 2), Split { backend: Backend::Avx2, together: 2 });
        assert_eq!(plan.steps(Operation::Verify), [(Backend::Scalar, 1), (Backend::Avx2, 2)]);
    }
}
