//! What a client over QUIC waits, in peace and while HTTPS is flooded by turns.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use allium_engine::{
    crypto::Ed25519Secret,
    transport::quic::{QuicClient, client_endpoint},
    types::Ed25519PublicKey,
};
use anyhow::{Context, Result, anyhow};

use crate::{
    Table,
    load::{Load, Over, Pace, Round, histogram},
    report::median,
    server::Network,
    work::{Requests, Work},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn flood(table: &Table) -> Result<()> {
    let directory = table.directory()?;
    let network = Network::start(directory.path(), 1, table, true)?;
    let node = network.nodes().first().context("no node")?;
    let connections = table.connections.iter().copied().max().unwrap_or(16);
    let requests = (0..connections).map(|_| Requests::new(Work::Info, table.bytes, &[])).collect::<Result<_>>()?;
    let mut load = Load::new(node.https, requests, Over::KeepAlive)?;
    let (mut quiet, mut flooded) = (Vec::new(), Vec::new());
    for round in 0..table.rounds {
        eprint!("\rround {} of {}", round + 1, table.rounds);
        quiet.push(probe(node.quic, node.hop.ed25519, table.round())?);
        flooded.push(std::thread::scope(|scope| {
            let flood = scope.spawn(|| load.prepare().and_then(|()| load.run(Pace::Closed, table.round())));
            let probed = probe(node.quic, node.hop.ed25519, table.round());
            flood.join().map_err(|_| anyhow!("the flood failed"))??;
            probed
        })?);
    }
    eprint!("\r{:<40}\r", "");
    for (name, rounds) in [("in peace", &quiet), ("while HTTPS is flooded", &flooded)] {
        println!(
            "info over QUIC {name}: p50 {:.2} ms, p99 {:.2} ms",
            median(rounds, |round| round.milliseconds(0.5)),
            median(rounds, |round| round.milliseconds(0.99)),
        );
    }
    Ok(())
}

/// One client over QUIC, which asks now and then: how long it waits.
fn probe(quic: SocketAddr, node: Ed25519PublicKey, length: Duration) -> Result<Round> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let endpoint = client_endpoint((Ipv4Addr::LOCALHOST, 0).into())?;
        let own = Ed25519Secret::from_seed(&[9; 32]);
        let (client, _) = QuicClient::connect(&endpoint, quic, node, &own, PATIENCE).await?;
        let (mut latencies, began) = (histogram()?, Instant::now());
        while began.elapsed() < length {
            let asked = Instant::now();
            client.request("info", b"{}", PATIENCE).await?;
            latencies.saturating_record(u64::try_from(asked.elapsed().as_micros())?.max(1));
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Round { latencies, elapsed: began.elapsed(), server_cpu: Duration::ZERO, entry_cpu: Duration::ZERO })
    })
}
