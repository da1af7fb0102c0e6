//! The same work by a node of one thread on one core, and by one of two threads on two.

use anyhow::Result;

use crate::{
    Table,
    load::Over,
    report::{self, Row},
    rows::{Case, run_rounds},
    server::Network,
    work::Work,
};

const WORK: [(&str, Work); 4] = [
    ("info", Work::Info),
    ("store", Work::Store),
    ("retrieve, nothing new", Work::RetrieveNothing),
    ("onion 1 layer, info", Work::OnionInfo(1)),
];

/// Prints both, and the ratio of what a request costs: what is above 1 is the price of sharing.
pub(crate) fn scaling(table: &Table) -> Result<()> {
    let directory = table.directory()?;
    let (mut networks, mut cases) = (Vec::new(), Vec::new());
    let connections = table.connections.iter().copied().max().unwrap_or(64);
    for (name, work) in WORK.into_iter().filter(|(name, _)| name.contains(&table.only)) {
        for cores in [1, 2] {
            let table = Table { worker_threads: cores, cpus: (0..cores).collect(), ..table.clone() };
            networks.push(Network::start(&directory.path().join(networks.len().to_string()), 1, &table, true)?);
            let (number, name) = (networks.len() - 1, format!("{name}, {cores} core"));
            cases.push(Case::new(&name, number, &networks[number], connections, 0, (work, Over::KeepAlive), &table)?);
        }
    }
    let x25519 = run_rounds(&mut cases, &networks, table)?;
    println!("{}", report::HEAD);
    let rows = cases.iter().map(|case| case.row(&networks[case.network], x25519)).collect::<Result<Vec<_>>>()?;
    for pair in rows.chunks(2) {
        pair.iter().for_each(Row::print);
        if let [one, two] = pair {
            println!(
                "    two cores: {:.2} times the requests, {:.2} times the CPU time of each",
                two.rps / one.rps,
                two.cpu_us_per_request / one.cpu_us_per_request
            );
        }
    }
    report::write(&rows, &table.out)
}
