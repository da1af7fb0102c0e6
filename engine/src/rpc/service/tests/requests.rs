//! Several requests in one, or on one connection.

use futures_util::FutureExt as _;

use super::*;
use crate::{
    rpc::{Pipeline, limit::MAX_MESSAGE},
    store::NewMessage,
};

#[tokio::test]
async fn a_sequence_stops_at_the_first_failure_and_a_batch_does_not() {
    let net = fixture(1);
    let requests = json!({"requests": [
        {"method": "info", "params": {}},
        {"method": "retrieve", "params": {"pubkey": user().1.hex()}},
        {"method": "get_swarm", "params": {"pubKey": user().1.hex()}},
    ]});
    let codes = |body: &Json| -> Vec<u64> {
        body["results"].as_array().unwrap().iter().map(|result| result["code"].as_u64().unwrap()).collect()
    };
    let (_, sequence) = net.call("sequence", requests.clone()).await;
    assert_eq!(codes(&sequence), [200, 401]);
    assert_eq!(sequence["results"][1]["body"], "retrieve: request signature required");
    let (_, batch) = net.call("batch", requests).await;
    assert_eq!(codes(&batch), [200, 401, 200]);
    assert_eq!(batch["results"][2]["body"]["swarm"], "0");
    assert_eq!(batch["results"][2]["body"]["snodes"][0]["port"], "22021");
}

#[tokio::test]
async fn conditions_choose_a_branch() {
    let net = fixture(1);
    let info = json!({"method": "info", "params": {}});
    for (condition, holds) in [
        (json!({"hf_at_least": [19]}), true),
        (json!({"hf_at_least": [19, 4]}), true),
        (json!({"hf_before": [19, 4]}), false),
        (json!({"hf_before": [99_999, 99]}), true),
        (json!({"v_at_least": [2, 8, 1]}), false),
        (json!({"v_at_least": [2, 8], "height_before": 2}), true),
        (json!({"height_at_least": 2}), false),
    ] {
        let nested = json!({"method": "ifelse", "params": {"if": {"height_at_least": 0}, "then": info}});
        let (status, body) = net.call("ifelse", json!({"if": condition, "then": nested})).await;
        assert_eq!((status, &body["condition"]), (200, &json!(holds)), "{condition}");
        assert_eq!((&body["hf"], &body["v"], &body["height"]), (&json!([19, 4]), &json!([2, 8, 0]), &json!(1)));
        assert!(body.get("t").is_none());
        let reached = &body["result"]["body"]["result"]["body"]["version"];
        assert_eq!(*reached, if holds { json!([2, 8, 0]) } else { Json::Null }, "{body}");
    }
}

/// Twenty times the most that one part may have: what does not fit is left for the next request.
#[tokio::test]
async fn the_answer_to_a_batch_has_an_end() {
    let net = fixture(1);
    let (secret, account) = user();
    let now = Millis(net.now());
    for n in 0..100_u8 {
        let (namespace, data) = (Namespace(3), vec![n; MAX_MESSAGE]);
        let hash = MessageHash::of(&account, namespace, &data);
        let (timestamp, expiry) = (now, now.plus(86_400_000));
        let message = NewMessage { account, namespace, hash, timestamp, expiry, stored: now, changed: now, data };
        net.nodes[0].storage().store.put(message).await.unwrap();
    }
    let signature = base64(&secret.sign(format!("retrieve3{now}").as_bytes()));
    let key = secret.public().to_string();
    let retrieve = serde_json::json!({"method": "retrieve", "params": {"pubkey": account.hex(), "namespace": 3,
        "pubkey_ed25519": key, "signature": signature, "timestamp": now.0, "max_size": 7_800_000}});
    let list = serde_json::json!({"method": "oxend_request", "params": {"endpoint": "get_service_nodes"}});
    for method in ["batch", "sequence"] {
        let requests = [vec![retrieve.clone(); 19], vec![list.clone()]].concat();
        let body = serde_json::json!({"method": method, "params": {"requests": requests}}).to_string();
        let reply = net.nodes[0].call_json(body.as_bytes(), Via::Https, ()).await;
        let encoded = reply.encode(Encoding::Json);
        assert!(encoded.len() < 8_000_000, "{}", encoded.len());
        let answer = reply.json_body();
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), 20, "{method}");
        let messages = |n: usize| results[n]["body"]["messages"].as_array().unwrap().len();
        assert!(messages(0) > 70 && messages(18) == 0);
        assert!(results[..19].iter().all(|result| result["code"] == 200 && result["body"]["more"] == true));
        assert_eq!(results[19]["body"]["result"]["service_node_states"].as_array().unwrap().len(), 1);
    }
}

/// What reads has its turn until it has read, though it is proven meanwhile by others.
#[tokio::test]
async fn who_reads_lets_nobody_write_before_it_has_read() {
    let net = fixture(1);
    let ((_, account), now, name) = (user(), net.now(), net.store(b"there").await);
    let reads = [
        ("retrieve", format!("retrieve{now}"), json!({"timestamp": now})),
        ("get_expiries", format!("get_expiries{now}{name}"), json!({"timestamp": now, "messages": [name]})),
        ("revoked_subaccounts", format!("revoked_subaccounts{now}"), json!({"timestamp": now})),
    ];
    for (method, text, params) in reads {
        let params = net.signed(&text, params).to_string();
        let pipeline = Pipeline::default();
        let [reading, writing] = std::array::from_fn(|_| pipeline.ticket());
        let mut read = Box::pin(net.nodes[0].call(method, params.as_bytes(), Via::Omq, Some(reading)));
        assert!(read.as_mut().now_or_never().is_none(), "{method} needs nobody to prove it");
        let mut turn = Box::pin(writing.enter(|each| each(&account)));
        assert!(turn.as_mut().now_or_never().is_none(), "{method} has given its turn away");
        assert_eq!(read.await.unwrap().1.status, Status::OK);
        assert!(turn.now_or_never().is_some());
    }
}
