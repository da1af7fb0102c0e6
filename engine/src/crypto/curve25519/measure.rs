//! What this processor does best, by trying: some milliseconds, once for the process.

use std::{hint::black_box, thread};

use super::{
    MAX_BATCH,
    backend::Backend,
    current,
    known::KnownKeys,
    plan::{Measured, Operation, Plan, SIZES, Times},
    sign::Expanded,
    verify::{Proof, verify_with},
};

/// Whose signatures are verified.
const KEYS: u8 = 8;
/// How often each size is tried; the least time counts.
const TRIES: [usize; SIZES.len()] = [2, 2, 1, 1];

/// Measures, the first time, and says what is done how from now on.
pub fn measure() -> &'static Plan {
    current::decide(|| Plan::best(&times()))
}

/// Has a thread measure, unless that was done.
pub fn measure_aside() {
    if !current::is_decided() {
        let started = thread::Builder::new().name("allium-measure".to_owned()).spawn(|| {
            let plan = measure();
            for work in Operation::ALL {
                let steps =
                    plan.steps(work).into_iter().map(|(backend, from)| format!("{} from {from}", backend.as_str()));
                tracing::info!("{}: {}", work.as_str(), steps.collect::<Vec<_>>().join(", "));
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "no thread to measure what is best");
        }
    }
}

/// Nanoseconds of CPU time that this thread has had.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

fn times() -> Measured {
    let keys: Vec<Expanded> = (0..KEYS).map(|seed| Expanded::from_seed(&[seed; 32])).collect();
    let proofs: Vec<Proof> = (0..MAX_BATCH)
        .map(|number| {
            let (key, message) = (&keys[number % keys.len()], vec![7; 64]);
            Proof { key: *key.public(), signature: key.sign(&message), message }
        })
        .collect();
    let points: Vec<[u8; 32]> = proofs.iter().map(|proof| proof.key).collect();
    let texts = vec![[7; 64]; MAX_BATCH];
    let known = KnownKeys::new();
    let mut shared = vec![[0; 32]; MAX_BATCH];
    let plans = Backend::ALL.map(|backend| backend.is_supported().then(|| Plan::all(backend)));
    let mut run = |work: Operation, backend: Backend, plan: &Plan, count: usize| match work {
        Operation::X25519 => backend.x25519(&[77; 32], black_box(&points[..count]), &mut shared[..count]),
        Operation::Verify => drop(black_box(verify_with(plan, None, &proofs[..count]))),
        Operation::VerifyKnown => drop(black_box(verify_with(plan, Some(&known), &proofs[..count]))),
        Operation::Sign => drop(black_box(keys[0].sign_many(plan, &texts[..count]))),
    };
    // So that all is known of them that there is to know.
    for plan in plans.iter().flatten().cycle().take(2 * Backend::ALL.len()) {
        verify_with(plan, Some(&known), &proofs[..keys.len()]);
    }
    let mut measured =
        plans.each_ref().map(|plan| plan.as_ref().map(|_| [[u64::MAX; SIZES.len()]; Operation::ALL.len()]));
    for (place, work) in Operation::ALL.into_iter().enumerate() {
        for (size, (count, tries)) in SIZES.into_iter().zip(TRIES).enumerate() {
            // By turns, so that whatever disturbs does so to all alike.
            for _ in 0..tries {
                for ((backend, plan), times) in Backend::ALL.into_iter().zip(&plans).zip(&mut measured) {
                    let (Some(plan), Some(times)) = (plan, times) else { continue };
                    if backend == Backend::Scalar && count == MAX_BATCH {
                        // One by one, many are as many times as some.
                        times[place][size] = times[place][size - 1] * (MAX_BATCH / SIZES[size - 1]) as u64;
                        continue;
                    }
                    let start = now();
                    run(work, backend, plan, count);
                    let time: &mut Times = &mut times[place];
                    time[size] = time[size].min(now().saturating_sub(start));
                }
            }
        }
    }
    measured
}
