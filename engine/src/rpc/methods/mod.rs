//! The methods of the protocol, a module each: its fields, what reads them, what carries it out.

mod batch;
mod delete;
mod expire;
mod fields;
mod get_expiries;
mod get_swarm;
mod ifelse;
mod info;
mod oxend;
pub(super) mod retrieve;
mod revoke;
mod store;
mod stores;
mod timed;

use super::{
    method::{Nested, Request},
    params::{Invalid, Params},
};

/// The table of all methods: the names of each, the first of which is counted, and what reads its fields.
macro_rules! methods {
    ($($first:literal $(or $other:literal)* => $parse:path,)+) => {
        /// The method names that there are.
        pub const METHODS: &[&str] = &[$($first, $($other,)*)+];

        impl Request {
            /// The request `method` with `params`; `None` when there is no such method.
            ///
            /// # Errors
            /// [`Invalid`].
            pub fn parse(method: &str, params: &Params<'_>) -> Result<Option<Self>, Invalid> {
                Self::parse_inside(method, params, 0)
            }

            /// As [`Self::parse`], inside of `depth` times `ifelse`.
            fn parse_inside(method: &str, params: &Params<'_>, depth: usize) -> Result<Option<Self>, Invalid> {
                let nested = Nested { depth, parse: Self::parse_inside };
                let (place, method) = match method {
                    $($first $(| $other)* => (const { place($first) }, $parse(params, nested)?),)+
                    _ => return Ok(None),
                };
                Ok(Some(Self { place, method }))
            }
        }
    };
}

methods! {
    "store" => store::parse,
    "retrieve" => retrieve::parse,
    "delete" => delete::parse,
    "delete_all" => timed::delete_all,
    "delete_before" => timed::delete_before,
    "expire_all" => timed::expire_all,
    "expire" => expire::parse,
    "get_expiries" => get_expiries::parse,
    "revoke_subaccount" => revoke::revoke,
    "unrevoke_subaccount" => revoke::unrevoke,
    "revoked_subaccounts" => revoke::revoked,
    "get_swarm" or "get_snodes_for_pubkey" => get_swarm::parse,
    "oxend_request" => oxend::parse,
    "info" => info::info,
    "active_nodes_bin" => info::active_nodes,
    "batch" => batch::batch,
    "sequence" => batch::sequence,
    "ifelse" => ifelse::parse,
}

