//! How often a hot request takes memory: trees of what came or of what is answered would show here.

use super::*;
use crate::fuzz::memory::taken;

/// Requests of one kind.
const TIMES: usize = 20;

/// How often a request takes memory on this thread, from its bytes to those of its answer.
async fn each(net: &Fixture, what: &str, most: usize, body: impl Fn(usize) -> String) {
    let bodies: Vec<String> = (0..=TIMES).map(body).collect();
    let mut before = 0;
    for (number, body) in bodies.iter().enumerate() {
        // The first has to make what later ones find.
        if number == 1 {
            before = taken();
        }
        let reply = net.nodes[0].call_json(body.as_bytes(), Via::Https, ()).await;
        assert_eq!(reply.status.code(), 200, "{body}");
        assert!(reply.encode(Encoding::Json).len() > 50);
    }
    let each = (taken() - before) / TIMES;
    println!("{what}: {each}");
    assert!(each <= most, "{what} takes memory {each} times");
}

#[tokio::test]
async fn hot_requests_take_memory_seldom() {
    let net = fixture(1);
    each(&net, "info", 10, |_| json!({"method": "info", "params": {}}).to_string()).await;
    let store = |number: usize| {
        let mut data = vec![7; 1024];
        data[0] = number as u8;
        let params = json!({
            "pubkey": user().1.hex(), "timestamp": net.now(), "ttl": 86_400_000, "data": base64(&data),
        });
        json!({"method": "store", "params": params}).to_string()
    };
    each(&net, "store", 50, store).await;
    let last = net.hashes().await.pop().unwrap();
    let retrieve = |more: Json| {
        let now = net.now();
        let mut params = net.signed(&format!("retrieve{now}"), json!({"timestamp": now}));
        params.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        json!({"method": "retrieve", "params": params}).to_string()
    };
    each(&net, "retrieve, nothing new", 50, |_| retrieve(json!({"last_hash": last}))).await;
    each(&net, "retrieve, ten", 70, |_| retrieve(json!({"max_count": 10}))).await;
}
