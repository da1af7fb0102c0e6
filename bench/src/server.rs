//! The node that is measured: an engine alone in its process, in a network of itself.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use allium_engine::{
    crypto::Identity,
    node::{Node, NodeConfig},
    swarm::{NodeInfo, Snapshot, SwarmId},
    types::LegacyPublicKey,
};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

/// What runs in the measured process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Setup {
    /// One node in a network of itself.
    Alone,
    /// Three nodes that speak OMQ to each other.
    Omq,
    /// Three nodes that speak QUIC to each other.
    Quic,
}

impl Setup {
    pub(crate) const fn nodes(self) -> usize {
        match self {
            Self::Alone => 1,
            Self::Omq | Self::Quic => 3,
        }
    }
}

/// Seeds of the keys; the load knows them too.
pub(crate) fn identity(number: usize) -> Identity {
    let seed = [u8::try_from(number + 1).unwrap_or(u8::MAX); 32];
    Identity::new(&seed, LegacyPublicKey(seed))
}

/// Runs nodes on free ports, tells the first one's ports (HTTPS, QUIC) on standard output, serves until standard input ends.
pub(crate) fn serve(directory: &Path, setup: Setup) -> Result<()> {
    let mut infos = Vec::new();
    let mut nodes = Vec::new();
    for number in 0..setup.nodes() {
        let [https, omq] = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let mut config = NodeConfig::new(directory.join(number.to_string()));
        (config.https_port, config.omq_port) = (https?.local_addr()?.port(), omq?.local_addr()?.port());
        config.bind_ip = Ipv4Addr::LOCALHOST.into();
        config.quic_between_nodes = setup == Setup::Quic;
        // One address is all the load there is.
        config.rate_limits.exempt.push((Ipv4Addr::LOCALHOST.into(), 8));
        let identity = identity(number);
        infos.push(NodeInfo {
            legacy: identity.legacy,
            ed25519: identity.ed25519.public(),
            x25519: identity.x25519.public(),
            ip: Ipv4Addr::LOCALHOST,
            https_port: config.https_port,
            omq_port: config.omq_port,
            swarm: SwarmId(0),
            version: [2, 8, 0],
            requested_unlock_height: 0,
        });
        nodes.push(Node::start(&config, identity)?);
    }
    for node in &nodes {
        node.set_network(Snapshot::new(1, String::new(), [19, 4], infos.clone())?);
    }
    println!("{} {}", infos[0].https_port, infos[0].omq_port);
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    nodes.iter_mut().for_each(Node::shutdown);
    Ok(())
}

/// The node's process, from outside.
pub(crate) struct Server {
    process: Child,
    https_port: u16,
    quic_port: u16,
}

impl Server {
    pub(crate) fn start(directory: &Path, setup: Setup) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(directory)
            .arg(setup.to_possible_value().context("a setup without a name")?.get_name())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("no output of the node")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let (https, quic) = line.trim().split_once(' ').context("the node did not start")?;
        Ok(Self { process, https_port: https.parse()?, quic_port: quic.parse()? })
    }

    /// Of HTTPS.
    pub(crate) const fn address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.https_port)
    }

    pub(crate) const fn quic_address(&self) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), self.quic_port)
    }

    /// User and system time so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The second field is a name in brackets; utime and stime are fields 14 and 15.
        let rest = stat.rsplit(") ").next().context("no such process")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        ensure!(fields.len() > 12, "an unknown form of /proc/PID/stat");
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // SAFETY: no precondition.
        let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) })?;
        Ok(Duration::from_secs(ticks) / u32::try_from(per_second)?)
    }

    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.process.id()))?;
        let pages: u64 = statm.split(' ').nth(1).context("an unknown form of /proc/PID/statm")?.parse()?;
        // SAFETY: no precondition.
        Ok(pages * u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) })?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
