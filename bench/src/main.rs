//! Loads one node, a process of its own, over loopback HTTPS, and says what it did and what that cost it.
//!
//! The rounds of all workloads alternate, so that what else the machine does falls on each alike; medians are shown.

mod load;
mod server;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    load::{Load, Round, Workload},
    server::Server,
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
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::Serve { dir }) = &arguments.command {
        return server::serve(dir);
    }
    let directory = match &arguments.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir_in(".")?,
    };
    let server = Server::start(directory.path())?;
    let load = Load::new(server.address(), arguments.connections, arguments.bytes)?;
    let idle = server.resident_bytes()?;
    let mut rounds: Vec<(Workload, Vec<Round>)> = Workload::ALL.into_iter().map(|kind| (kind, Vec::new())).collect();
    for round in 0..=arguments.rounds {
        for (kind, results) in &mut rounds {
            eprint!("\rround {round} of {}: {:<10}", arguments.rounds, kind.name());
            let cpu = server.cpu_time()?;
            let mut result = load.run(*kind, Duration::from_secs_f64(arguments.seconds))?;
            result.server_cpu = server.cpu_time()?.saturating_sub(cpu);
            // The first round warms up.
            if round > 0 {
                results.push(result);
            }
        }
    }
    eprintln!("\r{:<40}", "");
    println!(
        "{} connections, {} bytes, {} rounds of {} s, medians",
        arguments.connections, arguments.bytes, arguments.rounds, arguments.seconds
    );
    println!("{:<10} {:>12} {:>14} {:>10} {:>10}", "workload", "requests/s", "node CPU/req", "p50", "p99");
    for (kind, results) in &rounds {
        println!(
            "{:<10} {:>12.0} {:>11.1} µs {:>7.2} ms {:>7.2} ms",
            kind.name(),
            median(results, Round::per_second),
            median(results, |round| round.cpu_per_request().as_secs_f64() * 1e6),
            median(results, |round| round.quantile(0.5).as_secs_f64() * 1e3),
            median(results, |round| round.quantile(0.99).as_secs_f64() * 1e3),
        );
    }
    println!(
        "node: {:.0} MB resident idle, {:.0} MB after {} stored messages",
        mega(idle),
        mega(server.resident_bytes()?),
        load.stored()
    );
    Ok(())
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
