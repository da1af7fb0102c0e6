//! Loads real nodes over loopback HTTPS, and says what they did and what that cost them.
//!
//! The rounds of all rows alternate, so that what else the machine does falls on each alike; medians are shown.

mod baseline;
mod constant_time;
mod crowd;
mod crypto;
mod flood;
mod idle;
mod load;
mod report;
mod rows;
mod scale;
mod scaling;
mod server;
mod signatures;
mod soak;
mod work;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "allium-bench", about = "Throughput, latency and CPU time of nodes over loopback HTTPS")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    table: Table,
}

/// The table of rows.
#[derive(Args, Clone)]
struct Table {
    /// Connections of one row, each with one request under way.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64")]
    connections: Vec<usize>,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Messages that a node holds before the `store` row begins, one row each.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    stored: Vec<u64>,
    /// Bytes of a stored message.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Seconds of one round.
    #[arg(long, default_value_t = 0.9)]
    seconds: f64,
    /// Rounds of each row; the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests per second that begin whether or not earlier ones are answered (open loop), each timed from when it
    /// should have begun. Without it, each connection asks again when it has its answer (closed loop).
    #[arg(long)]
    rate: Option<f64>,
    /// Threads that serve requests in each node.
    #[arg(long, default_value_t = 2)]
    worker_threads: usize,
    /// Processors that nodes may run on (`0,1`); all, unless given.
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Drives the node at this URL (`https://127.0.0.1:22021`) in place of nodes of its own: any server that speaks the
    /// protocol and does not limit us.
    #[arg(long)]
    target: Option<String>,
    /// The target's process, to count its CPU time and memory.
    #[arg(long)]
    target_pid: Option<u32>,
    /// Where stores are; a temporary directory in bench/out unless given.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the figures go, as JSON.
    #[arg(long, default_value = "bench/out/node.json")]
    out: PathBuf,
    /// Where each kind of machine has the multiples of X25519 that the table is compared with.
    #[arg(long, default_value = "bench/baselines")]
    baselines: PathBuf,
    /// Keeps this run's as those of this kind of machine.
    #[arg(long)]
    write_baseline: bool,
    /// Fails when a row costs over 10 % more than the baseline, or there is none.
    #[arg(long)]
    check: bool,
    /// The same with so many percent.
    #[arg(long)]
    refuse: Option<f64>,
}

impl Table {
    fn round(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

#[derive(Subcommand)]
enum Command {
    /// What a client over QUIC waits while HTTPS is flooded.
    Flood,
    /// Onion paths of three nodes, which speak OMQ or QUIC to each other.
    Links,
    /// What a second core gives a node, and costs it.
    Scaling,
    /// A node under mixed load for long: what its memory does.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 60.0)]
        minutes: f64,
    },
    /// A node with very many connections, some of which do not read their answers: its memory, and what others wait.
    Crowd {
        /// Connections that are kept and silent.
        #[arg(long, default_value_t = 10_000)]
        idle: usize,
        /// Connections that ask for what they do not read.
        #[arg(long, default_value_t = 1_000)]
        slow: usize,
    },
    /// What a connection costs in memory that says nothing any more, over HTTPS and over QUIC.
    Idle {
        /// How many.
        #[arg(default_value_t = 10_000)]
        count: usize,
    },
    /// A node that holds very many messages, beside an empty one; a start after kill -9; accounts that poll each second.
    Scale {
        /// Messages that it holds. Ten million of 1 KiB take 20 GB of disk.
        #[arg(default_value_t = 1_000_000)]
        count: u64,
        /// Where they are, or are put and stay; a temporary directory unless given.
        #[arg(long)]
        full: Option<PathBuf>,
        /// Accounts that poll.
        #[arg(long, default_value_t = 1_000)]
        polling: usize,
        /// Put them in the order of their keys, past the log: a hundred million of one byte (`--bytes 1`) are an index of some
        /// 27 GB.
        #[arg(long)]
        in_order: bool,
    },
    /// What opening layers costs with the X25519 backend in force, as JSON (`make bench-crypto` shows it).
    Crypto {
        /// Times that each case is measured.
        #[arg(default_value_t = 5)]
        rounds: usize,
    },
    /// Serve until standard input ends (the benchmark starts this itself).
    #[command(hide = true)]
    Serve(server::Serve),
    /// Put messages into a store (the benchmark starts this itself).
    #[command(hide = true)]
    Fill {
        /// Data directory.
        dir: PathBuf,
        /// How many.
        count: u64,
        /// Bytes of each.
        bytes: usize,
        /// In the order of their keys, past the log.
        #[arg(long)]
        in_order: bool,
    },
}

fn main() -> Result<ExitCode> {
    let Arguments { command, table } = Arguments::parse();
    let done = match command {
        None => return rows::table(&table),
        Some(Command::Flood) => flood::flood(&table),
        Some(Command::Links) => rows::links(&table),
        Some(Command::Scaling) => scaling::scaling(&table),
        Some(Command::Soak { minutes }) => soak::soak(&table, minutes),
        Some(Command::Crowd { idle, slow }) => crowd::crowd(&table, idle, slow),
        Some(Command::Idle { count }) => idle::idle(&table, count),
        Some(Command::Scale { count, full, polling, in_order }) => {
            scale::scale(&table, (count, in_order), full.as_deref(), polling)
        }
        Some(Command::Crypto { rounds }) => crypto::run(rounds),
        Some(Command::Serve(serve)) => server::serve(&serve),
        Some(Command::Fill { dir, count, bytes, in_order: true }) => server::fill_in_order(&dir, count, bytes),
        Some(Command::Fill { dir, count, bytes, in_order: false }) => server::fill(&dir, count, bytes),
    };
    done.map(|()| ExitCode::SUCCESS)
}
