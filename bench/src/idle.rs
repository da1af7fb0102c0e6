//! What connections cost a node in memory that have asked once and say nothing any more.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{
    Table,
    load::Crowd,
    report::mega,
    server::{Measured, Network},
};

/// Long enough to hibernate.
const QUIET: Duration = Duration::from_secs(3);

/// Prints the memory that is no page of a file, before and with `count` connections, of a new node each time.
pub(crate) fn idle(table: &Table, count: usize) -> Result<()> {
    let directory = table.directory()?;
    println!("{count} connections that say nothing  {:>12} {:>12} {:>12}", "MB before", "MB with them", "bytes each");
    for quic in [false, true] {
        let network = Network::start(&directory.path().join(quic.to_string()), 1, table, true)?;
        let node = network.nodes().first().context("no node")?;
        let mut crowd = Crowd::new(node.https)?;
        // What the first ones need is not theirs.
        crowd.join(1)?;
        crowd.join_quic(1, node.quic, node.hop.ed25519)?;
        let before = anonymous(node)?;
        if quic {
            crowd.join_quic(count, node.quic, node.hop.ed25519)?;
        } else {
            crowd.join(count)?;
        }
        crowd.wait(QUIET);
        let after = anonymous(node)?;
        println!(
            "{:<36} {:>9.1} {:>12.1} {:>12}",
            if quic { "over QUIC" } else { "over HTTPS" },
            mega(before),
            mega(after),
            after.saturating_sub(before) / count.max(1) as u64
        );
    }
    Ok(())
}

fn anonymous(node: &Measured) -> Result<u64> {
    Ok(node.resident()?.context("the node has no process")?.1)
}
