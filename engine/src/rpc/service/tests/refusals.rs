//! Whoever may not, is told why.

use super::*;

#[tokio::test]
async fn refusals() {
    let net = fixture(1);
    let (_, account) = user();
    let (now, key) = (net.now(), account.hex());
    let old = now - 120_000;
    for (method, params, status, want) in [
        (
            "store",
            json!({"pubkey": key, "timestamp": now, "ttl": 9_999, "data": ""}),
            403,
            "Provided expiry/TTL is not valid.",
        ),
        (
            "store",
            json!({"pubkey": key, "timestamp": now + 20_000, "ttl": 60_000, "data": ""}),
            406,
            "Timestamp error: check your clock",
        ),
        (
            "store",
            json!({"pubkey": key, "timestamp": now, "ttl": 60_000, "data": "", "namespace": 42}),
            401,
            "store: signature required to store to namespace 42",
        ),
        (
            "store",
            net.signed("x", json!({"timestamp": now, "ttl": 60_000, "data": "", "namespace": 42})),
            401,
            "store signature verification failed",
        ),
        (
            "retrieve",
            net.signed(&format!("retrieve{old}"), json!({"timestamp": old})),
            406,
            "retrieve timestamp too far from current time",
        ),
        ("retrieve", net.signed("retrieve", json!({"timestamp": now})), 401, "retrieve signature verification failed"),
        (
            "delete_all",
            net.signed("", json!({"timestamp": old})),
            406,
            "delete_all timestamp too far from current time",
        ),
        ("delete_all", net.signed("", json!({"timestamp": now})), 401, "delete_all signature verification failed"),
        ("expire_all", net.signed("", json!({"expiry": old})), 406, "expire_all timestamp should be >= current time"),
        (
            "delete_before",
            net.signed("", json!({"before": now + 120_000})),
            401,
            "delete_before timestamp too far in the future",
        ),
        ("delete", net.signed("", json!({"messages": [H0]})), 401, "delete_msgs signature verification failed"),
        (
            "expire",
            net.signed("", json!({"messages": H0, "expiry": old})),
            401,
            "expire: timestamp should be >= current time",
        ),
        (
            "expire",
            net.signed("", json!({"messages": H0, "expiry": now})),
            401,
            "expire: signature verification failed",
        ),
        (
            "get_expiries",
            net.signed("", json!({"messages": H0, "timestamp": old})),
            406,
            "get_expiries timestamp too far from current time",
        ),
        (
            "get_expiries",
            net.signed("", json!({"messages": H0, "timestamp": now})),
            401,
            "get_expiries signature verification failed",
        ),
        (
            "revoke_subaccount",
            net.signed("", json!({"revoke": [], "timestamp": old})),
            406,
            "revoke_subaccount timestamp too far from current time",
        ),
        (
            "unrevoke_subaccount",
            net.signed("", json!({"unrevoke": [], "timestamp": now})),
            401,
            "unrevoke_subaccount signature verification failed",
        ),
        (
            "revoked_subaccounts",
            net.signed("", json!({"timestamp": old})),
            406,
            "revoked_subaccounts timestamp too far from current time",
        ),
        (
            "revoked_subaccounts",
            net.signed("", json!({"timestamp": now})),
            401,
            "revoked_subaccounts signature verification failed",
        ),
        ("nope", json!({}), 400, "no method nope"),
        ("store", json!({}), 400, "invalid request: Required field 'timestamp' missing"),
    ] {
        let (got, body) = net.call(method, params).await;
        assert_eq!((got, body.as_str()), (status, Some(want)), "{method}");
    }
    for (body, want) in [
        ("", "invalid json"),
        ("[]", "invalid json: no `method` field"),
        (r#"{"method":"info"}"#, "invalid json: no `params` field"),
    ] {
        assert_eq!(net.nodes[0].call_json(body.as_bytes(), Via::Https, ()).await.json_body(), want);
    }
}

/// A subaccount token by group G: prefix and flags as given, of the key with seed bytes 64…
fn subaccount(prefix: u8, flags: u8, owner: &Ed25519Secret) -> (String, String) {
    let mut token = vec![prefix, flags, 0, 0];
    token.extend_from_slice(&Ed25519Secret::from_seed(&seed(64)).public().0);
    (base64(&token), base64(&owner.sign(&token)))
}

/// `spec/node-tests` §9, subaccounts: what each flag permits.
#[tokio::test]
async fn subaccount_permissions() {
    let net = fixture(1);
    let (group, member) = (Ed25519Secret::from_seed(&seed(32)), Ed25519Secret::from_seed(&seed(64)));
    for (netid, flags, read, write, delete) in [
        (3, 0x01, true, false, false),
        (3, 0x00, false, false, false),
        (3, 0x07, true, true, true),
        (3, 0x0b, true, true, false),
        (0x25, 0x07, false, false, false),
        (0x25, 0x0b, true, true, false),
    ] {
        let account = AccountId::new(netid, group.public().0).hex();
        let (token, token_signature) = subaccount(3, flags, &group);
        let now = net.now();
        let signed = |text: String, mut params: Json| {
            params["pubkey"] = account.clone().into();
            params["subaccount"] = token.clone().into();
            params["subaccount_sig"] = token_signature.clone().into();
            params["signature"] = base64(&member.sign(text.as_bytes())).into();
            params
        };
        let status = |permitted| if permitted { 200 } else { 401 };
        let data = base64(&[netid, flags]);
        let params =
            signed(format!("store42{now}"), json!({"namespace": 42, "timestamp": now, "ttl": 60_000, "data": data}));
        assert_eq!(net.call("store", params).await.0, status(write), "store {netid} {flags}");
        let params = signed(format!("retrieve42{now}"), json!({"namespace": 42, "timestamp": now}));
        assert_eq!(net.call("retrieve", params).await.0, status(read), "retrieve {netid} {flags}");
        let later = now + 120_000;
        let params = signed(format!("expire{later}{H0}"), json!({"messages": H0, "expiry": later}));
        assert_eq!(net.call("expire", params).await.0, status(write), "expire {netid} {flags}");
        let params = signed(
            format!("expireshorten{later}{H0}"),
            json!({
                "messages": H0, "expiry": later, "shorten": true,
            }),
        );
        let (got, body) = net.call("expire", params).await;
        assert_eq!(got, if write && !delete { 400 } else { status(delete) }, "shorten {netid} {flags}: {body}");
        let params = signed(format!("delete_all42{now}"), json!({"namespace": 42, "timestamp": now}));
        assert_eq!(net.call("delete_all", params).await.0, status(delete), "delete_all {netid} {flags}");
    }
}
