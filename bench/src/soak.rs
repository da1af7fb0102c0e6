//! A node under mixed load for long: whether its memory grows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{
    Table,
    load::{Load, Over, Pace},
    report::mega,
    server::Network,
    work::{Requests, Work},
};

const WORK: [Work; 5] = [Work::Info, Work::Store, Work::RetrieveNothing, Work::RetrieveTen, Work::OnionRetrieve];
/// Messages are kept so long, so that as many expire as are stored; in milliseconds.
const TTL: u64 = 60_000;
/// Requests a second of each kind, unless the table says.
const RATE: f64 = 500.0;
/// The minutes at the beginning that the slope leaves out: queues and caches fill, and nothing expires yet.
const WARM: f64 = 3.0 * TTL as f64 / 60_000.0;

/// Prints the memory as it goes, and how fast it grows.
pub(crate) fn soak(table: &Table, minutes: f64) -> Result<()> {
    let directory = table.directory()?;
    let network = Network::start(directory.path(), 1, table, true)?;
    let node = network.nodes().first().context("no node")?;
    let connections = table.connections.iter().copied().max().unwrap_or(64).div_ceil(WORK.len());
    let mut loads = Vec::new();
    for work in WORK {
        let requests = (0..connections).map(|_| Ok(Requests::new(work, table.bytes, &[node.hop])?.storage(TTL)));
        loads.push(Load::new(node.https, requests.collect::<Result<_>>()?, Over::KeepAlive)?);
    }
    let pace = Pace::Open(table.rate.unwrap_or(RATE));
    let (began, length) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let mut samples: Vec<(f64, f64)> = Vec::new();
    println!("   minutes  requests/s      p99 ms   RSS MB   (anon)  disk MB");
    while began.elapsed() < length {
        // Signatures are of now.
        loads.iter_mut().try_for_each(Load::prepare)?;
        let round = Duration::from_secs(20).min(length.saturating_sub(began.elapsed()));
        let rounds = std::thread::scope(|scope| {
            let running: Vec<_> = loads.iter_mut().map(|load| scope.spawn(move || load.run(pace, round))).collect();
            running
                .into_iter()
                .map(|thread| thread.join().map_err(|_| anyhow::anyhow!("the load failed"))?)
                .collect::<Result<Vec<_>>>()
        })?;
        let passed = began.elapsed().as_secs_f64() / 60.0;
        let (rss, anon) = node.resident()?.context("the node has no process")?;
        samples.push((passed, mega(anon)));
        println!(
            "{passed:>10.1} {:>11.0} {:>11.2} {:>8.1} {:>8.1} {:>8.1}",
            rounds.iter().map(crate::load::Round::per_second).sum::<f64>(),
            rounds.iter().map(|round| round.milliseconds(0.99)).fold(0.0, f64::max),
            mega(rss),
            mega(anon),
            mega(node.disk_bytes()?.unwrap_or_default()),
        );
    }
    let warm: Vec<_> = samples.iter().copied().filter(|(minute, _)| *minute > WARM).collect();
    anyhow::ensure!(warm.len() > 1, "a slope needs more than {WARM} minutes");
    println!("memory that is no page of a file grows by {:.2} MB an hour", slope(&warm) * 60.0);
    Ok(())
}

/// Of the line that fits the points best.
#[expect(clippy::cast_precision_loss, reason = "a mean")]
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (up, across) = points
        .iter()
        .fold((0.0, 0.0), |(up, across), point| (up + (point.0 - x) * (point.1 - y), across + (point.0 - x).powi(2)));
    up / across
}
