//! Answers as clients read them: signed, in their encoding, as published.

use super::*;
use crate::{
    bencode::Bt,
    rpc::{Body, base32z, methods::retrieve::limits},
};

#[tokio::test]
async fn deletes_and_expiries_are_signed() {
    let net = fixture(2);
    let (_, account) = user();
    let mut hashes = Vec::new();
    for n in 0..6_u8 {
        hashes.push(net.store(&[n]).await);
    }
    let gone = [hashes[3].clone(), "A".repeat(43), hashes[1].clone()];
    let params = net.signed(&format!("delete{}", gone.concat()), json!({"messages": gone, "required": true}));
    let (status, body) = net.call("delete", params.clone()).await;
    let mut deleted = [hashes[3].clone(), hashes[1].clone()];
    deleted.sort();
    assert_eq!(status, 200);
    all_sign(&body["swarm"], &format!("{}{}{}", account.hex(), gone.concat(), deleted.concat()));
    let (status, body) = net.call("delete", params).await;
    assert_eq!(status, 404);
    assert!(body["swarm"].as_object().unwrap().values().all(|entry| entry["deleted"] == json!([])));

    let expiry = net.now() + 30_000;
    let params = net.signed(&format!("expire_all{expiry}"), json!({"expiry": expiry}));
    let (_, body) = net.call("expire_all", params).await;
    let mut left: Vec<_> = [0, 2, 4, 5].map(|n: usize| hashes[n].clone()).into();
    assert_eq!(net.hashes().await, left);
    left.sort();
    all_sign(&body["swarm"], &format!("{}{expiry}{}", account.hex(), left.concat()));

    let now = net.now();
    let params = net.signed(&format!("delete_allall{now}"), json!({"timestamp": now, "namespace": "all"}));
    let (_, body) = net.call("delete_all", params).await;
    all_sign(&body["swarm"], &format!("{}{now}{}", account.hex(), left.concat()));
    let own = &body["swarm"][net.nodes[0].own.to_string()];
    assert_eq!(own["deleted"], json!({"0": left}));
    assert!(net.hashes().await.is_empty());
}

#[tokio::test]
async fn bencode_in_bencode_out() {
    let net = fixture(1);
    let params = Bt::dict([
        ("data", Bt::Bytes(b"hello world".to_vec())),
        ("pubkey", user().1.0.as_slice().into()),
        ("timestamp", net.now().into()),
        ("ttl", Bt::Int(60_000)),
    ]);
    let (encoding, reply) = net.nodes[0].call("store", &params.encode(), Via::Omq, None).await.unwrap();
    assert_eq!(encoding, Encoding::Bencode);
    let Ok(Bt::Dict(body)) = Bt::parse(&reply.encode(encoding)) else { panic!("not a dict") };
    assert_eq!(body[b"hash".as_slice()], Bt::Bytes(H0.into()));
    assert!(net.nodes[0].call("nope", b"", Via::Omq, None).await.is_none());
    let (_, reply) = net.nodes[0].call("info", b"x", Via::Omq, None).await.unwrap();
    assert_eq!(reply.json_body(), "invalid body: expected json or bt_dict");
}

/// `spec/node-tests` §4: node N's key.
#[test]
fn base32z_matches_the_reference() {
    let key: LegacyPublicKey = "174553b456dddfc6908ecab1c101fe6ab21e2baa0617795b7d43a63482993fd5".parse().unwrap();
    assert_eq!(base32z(&key.0), "n7ni8pns5zxhprrq3kahnyx6pk3bhk7kyamz1s57equdjyw389ko");
}

#[test]
fn shares_of_a_retrieve() {
    for (count, size, want) in [
        (0, 0, (None, 1_560_000)),
        (5, 0, (Some(5), 7_800_000)),
        (0, -1, (None, 7_800_000)),
        (0, -3, (None, 2_600_000)),
        (0, i64::MAX, (None, 7_800_000)),
        (0, i64::MIN, (None, 0)),
        (-4, 500_000, (None, 500_000)),
    ] {
        let limits = limits(count, size);
        assert_eq!((limits.max_count, limits.max_size), want);
    }
}

