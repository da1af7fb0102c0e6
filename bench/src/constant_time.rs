//! Whether time tells something about the scalar: the test of Reparaz, Balasch and Verbauwhede ("Dude, is my code constant
//! time?", 2017). Batches with one fixed scalar and batches with random scalars are measured by turns at random; Welch's
//! t says whether their times have different means. Beyond 4.5, they have.

use std::{hint::black_box, time::Instant};

use allium_engine::crypto::{Operation, plan};
use anyhow::Result;

const SAMPLES: usize = 40_000;
/// Lanes of one vector.
const BATCH: usize = 8;
/// Of the times, so many of a hundred are looked at: interruptions only ever make them longer.
const KEPT: usize = 80;

/// Welch's t of the backend of large batches.
pub(crate) fn statistic() -> Result<f64> {
    let backend = plan().most(Operation::X25519);
    let mut random = vec![0; SAMPLES * 33];
    getrandom::fill(&mut random)?;
    let mut points = [[0; 32]; BATCH];
    for point in &mut points {
        getrandom::fill(point)?;
    }
    let fixed = [0; 32];
    let mut times = [Vec::new(), Vec::new()];
    for sample in random.as_chunks::<33>().0 {
        let (class, scalar) = sample.split_at(1);
        let class = usize::from(class[0] & 1);
        // Both are copied the same way before the clock starts.
        let mut scalar: [u8; 32] = scalar.try_into()?;
        for (byte, fixed) in scalar.iter_mut().zip(fixed) {
            let keep = 0_u8.wrapping_sub(u8::from(class == 1));
            *byte = (*byte & keep) | (fixed & !keep);
        }
        let mut shared = [[0; 32]; BATCH];
        let start = Instant::now();
        backend.x25519(black_box(&scalar), black_box(&points), &mut shared);
        #[expect(clippy::cast_precision_loss, reason = "microseconds")]
        times[class].push(start.elapsed().as_nanos() as f64);
        black_box(&shared);
    }
    let mut all = times.concat();
    all.sort_by(f64::total_cmp);
    let limit = all[all.len() * KEPT / 100];
    let [a, b] = times.map(|times| Moments::of(times.into_iter().filter(|time| *time <= limit)));
    Ok((a.mean - b.mean) / (a.variance / a.count + b.variance / b.count).sqrt())
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let (mut count, mut mean, mut sum) = (0.0, 0.0, 0.0);
        for figure in figures {
            count += 1.0;
            let difference = figure - mean;
            mean += difference / count;
            sum += difference * (figure - mean);
        }
        Self { count, mean, variance: sum / (count - 1.0) }
    }
}
