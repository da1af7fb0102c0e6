//! Loads nodes, in a process of their own, over loopback HTTPS, and says what they did and what that cost them.
//!
//! The rounds of all workloads alternate, so that what else the machine does falls on each alike; medians are shown.

mod load;
mod server;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    load::{Load, Round, Workload},
    server::{Server, Setup},
};

#[derive(Parser)]
#[command(name = "allium-bench", about = "Throughput and latency of one node over loopback HTTPS")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Bytes of a stored message.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Seconds of one round.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Rounds of each workload.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the store is; a temporary directory in the working directory unless given.
    #[arg(long)]
    dir: Option<std::path::PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until standard input ends (the benchmark starts this itself).
    #[command(hide = true)]
    Serve {
        /// Data directory.
        dir: std::path::PathBuf,
        /// What to run.
        setup: Setup,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::Serve { dir, setup }) = &arguments.command {
        return server::serve(dir, *setup);
    }
    let directory = match &arguments.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(".")?,
    };
    let mut cases = Vec::new();
    for (name, setup, kind) in CASES {
        let server = Server::start(&directory.path().join(name.replace(' ', "-")), setup)?;
        let load = Load::new(server.address(), arguments.connections, arguments.bytes)?;
        let idle = server.resident_bytes()?;
        cases.push(Case { name, kind, server, load, idle, rounds: Vec::new() });
    }
    for round in 0..=arguments.rounds {
        for case in &mut cases {
            eprint!("\rround {round} of {}: {:<24}", arguments.rounds, case.name);
            let cpu = case.server.cpu_time()?;
            let mut result = case.load.run(case.kind, Duration::from_secs_f64(arguments.seconds))?;
            result.server_cpu = case.server.cpu_time()?.saturating_sub(cpu);
            // The first round warms up.
            if round > 0 {
                case.rounds.push(result);
            }
        }
    }
    eprintln!("\r{:<40}", "");
    println!(
        "{} connections, {} bytes, {} rounds of {} s, medians; the load runs on the same machine",
        arguments.connections, arguments.bytes, arguments.rounds, arguments.seconds
    );
    println!("{:<24} {:>10} {:>14} {:>10} {:>10}", "workload", "requests/s", "node CPU/req", "p50", "p99");
    for Case { name, rounds, .. } in &cases {
        println!(
            "{name:<24} {:>10.0} {:>11.1} µs {:>7.2} ms {:>7.2} ms",
            median(rounds, Round::per_second),
            median(rounds, |round| round.cpu_per_request().as_secs_f64() * 1e6),
            median(rounds, |round| round.quantile(0.5).as_secs_f64() * 1e3),
            median(rounds, |round| round.quantile(0.99).as_secs_f64() * 1e3),
        );
    }
    for case in cases.iter().filter(|case| matches!(case.kind, Workload::Info)) {
        flood(case, arguments.rounds, Duration::from_secs_f64(arguments.seconds))?;
    }
    for Case { name, server, load, idle, .. } in cases.iter().filter(|case| matches!(case.kind, Workload::Store)) {
        println!(
            "{name}: {:.0} MB resident idle, {:.0} MB after {} messages (pages of the store included)",
            mega(*idle),
            mega(server.resident_bytes()?),
            load.stored()
        );
    }
    Ok(())
}

/// What one client over QUIC waits, in peace and while HTTPS is flooded by turns.
fn flood(case: &Case, rounds: usize, length: Duration) -> Result<()> {
    let (mut quiet, mut flooded) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        eprint!("\rflood {} of {rounds}", round + 1);
        quiet.push(case.load.probe(case.server.quic_address(), length)?);
        flooded.push(std::thread::scope(|scope| {
            let flood = scope.spawn(|| case.load.run(case.kind, length));
            let probed = case.load.probe(case.server.quic_address(), length);
            flood.join().map_err(|_| anyhow::anyhow!("the flood failed"))??;
            probed
        })?);
    }
    eprint!("\r{:<40}\r", "");
    for (name, rounds) in [("in peace", &quiet), ("while HTTPS is flooded", &flooded)] {
        println!(
            "info over QUIC {name}: p50 {:.2} ms, p99 {:.2} ms",
            median(rounds, |round| round.quantile(0.5).as_secs_f64() * 1e3),
            median(rounds, |round| round.quantile(0.99).as_secs_f64() * 1e3),
        );
    }
    Ok(())
}

/// Name, what runs, what is asked.
const CASES: [(&str, Setup, Workload); 4] = [
    ("store", Setup::Alone, Workload::Store),
    ("info", Setup::Alone, Workload::Info),
    ("onion, nodes over OMQ", Setup::Omq, Workload::Onion),
    ("onion, nodes over QUIC", Setup::Quic, Workload::Onion),
];

struct Case {
    name: &'static str,
    kind: Workload,
    server: Server,
    load: Load,
    idle: u64,
    rounds: Vec<Round>,
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn median(rounds: &[Round], figure: impl Fn(&Round) -> f64) -> f64 {
    let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
