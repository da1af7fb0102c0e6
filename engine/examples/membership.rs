//! A node whose list of nodes comes from the embedder: here from a file of one line per node, read whenever it changed.
//!
//! `cargo run --example membership -- [HTTPS PORT] [OMQ PORT]`

use std::{fs, io::Write, net::Ipv4Addr, path::Path, time::SystemTime};

use allium_engine::{
    Engine, Identity,
    swarm::{NodeInfo, Snapshot, SwarmId},
    types::{AccountId, LegacyPublicKey},
};
use serde_json::json;

type Failure = Box<dyn std::error::Error>;

/// A list of nodes in a file: `legacy ed25519 x25519 ip https-port omq-port swarm`, keys in hex.
struct Membership<'a> {
    file: &'a Path,
    read: Option<SystemTime>,
    height: u64,
}

impl Membership<'_> {
    /// The list, when it has changed.
    fn next(&mut self) -> Result<Option<Snapshot>, Failure> {
        let changed = fs::metadata(self.file)?.modified()?;
        if self.read.replace(changed) == Some(changed) {
            return Ok(None);
        }
        self.height += 1;
        let nodes = fs::read_to_string(self.file)?.lines().map(node).collect::<Result<_, _>>()?;
        Ok(Some(Snapshot::new(self.height, String::new(), [19, 4], nodes)))
    }
}

fn node(line: &str) -> Result<NodeInfo, Failure> {
    let [legacy, ed25519, x25519, ip, https_port, omq_port, swarm] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("not a node: {line}").into());
    };
    Ok(NodeInfo {
        legacy: legacy.parse()?,
        ed25519: ed25519.parse()?,
        x25519: x25519.parse()?,
        ip: ip.parse()?,
        https_port: https_port.parse()?,
        omq_port: omq_port.parse()?,
        swarm: SwarmId(swarm.parse()?),
        version: allium_engine::PROTOCOL_VERSION,
        requested_unlock_height: 0,
    })
}

fn main() -> Result<(), Failure> {
    let mut ports = std::env::args().skip(1).map(|port| port.parse::<u16>());
    run(ports.next().transpose()?.unwrap_or(22021), ports.next().transpose()?.unwrap_or(22020))
}

/// Without a runtime of one's own: the engine brings its threads along, and blocking is fine.
pub(crate) fn run(https_port: u16, omq_port: u16) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let identity = Identity::new(&[7; 32], LegacyPublicKey([1; 32]));
    let (ed25519, x25519) = (identity.ed25519.public(), identity.x25519.public());
    let engine = Engine::builder(directory.path().join("data"), identity)
        .bind(Ipv4Addr::LOCALHOST.into(), https_port, omq_port)
        .start()?;

    let list = directory.path().join("nodes");
    let mut file = fs::File::create(&list)?;
    writeln!(file, "{} {ed25519} {x25519} 127.0.0.1 {https_port} {omq_port} 7", LegacyPublicKey([1; 32]))?;
    let mut membership = Membership { file: &list, read: None, height: 0 };
    // A node would do this every few seconds.
    while let Some(snapshot) = membership.next()? {
        engine.set_network(snapshot);
    }

    let account = AccountId::new(AccountId::SESSION, [9; 32]);
    let network = engine.network();
    let swarm = network.swarm(&account).ok_or("there are no swarms")?;
    println!("height {}, swarm {} of {} nodes", network.height, swarm.id, swarm.members.len());

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let params = json!({"pubkey": account.hex(), "timestamp": now, "ttl": 86_400_000, "data": "aGVsbG8="});
    let request = json!({"method": "store", "params": params}).to_string();
    // Any executor will do: the engine does the work on its own threads.
    let answer = tokio::runtime::Builder::new_current_thread().build()?.block_on(engine.request(request));
    println!("stored: {}", String::from_utf8_lossy(&answer.body));
    let stats = engine.stats()?;
    engine.shutdown();
    if answer.status == 200 && stats.store.messages == 1 { Ok(()) } else { Err("not as expected".into()) }
}
