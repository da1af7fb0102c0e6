//! The figures, for people and for programs.

use std::{fs, path::Path};

use anyhow::Result;
use serde::Serialize;

use crate::load::Round;

/// One row.
#[derive(Default, Serialize)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) connections: usize,
    /// Messages that the node held when the row began.
    pub(crate) stored: u64,
    pub(crate) rps: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    /// Of all nodes that took part.
    pub(crate) cpu_us_per_request: f64,
    /// The same as a multiple of libsodium's X25519 in the same run.
    pub(crate) multiple: f64,
    /// Between these are the multiples of half of the rounds.
    pub(crate) quartiles: [f64; 2],
    /// Of the node that was asked.
    pub(crate) entry_cpu_us_per_request: f64,
    /// Resident memory of the node that was asked, after the row.
    pub(crate) rss_mb: f64,
    /// The same without pages of files.
    pub(crate) rss_anon_mb: f64,
    /// What its store takes on disk for each message, where it stores.
    pub(crate) disk_bytes_per_message: Option<f64>,
}

pub(crate) const HEAD: &str = "work                          stored  conn.    requests/s   CPU us/req      X  (entry)      p50      p99    p99.9 ms   RSS MB  (anon)  disk B/msg";

impl Row {
    pub(crate) fn print(&self) {
        let disk = self.disk_bytes_per_message.map_or(String::new(), |bytes| format!("{bytes:.0}"));
        println!(
            "{:<28} {:>7} {:>6} {:>13.0} {:>12.1} {:>6.2} {:>8.1} {:>8.2} {:>8.2} {:>8.2} {:>11.1} {:>7.1} {:>11}",
            self.work,
            self.stored,
            self.connections,
            self.rps,
            self.cpu_us_per_request,
            self.multiple,
            self.entry_cpu_us_per_request,
            self.p50_ms,
            self.p99_ms,
            self.p999_ms,
            self.rss_mb,
            self.rss_anon_mb,
            disk
        );
    }
}

pub(crate) fn write(rows: &[Row], path: &Path) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(path, serde_json::to_string_pretty(rows)? + "\n")?)
}

pub(crate) fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    quartiles(rounds, figure)[1]
}

/// Below which a quarter, a half and three quarters of the rounds are.
pub(crate) fn quartiles(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> [f64; 3] {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| figures.get(figures.len() * quarter / 4).copied().unwrap_or(f64::NAN))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
