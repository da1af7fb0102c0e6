//! The rows of the table, and how they are run by turns.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use allium_engine::onion::build::Hop;
use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    Table,
    baseline::{self, Yardstick},
    load::{Load, Over, Pace, Round},
    report::{self, Row, median, mega, quartiles},
    server::Network,
    work::{Requests, Work},
};

/// Name, nodes, what is asked, and over what.
const ROWS: [(&str, usize, Work, Over); 15] = [
    ("info", 1, Work::Info, Over::KeepAlive),
    ("store", 1, Work::Store, Over::KeepAlive),
    ("store, 3-node swarm", 3, Work::Store, Over::KeepAlive),
    ("retrieve, nothing new", 1, Work::RetrieveNothing, Over::KeepAlive),
    ("retrieve, 10 messages", 1, Work::RetrieveTen, Over::KeepAlive),
    ("onion 1 layer, info", 1, Work::OnionInfo(1), Over::KeepAlive),
    ("onion 1 layer, retrieve", 1, Work::OnionRetrieve, Over::KeepAlive),
    ("onion relay + final, info", 3, Work::OnionInfo(2), Over::KeepAlive),
    ("onion 3 nodes, info", 3, Work::OnionInfo(3), Over::KeepAlive),
    ("new TLS, info", 1, Work::Info, Over::New),
    ("new TLS, onion 1 layer, info", 1, Work::OnionInfo(1), Over::New),
    ("resumed TLS, info", 1, Work::Info, Over::Resumed),
    ("resumed TLS, onion 1 layer", 1, Work::OnionInfo(1), Over::Resumed),
    ("new QUIC, info", 1, Work::Info, Over::Quic),
    ("new QUIC, onion 1 layer", 1, Work::OnionInfo(1), Over::Quic),
];

/// A row that is being measured.
pub(crate) struct Case {
    name: String,
    pub(crate) network: usize,
    connections: usize,
    stored: u64,
    work: Work,
    load: Load,
    rounds: Vec<Round>,
    /// Messages stored, and what the store took on disk, before.
    disk: Option<u64>,
    written: u64,
}

impl Table {
    /// Where the nodes' data stands while this lives.
    pub(crate) fn directory(&self) -> Result<TempDir> {
        Ok(match &self.dir {
            Some(dir) => tempfile::tempdir_in(dir)?,
            None => {
                // On the disk that is measured, out of the way.
                std::fs::create_dir_all("bench/out")?;
                tempfile::tempdir_in("bench/out")?
            }
        })
    }

    fn pace(&self) -> Pace {
        self.rate.map_or(Pace::Closed, Pace::Open)
    }
}