/// The place of a name in [`METHODS`].
const fn place(name: &str) -> usize {
    let mut place = 0;
    while !is_same(METHODS[place], name) {
        place += 1;
    }
    place
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::{fields::MAX_LISTED, ifelse::MAX_IFELSE, oxend::MAX_OXEND, *};
    use crate::json::{self, JsonObject};

    fn refusal(method: &str, params: &Json) -> String {
        Request::parse(method, &Params::Json(&params.as_object().unwrap().into())).unwrap_err().to_string()
    }

    #[test]
    fn texts() {
        let key = format!("05{}", "11".repeat(32));
        let sig = "A".repeat(86);
        let hash = "B".repeat(43);
        for (method, params, want) in [
            ("store", json!({}), "Required field 'timestamp' missing"),
            ("store", json!({"timestamp": 1}), "Required field 'expiry' or 'ttl' missing"),
            ("store", json!({"timestamp": 1, "ttl": 1}), "Required field 'pubkey' missing"),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "data": "", "subaccount": 1}),
                "Invalid value given for 'subaccount': expected string",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "data": "?".repeat(102_404)}),
                "Invalid 'data' value: not base64 encoded",
            ),
            ("store", json!({"pubkey": key}), "Required field 'timestamp' missing"),
            ("store", json!({"pubkey": key, "timestamp": "12x"}), "Invalid value given for 'timestamp': \"12x\""),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": -1}),
                "Invalid value given for 'ttl': expected positive integer",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": -1}),
                "Invalid value given for 'timestamp': expected integer timestamp (in milliseconds)",
            ),
            ("store", json!({"pubkey": key, "timestamp": 1}), "Required field 'expiry' or 'ttl' missing"),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "expiry": 5_000_000_000_u64}),
                "Cannot specify both 'expiry' and 'ttl'",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": "1", "ttl": "1", "data": "?"}),
                "Invalid 'data' value: not base64 encoded",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "data": "A".repeat(102_404)}),
                "Message body exceeds maximum allowed length of 76800 bytes",
            ),
            (
                "store",
                json!({"pubkey": key, "timestamp": 1, "ttl": 1, "data": "", "namespace": 32768}),
                "Invalid value given for 'namespace': value out of range",
            ),
            ("retrieve", json!({"pubkey": key, "namespace": 42}), "Required field 'signature' missing"),
            ("retrieve", json!({"pubkey": key, "signature": sig}), "Required field 'timestamp' missing"),
            ("retrieve", json!({"pubkey": key, "last_hash": "x"}), "Invalid last_hash: expected base64 (43 chars)"),
            ("retrieve", json!({"pubkey": key, "lastHash": "?".repeat(43)}), "Invalid last_hash: not base64"),
            (
                "delete",
                json!({"pubkey": key, "signature": sig, "messages": []}),
                "messages does not contain any message hashes",
            ),
            ("delete", json!({"pubkey": key, "signature": sig, "messages": [hash, "x"]}), "invalid message hash: x"),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": [], "messages": hash}),
                "'expiry' does not contain any expiration timestamps",
            ),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": 1, "messages": hash, "shorten": true, "extend": true}),
                "cannot specify both 'shorten' and 'extend'",
            ),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": 1, "messages": []}),
                "messages does not contain any message hashes",
            ),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": [1, 2], "messages": hash}),
                "'expiry' must be a single expiry, or the same length as 'messages'",
            ),
            (
                "expire",
                json!({"pubkey": key, "signature": sig, "expiry": 1, "messages": ["x"]}),
                "invalid message hash: x",
            ),
            (
                "get_expiries",
                json!({"pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64}),
                "Required field 'messages' missing",
            ),
            (
                "revoke_subaccount",
                json!({"pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64, "revoke": vec![""; 51]}),
                "invalid revoke: cannot revoke more than 50 subaccounts at once",
            ),
            (
                "unrevoke_subaccount",
                json!({"pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64, "unrevoke": vec![""; 51]}),
                "invalid unrevoke: expected base64 or hex-encoded subaccount tag",
            ),
            ("ifelse", json!({"then": {}}), "Invalid ifelse request: no valid \"if\" field"),
            ("ifelse", json!({"if": {}}), "Invalid ifelse request: must specify at least one \"if\" condition"),
            (
                "ifelse",
                json!({"if": {"hf_at_least": []}}),
                "Invalid ifelse request: must specify at least one \"if\" condition",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": "1"}}),
                "Invalid value given for 'height_before': expected integer",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": -1, "hf_before": [-1]}}),
                "Invalid ifelse request: at least one of \"then\"/\"else\" required",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": 1}}),
                "Invalid ifelse request: at least one of \"then\"/\"else\" required",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": 1}, "else": 1}),
                "Invalid ifelse request: else must be an object",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": 1}, "then": {"method": "info"}}),
                "Invalid ifelse request: then must have method/params keys",
            ),
            (
                "ifelse",
                json!({"if": {"height_before": 1}, "then": {"method": "nope", "params": {}}}),
                "Invalid ifelse request method \"then\"",
            ),
            ("get_swarm", json!({"pubkey": "05"}), "Pubkey must be 66 hex digits/33 bytes long"),
            ("oxend_request", json!({"endpoint": "stop"}), "Invalid oxend endpoint 'stop'"),
            ("batch", json!({"requests": []}), "Invalid batch request: no valid \"requests\" field"),
            ("batch", json!({"requests": vec![1; 21]}), "Invalid batch request: subrequest limit exceeded"),
            ("batch", json!({"requests": [1]}), "Invalid batch request: requests must be objects"),
            (
                "batch",
                json!({"requests": [{"method": "info"}]}),
                "Invalid batch request: subrequests must have method/params keys",
            ),
            (
                "sequence",
                json!({"requests": [{"method": "nope", "params": {}}]}),
                "Invalid batch subrequest: invalid method \"nope\"",
            ),
            (
                "sequence",
                json!({"requests": [{"method": "batch", "params": {}}]}),
                "Invalid batch subrequest: subrequests may not contain meta-requests",
            ),
        ] {
            assert_eq!(refusal(method, &params), want, "{method} {params}");
        }
        assert!(matches!(Request::parse("nope", &Params::Json(&JsonObject::default())), Ok(None)));
    }

    /// Fields of requests, right and wrong.
    fn fields() -> impl Strategy<Value = String> {
        let key = "11".repeat(32);
        let fitting = vec![
            format!("\"05{key}\""),
            format!("\"{key}\""),
            format!("\"{}\"", "A".repeat(86)),
            format!("\"{}==\"", "A".repeat(86)),
            format!("[\"{}\"]", "B".repeat(43)),
            format!("\"{}\"", "B".repeat(43)),
            "5000000000".to_owned(),
            "\"5000000000\"".to_owned(),
            "\"aGk=\"".to_owned(),
            "\"\\u0061Gk\"".to_owned(),
            "\"all\"".to_owned(),
            r#"{"height_before":1}"#.to_owned(),
            r#"{"method":"info","params":{}}"#.to_owned(),
            r#"[{"method":"info","params":{}}]"#.to_owned(),
        ];
        let any = [
            "null",
            "true",
            "0",
            "-1",
            "32768",
            "1e3",
            "18446744073709551615",
            "\"\"",
            "\"x\\n\"",
            "[]",
            "[1,null]",
            "{}",
        ];
        let value = prop_oneof![3 => prop::sample::select(fitting), 1 => prop::sample::select(any.to_vec()).prop_map(str::to_owned)];
        let names = [
            "pubkey",
            "pubKey",
            "pubkey_ed25519",
            "signature",
            "timestamp",
            "ttl",
            "expiry",
            "data",
            "namespace",
            "sig_timestamp",
            "last_hash",
            "lastHash",
            "max_count",
            "max_size",
            "messages",
            "before",
            "shorten",
            "extend",
            "subaccount",
            "subaccount_sig",
            "revoke",
            "unrevoke",
            "endpoint",
            "params",
            "if",
            "then",
            "else",
            "requests",
            "t\\u0074l",
            "other",
        ];
        prop::collection::vec((prop::sample::select(names.to_vec()), value), 0..16).prop_map(|fields| {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
            format!("{{{}}}", fields.join(", "))
        })
    }

    proptest! {
        /// A request is what it would be if its fields were read into a tree first, or refused with the same words.
        #[test]
        fn fields_where_they_lie_say_what_their_tree_says(text in fields()) {
            let tree: Json = json::parse(text.as_bytes()).unwrap();
            let lying: JsonObject<'_> = json::parse(text.as_bytes()).unwrap();
            for method in METHODS {
                let [one, other] = [&tree.as_object().unwrap().into(), &lying].map(|fields| {
                    format!("{:?}", Request::parse(method, &Params::Json(fields)))
                });
                prop_assert_eq!(one, other, "{} {}", method, text);
            }
        }
    }

    #[test]
    fn lists_and_nesting_have_an_end() {
        let key = format!("03{}", "11".repeat(32));
        let sig = "A".repeat(86);
        let long = |item: Json| vec![item; MAX_LISTED + 1];
        let hashes = json!({"pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64, "expiry": 5_000_000_000_u64,
            "messages": long("A".repeat(43).into()), "revoke": long("".into()), "unrevoke": long("".into())});
        for (method, name) in [
            ("delete", "messages"),
            ("expire", "messages"),
            ("get_expiries", "messages"),
            ("revoke_subaccount", "revoke"),
            ("unrevoke_subaccount", "unrevoke"),
        ] {
            assert_eq!(refusal(method, &hashes), format!("Invalid value given for '{name}': more than 5000 items"));
        }
        let mut times = hashes.clone();
        times["expiry"] = long(5_000_000_000_u64.into()).into();
        assert_eq!(refusal("expire", &times), "Invalid value given for 'expiry': more than 5000 items");
        let params = json!({"endpoint": "ons_resolve", "params": {"a": "x".repeat(MAX_OXEND)}});
        assert_eq!(refusal("oxend_request", &params), "oxend_request params are larger than 65536 bytes");
        let nested = |depth| {
            let mut params = json!({"if": {"height_before": 1}, "then": {"method": "info", "params": {}}});
            for _ in 1..depth {
                params = json!({"if": {"height_before": 1}, "then": {"method": "ifelse", "params": params}});
            }
            params
        };
        let deepest = nested(MAX_IFELSE);
        assert!(Request::parse("ifelse", &Params::Json(&deepest.as_object().unwrap().into())).is_ok());
        assert_eq!(refusal("ifelse", &nested(MAX_IFELSE + 1)), "Invalid ifelse request: nested deeper than 8");
    }

    #[test]
    fn every_listed_method_is_known() {
        for method in METHODS {
            assert!(!matches!(Request::parse(method, &Params::Json(&JsonObject::default())), Ok(None)), "{method}");
        }
    }

    #[test]
    fn every_request_knows_the_place_of_its_method() {
        let key = format!("03{}", "0".repeat(64));
        let sig = "A".repeat(86);
        let hash = "A".repeat(43);
        let any = json!({
            "pubkey": key, "signature": sig, "timestamp": 5_000_000_000_u64, "before": 5_000_000_000_u64,
            "expiry": 5_000_000_000_u64, "data": "", "messages": [hash], "revoke": ["00".repeat(36)],
            "unrevoke": ["00".repeat(36)], "endpoint": "ons_resolve", "if": {"height_before": 1},
            "then": {"method": "info", "params": {}}, "requests": [{"method": "info", "params": {}}],
        });
        for (place, method) in METHODS.iter().enumerate() {
            let request = Request::parse(method, &Params::Json(&any.as_object().unwrap().into())).unwrap().unwrap();
            let place = if *method == "get_snodes_for_pubkey" { place - 1 } else { place };
            assert_eq!(request.place, place, "{method}");
        }
    }
}
