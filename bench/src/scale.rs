//! A node that holds very many messages: what requests cost it beside an empty one, how soon it is back after a kill, and
//! what it costs to be polled.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use serde_json::json;

use crate::{
    Table,
    load::{Load, Over, Pace, ask_once},
    report::mega,
    rows::{self, Case, fill},
    server::Network,
    work::{Requests, Work},
};

const ROWS: [(&str, Work); 3] = [
    ("store", Work::Store),
    ("retrieve, nothing new", Work::RetrieveNothing),
    ("retrieve, 10 messages", Work::RetrieveTen),
];
/// Starts after a kill.
const KILLS: usize = 3;

pub(crate) fn scale(table: &Table, (count, in_order): (u64, bool), full: Option<&Path>, polling: usize) -> Result<()> {
    let directory = table.directory()?;
    let own = directory.path().join("full");
    let full = full.unwrap_or(&own);
    let node = full.join("0");
    if !node.join("data.mdb").exists() {
        let began = Instant::now();
        fill(&node, count, table.bytes, in_order)?;
        println!("{count} messages of {} bytes put in {:.0} s", table.bytes, began.elapsed().as_secs_f64());
    }
    let connections = table.connections.iter().copied().max().unwrap_or(64);
    beside_empty(table, &directory.path().join("empty"), full, count, connections)?;
    after_kill(table, full, connections)?;
    polled(table, full, polling)
}

/// The same requests to an empty node and to the full one, by turns.
fn beside_empty(table: &Table, empty: &Path, full: &Path, count: u64, connections: usize) -> Result<()> {
    let networks = [Network::start(empty, 1, table, true)?, Network::start(full, 1, table, true)?];
    let disk = networks[1].nodes()[0].disk_bytes()?.unwrap_or_default();
    println!("{:.0} MB on disk, {:.0} bytes a message", mega(disk), mega(disk) / mega(count.max(1)));
    let mut cases = Vec::new();
    for (name, work) in ROWS.into_iter().filter(|(name, _)| name.contains(&table.only)) {
        for (number, stored) in [0, count].into_iter().enumerate() {
            let over = (work, Over::KeepAlive);
            cases.push(Case::new(name, number, &networks[number], connections, stored, over, table)?);
        }
    }
    let (rows, _) = rows::run(&mut cases, &networks, table)?;
    for pair in rows.chunks_exact(2) {
        println!("{}: {:.2} times the CPU time of an empty node", pair[0].work, pair[1].multiple / pair[0].multiple);
    }
    Ok(())
}

/// Kills it while messages come, and starts it again.
fn after_kill(table: &Table, full: &Path, connections: usize) -> Result<()> {
    for _ in 0..KILLS {
        let mut network = Network::start(full, 1, table, true)?;
        let requests = (0..connections).map(|_| Requests::new(Work::Store, table.bytes, &[])).collect::<Result<_>>()?;
        let mut load = Load::new(network.nodes()[0].https, requests, Over::KeepAlive)?;
        load.prepare()?;
        thread::scope(|scope| {
            // It ends with an error: the node is killed.
            let storing = scope.spawn(|| load.run(Pace::Closed, Duration::from_secs(10)).is_err());
            thread::sleep(Duration::from_secs(3));
            network.kill()?;
            storing.join().map_err(|_| anyhow!("the load failed"))
        })?;
        drop(network);
        let log: u64 = log_bytes(&full.join("0"))?;
        let began = Instant::now();
        let network = Network::start(full, 1, table, true)?;
        let ready = began.elapsed().as_secs_f64();
        let cpu = network.cpu_times()?.0.as_secs_f64();
        ask_once(network.nodes()[0].https, &json!({"method": "info", "params": {}}))?;
        let answered = began.elapsed().as_secs_f64();
        println!(
            "killed with a log of {:.1} MB: ready after {ready:.2} s ({cpu:.2} s of CPU), answers after {answered:.2} s",
            mega(log)
        );
    }
    Ok(())
}

/// Bytes of the write-ahead log.
fn log_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("redo") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Accounts with a connection each that ask once a second for what is new; there is nothing.
#[expect(clippy::cast_precision_loss, reason = "a pace")]
fn polled(table: &Table, full: &Path, accounts: usize) -> Result<()> {
    let network = Network::start(full, 1, table, true)?;
    let node = network.nodes().first().context("no node")?;
    let requests =
        (0..accounts).map(|_| Requests::new(Work::RetrieveNothing, table.bytes, &[])).collect::<Result<_>>()?;
    let mut load = Load::new(node.https, requests, Over::KeepAlive)?;
    load.prepare()?;
    let before = network.cpu_times()?.0;
    let round = load.run(Pace::Open(accounts as f64), Duration::from_secs(10))?;
    let cpu = network.cpu_times()?.0.saturating_sub(before).as_secs_f64();
    let (_, anon) = node.resident()?.context("the node has no process")?;
    println!(
        "{accounts} accounts that poll each second: {:.0} requests/s, {:.1} % of a core, p99 {:.2} ms, {:.0} MB",
        round.per_second(),
        cpu / round.elapsed.as_secs_f64() * 100.0,
        round.milliseconds(0.99),
        mega(anon)
    );
    Ok(())
}