/// The whole table.
pub(crate) fn table(table: &Table) -> Result<ExitCode> {
    let directory = table.directory()?;
    let mut networks = Vec::new();
    let mut cases = Vec::new();
    for (name, nodes, work, over) in ROWS.into_iter().filter(|(name, ..)| name.contains(&table.only)) {
        if table.target.is_some() && nodes > 1 {
            continue;
        }
        let stored = if work == Work::Store && nodes == 1 { table.stored.as_slice() } else { &[0] };
        for &stored in stored {
            let dir = directory.path().join(networks.len().to_string());
            if stored > 0 && table.target.is_none() {
                fill(&dir.join("0"), stored, table.bytes, false)?;
            }
            networks.push(match &table.target {
                Some(url) => Network::target(url, table.target_pid)?,
                None => Network::start(&dir, nodes, table, true)?,
            });
            let network = networks.len() - 1;
            for &connections in &table.connections {
                cases.push(Case::new(name, network, &networks[network], connections, stored, (work, over), table)?);
            }
        }
    }
    ensure!(!cases.is_empty(), "no row has {:?} in its name", table.only);
    println!("{}, {} rounds of {} s by turns, medians", describe(table), table.rounds, table.seconds);
    let (rows, x25519) = run(&mut cases, &networks, table)?;
    let file = table.baselines.join(baseline::kind() + ".json");
    if table.write_baseline {
        baseline::write(&rows, x25519, &file)?;
    }
    let most = table.refuse.or(table.check.then_some(baseline::REFUSED));
    let holds = table.target.is_some() || baseline::compare(&rows, &file, most)?;
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same path of three nodes over OMQ and over QUIC.
pub(crate) fn links(table: &Table) -> Result<()> {
    let directory = table.directory()?;
    let mut networks = Vec::new();
    let mut cases = Vec::new();
    for (name, quic) in [("onion 3 nodes, OMQ", false), ("onion 3 nodes, QUIC", true)] {
        networks.push(Network::start(&directory.path().join(name), 3, table, quic)?);
        let network = networks.len() - 1;
        for &connections in &table.connections {
            cases.push(Case::new(
                name,
                network,
                &networks[network],
                connections,
                0,
                (Work::OnionInfo(3), Over::KeepAlive),
                table,
            )?);
        }
    }
    run(&mut cases, &networks, table).map(drop)
}

/// The rows, and what X25519 took meanwhile, in microseconds.
pub(crate) fn run(cases: &mut [Case], networks: &[Network], table: &Table) -> Result<(Vec<Row>, f64)> {
    let x25519 = run_rounds(cases, networks, table)?;
    println!("X: libsodium's X25519, {x25519:.1} us in this run\n{}", report::HEAD);
    let rows = cases.iter().map(|case| case.row(&networks[case.network], x25519)).collect::<Result<Vec<_>>>()?;
    rows.iter().for_each(Row::print);
    report::write(&rows, &table.out)?;
    Ok((rows, x25519))
}

/// All rounds of all rows, by turns; what libsodium's X25519 took between them, in microseconds.
pub(crate) fn run_rounds(cases: &mut [Case], networks: &[Network], table: &Table) -> Result<f64> {
    let mut yardstick = Yardstick::new()?;
    for round in 0..=table.rounds {
        for case in &mut *cases {
            eprint!("\rround {round} of {}: {:<28} {:>5}  ", table.rounds, case.name, case.connections);
            // The first round warms up.
            case.round(&networks[case.network], table, round > 0)?;
            yardstick.measure();
        }
    }
    eprintln!("\r{:<60}", "");
    Ok(yardstick.microseconds())
}

impl Case {
    pub(crate) fn new(
        name: &str,
        number: usize,
        network: &Network,
        connections: usize,
        stored: u64,
        (work, over): (Work, Over),
        table: &Table,
    ) -> Result<Self> {
        let path: Vec<Hop> = network.nodes().iter().map(|node| node.hop).collect();
        let requests = (0..connections).map(|_| Requests::new(work, table.bytes, &path)).collect::<Result<_>>()?;
        let entry = network.nodes().first().context("a network without a node")?;
        Ok(Self {
            name: name.to_owned(),
            network: number,
            connections,
            stored,
            work,
            load: Load::new(entry.https, requests, over)?.and_quic(entry.quic, entry.hop.ed25519)?,
            rounds: Vec::new(),
            disk: None,
            written: 0,
        })
    }

    fn round(&mut self, network: &Network, table: &Table, counts: bool) -> Result<()> {
        let disk = network.nodes()[0].disk_bytes()?;
        self.load.prepare()?;
        let (entry, all) = network.cpu_times()?;
        let mut round = self.load.run(table.pace(), table.round())?;
        let (entry_after, all_after) = network.cpu_times()?;
        (round.entry_cpu, round.server_cpu) = (entry_after.saturating_sub(entry), all_after.saturating_sub(all));
        if counts {
            if let (Some(before), Some(after)) = (disk, network.nodes()[0].disk_bytes()?) {
                *self.disk.get_or_insert(0) += after.saturating_sub(before);
                self.written += round.latencies.len();
            }
            self.rounds.push(round);
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(crate) fn row(&self, network: &Network, x25519: f64) -> Result<Row> {
        let (rss, anon) = network.nodes()[0].resident()?.unwrap_or_default();
        let disk = self.disk.filter(|_| self.work == Work::Store && self.written > 0);
        let median = |figure: &dyn Fn(&Round) -> f64| median(&self.rounds, figure);
        let [low, cpu, high] = quartiles(&self.rounds, |round| round.per_request(round.server_cpu));
        Ok(Row {
            work: self.name.clone(),
            connections: self.connections,
            stored: self.stored,
            rps: median(&Round::per_second),
            p50_ms: median(&|round| round.milliseconds(0.5)),
            p99_ms: median(&|round| round.milliseconds(0.99)),
            p999_ms: median(&|round| round.milliseconds(0.999)),
            cpu_us_per_request: cpu,
            multiple: cpu / x25519,
            quartiles: [low / x25519, high / x25519],
            entry_cpu_us_per_request: median(&|round| round.per_request(round.entry_cpu)),
            rss_mb: mega(rss),
            rss_anon_mb: mega(anon),
            disk_bytes_per_message: disk.map(|bytes| bytes as f64 / self.written as f64),
        })
    }
}

pub(crate) fn fill(dir: &Path, count: u64, bytes: usize, in_order: bool) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("fill").arg(dir).arg(count.to_string()).arg(bytes.to_string());
    if in_order {
        command.arg("--in-order");
    }
    ensure!(command.status()?.success(), "a store could not be filled");
    Ok(())
}

fn describe(table: &Table) -> String {
    let whose = table.target.as_ref().map_or_else(
        || format!("nodes of {} worker threads on this machine, which runs the load too", table.worker_threads),
        |url| format!("the node at {url}"),
    );
    let loop_of = table.rate.map_or_else(|| "closed loop".to_owned(), |rate| format!("open loop of {rate} requests/s"));
    format!("{whose}; {} bytes a message; {loop_of}", table.bytes)
}
