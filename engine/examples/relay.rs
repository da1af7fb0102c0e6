//! A relay without a store, which also answers a method of its own; and what a client and the relay say to each other.
//!
//! `cargo run --example relay -- [HTTPS PORT] [OMQ PORT]`

use std::net::Ipv4Addr;

use allium_engine::{
    Call, Ed25519Secret, EncType, Engine, Identity,
    onion::build::{Destination, Hop, build},
    swarm::{NodeInfo, Snapshot, SwarmId},
    types::LegacyPublicKey,
};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

/// What the relay answers to `greet`.
fn greet(call: Call) {
    let name = call.params()["name"].as_str().unwrap_or("stranger").to_owned();
    // It might as well be given by another thread, later.
    call.answer(200, json!({"greeting": format!("hello, {name}")}));
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut ports = std::env::args().skip(1).map(|port| port.parse::<u16>());
    run(ports.next().transpose()?.unwrap_or(22021), ports.next().transpose()?.unwrap_or(22020)).await
}

pub(crate) async fn run(https_port: u16, omq_port: u16) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let seed = [7; 32];
    let legacy = LegacyPublicKey(Ed25519Secret::from_seed(&seed).public().0);
    let identity = Identity::new(&seed, legacy);
    let own = NodeInfo {
        legacy,
        ed25519: identity.ed25519.public(),
        x25519: identity.x25519.public(),
        ip: Ipv4Addr::LOCALHOST,
        https_port,
        omq_port,
        swarm: SwarmId::UNASSIGNED,
        version: allium_engine::PROTOCOL_VERSION,
        requested_unlock_height: 0,
    };
    let hop = Hop { ed25519: own.ed25519, x25519: own.x25519 };

    let engine = Engine::builder(directory.path(), identity)
        .bind(Ipv4Addr::LOCALHOST.into(), https_port, omq_port)
        .without_store()
        .runtime(tokio::runtime::Handle::current())
        .answers(["greet"], greet)
        .start()?;
    engine.set_network(Snapshot::new(1, String::new(), [19, 4], vec![own]));

    // What a client would post to https://…/onion_req/v2; here without a socket in between.
    let ask = async |body: Value| -> Result<Value, Failure> {
        let (payload, key) = build(&[], &Destination::Node(hop), body.to_string().as_bytes(), EncType::AesGcm)?;
        let answer = engine.onion(payload).await;
        let plaintext = key.open(&answer.body, true).ok_or_else(|| format!("status {}", answer.status))?;
        Ok(serde_json::from_slice(&plaintext)?)
    };
    let greeting = ask(json!({"method": "greet", "params": {"name": "Ada"}})).await?;
    println!("its own method: {greeting}");
    let account = format!("05{}", "11".repeat(32));
    let store = json!({"pubkey": account, "timestamp": 1, "ttl": 86_400_000, "data": "aGVsbG8="});
    let elsewhere = ask(json!({"method": "store", "params": store})).await?;
    println!("a message to keep: {elsewhere}");
    engine.close().await;
    if greeting["status"] == 200 && elsewhere["status"] == 421 { Ok(()) } else { Err("not as expected".into()) }
}