#[tokio::test]
async fn expiries_are_changed_and_told() {
    let net = fixture(2);
    let account = user().1.hex();
    let mut hashes = Vec::new();
    for n in 0..3_u8 {
        hashes.push(net.store(&[n]).await);
    }
    let now = net.now();
    let expiries = |asked: Vec<String>| {
        let text = format!("get_expiries{now}{}", asked.concat());
        net.signed(&text, json!({"timestamp": now, "messages": asked}))
    };
    let (status, before) = net.call("get_expiries", expiries([&hashes[..], &["A".repeat(43)]].concat())).await;
    assert_eq!((status, before["expiries"].as_object().unwrap().len()), (200, 3));
    assert!(before.get("t").is_none() && before.get("hf").is_none());
    let first = before["expiries"][&hashes[0]].as_u64().unwrap();

    // Extends only what ends earlier; what it leaves is told and signed, in the order of the hashes.
    let (later, asked) = (first + 1_000, [hashes[2].clone(), hashes[0].clone(), "A".repeat(43)]);
    let raise = net.signed(
        &format!("expireextend{later}{}", hashes[0]),
        json!({
            "messages": hashes[0], "expiry": later, "extends": true,
        }),
    );
    assert_eq!(net.call("expire", raise).await.0, 200);
    let params = net.signed(
        &format!("expireextend{}{}", first + 500, asked.concat()),
        json!({
            "messages": asked, "expiry": first + 500, "extend": true,
        }),
    );
    let (_, body) = net.call("expire", params).await;
    let own = &body["swarm"][net.nodes[0].own.to_string()];
    assert_eq!(own["updated"], json!([hashes[2]]));
    assert_eq!(own["unchanged"], json!({hashes[0].clone(): later}));
    assert_eq!(own["expiry"], first + 500);
    let text = format!("{account}{}{}{}{}{later}", first + 500, asked.concat(), hashes[2], hashes[0]);
    all_sign(&body["swarm"], &text);

    // Several expiries at once, clamped to 30 days and told beside what they went to.
    let far = now + 40 * 86_400_000;
    let params = net.signed(
        &format!("expire{far}{later}{}{}", hashes[0], hashes[1]),
        json!({
            "messages": [hashes[0], hashes[1]], "expiry": [far, later],
        }),
    );
    let (_, body) = net.call("expire", params).await;
    let own = &body["swarm"][net.nodes[0].own.to_string()];
    let mut sorted = [hashes[0].clone(), hashes[1].clone()];
    sorted.sort();
    assert_eq!(own["updated"], json!(sorted));
    let told: Vec<u64> = own["expiry"].as_array().unwrap().iter().map(|e| e.as_u64().unwrap()).collect();
    let clamped = told[usize::from(sorted[1] == hashes[0])];
    assert!(clamped.abs_diff(net.now() + 30 * 86_400_000) < 5_000);
    assert!(told.contains(&later) && own.get("unchanged").is_none());

    let params = net.signed(
        &format!("expireshorten{later}{}", hashes[0]),
        json!({
            "messages": hashes[0], "expiry": later, "shorten": true,
        }),
    );
    let (_, body) = net.call("expire", params).await;
    assert_eq!(body["swarm"][net.nodes[0].own.to_string()]["updated"], json!([hashes[0]]));
    let (_, after) = net.call("get_expiries", expiries(vec![hashes[0].clone()])).await;
    assert_eq!(after["expiries"], json!({hashes[0].clone(): later}));
}

/// Signatures of `spec/node-tests` §4 by node N, whose clock is set to their time.
#[tokio::test]
async fn answers_are_signed_as_published() {
    const T: u64 = 1_700_000_000_000;
    let net = fixture(1);
    let own = net.nodes[0].own.to_string();
    net.clock.set_offset(i64::try_from(T).unwrap() - i64::try_from(net.now()).unwrap());
    let h2 = {
        let (secret, account) = user();
        let text = format!("store2{T}");
        let params = json!({
            "pubkey": account.hex(), "pubkey_ed25519": secret.public().to_string(), "namespace": 2, "timestamp": T,
            "ttl": 60_000, "data": base64(b"hello world"), "signature": base64(&secret.sign(text.as_bytes())),
        });
        net.call("store", params).await.1["hash"].as_str().unwrap().to_owned()
    };
    assert_eq!(h2, "7tpR5KJ7lXhN0sFsR3DIC2gPIMEltlM+OmfxQYMXUF0");
    let h0 = net.store(b"hello world").await;
    assert_eq!(h0, H0);
    let expiry = T + 86_400_000;
    let params = net.signed(&format!("expire{expiry}{h0}{h2}"), json!({"messages": [h0, h2], "expiry": expiry}));
    let (_, body) = net.call("expire", params).await;
    let signature = |body: &Json| {
        let text = body["swarm"][&own]["signature"].as_str().unwrap();
        hex::encode(base64_simd::STANDARD.decode_to_vec(text).unwrap())
    };
    assert!(signature(&body).starts_with("e3e0e8ce06c312ed3f92dc088924c87a"), "{body}");

    let group = Ed25519Secret::from_seed(&seed(32));
    let token = "030300002543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d";
    let account = AccountId::new(AccountId::GROUP, group.public().0).hex();
    let signed = |method: &str| {
        let text = [format!("{method}{T}").as_bytes(), &hex::decode(token).unwrap()].concat();
        base64(&group.sign(&text))
    };
    let params = json!({"pubkey": account, "timestamp": T, "revoke": token, "signature": signed("revoke_subaccount")});
    let (status, body) = net.call("revoke_subaccount", params).await;
    assert_eq!(status, 200, "{body}");
    assert!(signature(&body).starts_with("2a946558f3bc5cfdf509b5b2792b285b"));
    let list = json!({
        "pubkey": account, "timestamp": T, "signature": base64(&group.sign(format!("revoked_subaccounts{T}").as_bytes())),
    });
    let (_, body) = net.call("revoked_subaccounts", list.clone()).await;
    assert_eq!(body["revoked_subaccounts"], json!(["AwMAACVDuS/xCVURR2rcg2nbbdyTNmWhGXjdoUBO4QZsqVWd"]));
    let params =
        json!({"pubkey": account, "timestamp": T, "unrevoke": [token], "signature": signed("unrevoke_subaccount")});
    let (_, body) = net.call("unrevoke_subaccount", params).await;
    assert_eq!(body["swarm"][&own]["count"], 1);
    assert_eq!(net.call("revoked_subaccounts", list).await.1["revoked_subaccounts"], json!([]));
}

#[tokio::test]
async fn active_nodes_are_51_bytes_each() {
    let net = fixture(2);
    let reply = net.nodes[0].call_json(br#"{"method":"active_nodes_bin","params":{}}"#, Via::Https, ()).await;
    let Body::Binary(records) = &reply.body else { panic!("{reply:?}") };
    assert_eq!(records.len(), 2 * 51);
    assert_eq!(records[..32], net.nodes[0].own.0);
    assert_eq!(records[32..51], [0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1, 0x56, 0x05, 0x56, 0x04, 2, 8, 0]);
    assert_eq!(reply.json_body(), base64(records));
}
