//! What answers look like over QUIC, and what is counted of them.

use crate::{
    bencode::{encode_bytes, encode_int},
    replicate::RECONCILE,
    rpc::{Body, Encoding, Reply, Status},
    transport::peers::Outcome,
};

/// What OMQ calls a command between nodes; nothing for one that there is not.
pub(super) fn between_nodes(endpoint: &[u8]) -> &'static str {
    match endpoint {
        b"snode_ping" => "sn.ping",
        b"onion_request" => "sn.onion_request",
        b"storage_cc" | b"stores" => "sn.storage_cc",
        b"data" => "sn.data",
        b"data_ready" => "sn.data_ready",
        b"reconcile" => RECONCILE,
        _ => "",
    }
}

pub(super) fn outcome(endpoint: &[u8], answer: &Result<Vec<u8>, Vec<u8>>) -> Outcome {
    // The answer to an onion request has its code inside.
    let code = match answer {
        Ok(list) if endpoint == b"onion_request" => list.strip_prefix(b"li"),
        Ok(_) => None,
        Err(error) => Some(error.as_slice()),
    };
    match code {
        None => Outcome::Answered,
        Some(code) if answer.is_ok() && code.starts_with(b"2") => Outcome::Answered,
        Some(code) if code.starts_with(b"503") => Outcome::Busy,
        Some(_) => Outcome::Refused,
    }
}

/// A result between code and body in a list, text and bytes as they are (`spec/transports` §3.3).
pub(super) fn wrapped(reply: &Reply, encoding: Encoding) -> Result<Vec<u8>, Vec<u8>> {
    let body = match &reply.body {
        Body::Value(value) => reply.in_list(value, encoding),
        Body::Text(_) | Body::Json(_) | Body::Binary(_) => reply.encode(encoding),
    };
    if reply.status == Status::OK { Ok(body) } else { Err(error(reply.status, &body)) }
}

/// `[code, body]`, the answer to another node's layer.
pub(super) fn onion_answer(code: u16, body: &[u8]) -> Vec<u8> {
    let mut list = Vec::with_capacity(body.len() + 32);
    list.push(b'l');
    encode_int(code.into(), &mut list);
    encode_bytes(body, &mut list);
    list.push(b'e');
    list
}

pub(super) fn error(status: Status, body: &[u8]) -> Vec<u8> {
    [format!("{status}\n\n").as_bytes(), body].concat()
}
