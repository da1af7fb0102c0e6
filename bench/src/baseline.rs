//! What rows cost as multiples of libsodium's X25519 in the same run, and the multiples that a kind of machine had before.
//!
//! CPU time in microseconds says as much about the machine and its mood as about the node; the multiple says less.

use std::{collections::BTreeMap, fs, hint::black_box, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};

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

/// The multiples of each row, by its name, its connections and what was stored before.
type Multiples = BTreeMap<String, f64>;

fn name(row: &Row) -> String {
    format!("{}, {} connections, {} stored", row.work, row.connections, row.stored)
}

/// The kind of this machine's processor, as a file's name: who made it, and the best that our kernels find there.
pub(crate) fn kind() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let vendor = match info.lines().find_map(|line| line.strip_prefix("vendor_id")) {
            Some(line) if line.contains("AMD") => "amd",
            Some(line) if line.contains("Intel") => "intel",
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
        format!("{vendor}-{vectors}")
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.to_owned()
}

/// Says how each row stands beside `file`. With `most`, whether none costs more than that many percent above it.
pub(crate) fn compare(rows: &[Row], file: &Path, most: Option<f64>) -> Result<bool> {
    let known: Multiples = match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{} cannot be read", file.display()))?,
        Err(_) => {
            println!("no baseline for this kind of machine yet: --write-baseline makes {}", file.display());
            return Ok(most.is_none());
        }
    };
    println!("beside {}, in multiples of X25519:", file.display());
    let mut holds = true;
    for row in rows {
        let Some(before) = known.get(&name(row)) else { continue };
        let change = (row.multiple / before - 1.0) * 100.0;
        let refused = most.is_some_and(|most| change > most);
        holds &= !refused;
        let mark = if refused { "  REGRESSION" } else { "" };
        println!(
            "{:<28} {:>6} {:>8.2} -> {:>6.2} {change:>+7.1} %{mark}",
            row.work, row.connections, before, row.multiple
        );
    }
    Ok(holds)
}

/// Keeps the multiples of `rows` in `file`, and those of rows that were not run.
pub(crate) fn write(rows: &[Row], file: &Path) -> Result<()> {
    let mut known: Multiples =
        fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    known.extend(rows.iter().map(|row| (name(row), (row.multiple * 100.0).round() / 100.0)));
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(file, serde_json::to_string_pretty(&known)? + "\n")?)
}
