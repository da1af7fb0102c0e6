//! `get_swarm`: which swarm an account belongs to.

use std::future::ready;

use super::super::{
    auth,
    core::{Answering, CallContext, Origin, Rpc},
    method::{Method, Nested, Parsed},
    params::{Invalid, Params},
    reply::Reply,
    status::Status,
    value::Value,
};
use crate::types::AccountId;

fn swarm_account(params: &Params<'_>) -> Result<AccountId, Invalid> {
    auth::account(params, true).map_err(|error| {
        // The same refusal in other words, here alone.
        let general = "Pubkey must be 66 hex digits (33 bytes) long";
        if error.0 == general { Invalid::new("Pubkey must be 66 hex digits/33 bytes long") } else { error }
    })
}

#[derive(Debug)]
struct GetSwarm(AccountId);

/// Reads the fields of `get_swarm`.
pub(in crate::rpc) fn parse(params: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(GetSwarm(swarm_account(params)?)))
}

impl Method for GetSwarm {
    fn execute(self: Box<Self>, rpc: &Rpc, _: Origin, _: CallContext) -> Answering<'_> {
        let network = rpc.parts.network.load();
        let reply = Reply::value(Status::OK, Value::Dict(rpc.swarm_answer(&network, &self.0)));
        Box::pin(ready(reply))
    }
}
