//! What rows cost as multiples of libsodium's X25519 in the same run, and the multiples that a kind of machine had before.
//!
//! CPU time in microseconds says as much about the machine and its mood as about the node; the multiple says less.

use std::{collections::BTreeMap, fs, hint::black_box, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{crypto, report::Row};

/// CPU time of one measurement.
const LEAST: Duration = Duration::from_millis(10);

/// libsodium's X25519, measured between the rounds of everything else.
pub(crate) struct Yardstick {
    scalar: [u8; 32],
    point: [u8; 32],
    /// Seconds of CPU time that one took, each time.
    took: Vec<f64>,
}

impl Yardstick {
    pub(crate) fn new() -> Result<Self> {
        // Without this, libsodium uses its portable code.
        // SAFETY: may be called at any time.
        ensure!(unsafe { libsodium_sys::sodium_init() } >= 0, "libsodium does not start");
        let (mut scalar, mut point) = ([0; 32], [0; 32]);
        getrandom::fill(&mut scalar)?;
        point[0] = 9;
        Ok(Self { scalar, point, took: Vec::new() })
    }

    /// Measures it once more.
    pub(crate) fn measure(&mut self) {
        let (mut done, mut took) = (0_u32, 0.0);
        while took < LEAST.as_secs_f64() {
            took += crypto::timed(|| {
                for _ in 0..16 {
                    let mut shared = [0; 32];
                    crypto::sodium_x25519(&mut shared, black_box(&self.scalar), black_box(&self.point));
                    black_box(shared);
                }
            });
            done += 16;
        }
        self.took.push(took / f64::from(done));
    }

    /// The median, in microseconds.
    pub(crate) fn microseconds(&mut self) -> f64 {
        crypto::median(&mut self.took) * 1e6
    }
}

/// What is allowed where only `--check` is said: percent more than the baseline.
pub(crate) const REFUSED: f64 = 10.0;

/// What a kind of machine had, and where.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Baseline {
    processor: String,
    cores: usize,
    /// The system's load when it was written, of which the benchmark makes 3.
    load: f64,
    /// Microseconds of libsodium's X25519.
    x25519_us: f64,
    /// By its name, its connections and what was stored before.
    rows: BTreeMap<String, Multiple>,
}

/// What a request cost, as a multiple of X25519.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Multiple {
    median: f64,
    /// Half of the rounds are in this range.
    quartiles: [f64; 2],
}

fn name(row: &Row) -> String {
    format!("{}, {} connections, {} stored", row.work, row.connections, row.stored)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Threads that ran or waited for a core in the last minute, on average.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// A line of what the system says of the processor.
fn processor(field: &str) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| name.trim() == field).map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

/// The kind of this machine's processor, as a file's name: who made it, family and model, and the best that our kernels
/// find there.
pub(crate) fn kind() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let vendor = match processor("vendor_id") {
            name if name.contains("AMD") => "amd",
            name if name.contains("Intel") => "intel",
            _ => "other",
        };
        let vectors = if is_x86_feature_detected!("avx512ifma") {
            "ifma"
        } else if is_x86_feature_detected!("avx512f") {
            "avx512f"
        } else if is_x86_feature_detected!("avx2") {
            "avx2"
        } else {
            "plain"
        };
        format!("{vendor}-{}-{}-{vectors}", processor("cpu family"), processor("model"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.to_owned()
}

/// Says how each row stands beside `file`. With `most`, whether none costs more than that many percent above it.
///
/// A row is refused when three quarters of its rounds are beyond that: what else the machine does makes single rounds
/// dearer, and medians where it never stops.
pub(crate) fn compare(rows: &[Row], file: &Path, most: Option<f64>) -> Result<bool> {
    let known: Baseline = match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{} cannot be read", file.display()))?,
        Err(_) => {
            println!("no baseline for this kind of machine yet: --write-baseline makes {}", file.display());
            return Ok(most.is_none());
        }
    };
    println!(
        "beside {} ({}, {} cores, a load of {}; {} cores and {} here), in multiples of X25519; in brackets: where half of \
         the rounds are",
        file.display(),
        known.processor,
        known.cores,
        known.load,
        cores(),
        load()
    );
    let mut holds = true;
    for row in rows {
        let Some(before) = known.rows.get(&name(row)) else {
            println!("{:<28} {:>6}   has no baseline", row.work, row.connections);
            continue;
        };
        let percent = |multiple: f64| (multiple / before.median - 1.0) * 100.0;
        let (change, [low, high]) = (percent(row.multiple), row.quartiles);
        let mark = match most {
            Some(most) if percent(low) > most => "  REGRESSION",
            Some(most) if change > most => "  within the spread",
            _ => "",
        };
        holds &= mark != "  REGRESSION";
        println!(
            "{:<28} {:>6} {:>7.2} ({:>5.2} to {:>5.2}) -> {:>6.2} ({low:>5.2} to {high:>5.2}) {change:>+6.1} %{mark}",
            row.work, row.connections, before.median, before.quartiles[0], before.quartiles[1], row.multiple
        );
    }
    Ok(holds)
}

/// Keeps the multiples of `rows` in `file`, and those of rows that were not run.
pub(crate) fn write(rows: &[Row], x25519_us: f64, file: &Path) -> Result<()> {
    let mut known: Baseline =
        fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    (known.processor, known.cores, known.load) = (processor("model name"), cores(), load());
    known.x25519_us = hundredths(x25519_us);
    known.rows.extend(rows.iter().map(|row| {
        let multiple = Multiple { median: hundredths(row.multiple), quartiles: row.quartiles.map(hundredths) };
        (name(row), multiple)
    }));
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(file, serde_json::to_string_pretty(&known)? + "\n")?)
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of two works with these multiples, and quartiles as far from them.
    fn rows(multiples: [f64; 2], spread: f64) -> [Row; 2] {
        let row = |work: &str, multiple| Row {
            work: work.to_owned(),
            multiple,
            quartiles: [multiple - spread, multiple + spread],
            ..Row::default()
        };
        [row("info", multiples[0]), row("store", multiples[1])]
    }

    #[test]
    fn what_costs_a_tenth_more_is_refused() -> Result<()> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("baselines/kind.json");
        let limit = Some(REFUSED);
        assert!(compare(&rows([1.0, 2.0], 0.0), &file, None)?);
        // A check that has nothing to compare with holds nothing.
        assert!(!compare(&rows([1.0, 2.0], 0.0), &file, limit)?);
        write(&rows([1.0, 2.0], 0.1), 40.0, &file)?;
        assert!(compare(&rows([1.09, 2.19], 0.0), &file, limit)?);
        assert!(compare(&rows([0.5, 0.5], 0.0), &file, limit)?);
        assert!(!compare(&rows([1.0, 2.3], 0.0), &file, limit)?);
        assert!(compare(&rows([1.0, 2.3], 0.0), &file, None)?);
        assert!(compare(&rows([1.0, 2.3], 0.0), &file, Some(20.0))?);
        // Rounds that do not agree prove nothing.
        assert!(compare(&rows([1.0, 2.3], 0.2), &file, limit)?);
        // What is not in the file is not compared; what is not run stays in it.
        write(&rows([1.0, 2.3], 0.0)[..1], 40.0, &file)?;
        assert!(!compare(&rows([1.0, 2.3], 0.0), &file, limit)?);
        fs::write(&file, "nonsense")?;
        assert!(compare(&rows([1.0, 2.0], 0.0), &file, limit).is_err());
        Ok(())
    }
}
