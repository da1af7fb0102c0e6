//! A node with very many connections: what they cost it, and what others wait meanwhile.

use anyhow::{Context, Result};

use crate::{
    Table,
    load::{Crowd, Load, Over, Pace},
    report::mega,
    server::{Measured, Network},
    work::{Requests, Work},
};

/// Bytes of the messages that slow readers ask for: ten of them are more than a socket's buffers hold.
const LARGE: usize = 70_000;

/// Prints the memory and the latency of others: alone, among silent connections, among slow readers, and after.
pub(crate) fn crowd(table: &Table, idle: usize, slow: usize) -> Result<()> {
    let directory = table.directory()?;
    let network = Network::start(directory.path(), 1, table, true)?;
    let node = network.nodes().first().context("no node")?;
    let requests = (0..16).map(|_| Requests::new(Work::Info, table.bytes, &[])).collect::<Result<_>>()?;
    let mut probe = Load::new(node.https, requests, Over::KeepAlive)?;
    println!(
        "{:<44} {:>8} {:>8} {:>8} {:>8}",
        "info over 16 other connections", "RSS MB", "(anon)", "p50 ms", "p99 ms"
    );
    let mut report = |what: &str| show(what, node, &mut probe, table);
    report("nobody else")?;
    let mut crowd = Crowd::new(node.https)?;
    crowd.join(idle)?;
    report(&format!("{idle} silent connections"))?;
    crowd.stall(slow, Requests::new(Work::RetrieveTen, LARGE, &[])?)?;
    report(&format!("and {slow} that do not read 0.9 MB"))?;
    drop(crowd);
    report("after they have gone")
}

fn show(what: &str, node: &Measured, probe: &mut Load, table: &Table) -> Result<()> {
    probe.prepare()?;
    let round = probe.run(Pace::Open(table.rate.unwrap_or(1000.0)), table.round())?;
    let (rss, anon) = node.resident()?.context("the node has no process")?;
    let (p50, p99) = (round.milliseconds(0.5), round.milliseconds(0.99));
    println!("{what:<44} {:>8.1} {:>8.1} {p50:>8.2} {p99:>8.2}", mega(rss), mega(anon));
    Ok(())
}
