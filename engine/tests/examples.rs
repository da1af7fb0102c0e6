//! The examples do what they say.

#![allow(clippy::unwrap_used, dead_code)]

#[path = "../examples/membership.rs"]
mod membership;
mod ports;
#[path = "../examples/relay.rs"]
mod relay;
#[path = "../examples/store.rs"]
mod store;

#[test]
fn a_node_with_its_own_membership_source() {
    let (https_port, omq_port) = ports::free_ports();
    membership::run(https_port, omq_port).unwrap();
}

#[tokio::test]
async fn a_relay_without_a_store() {
    let (https_port, omq_port) = ports::free_ports();
    relay::run(https_port, omq_port).await.unwrap();
}

#[tokio::test]
async fn a_store_without_a_network() {
    store::run().await.unwrap();
}
