//! `info` and `active_nodes_bin`: what the node and the network are.

use std::future::ready;

use super::super::{
    core::{Answering, CallContext, Entries, Origin, Rpc},
    method::{Method, Nested, Parsed},
    params::Params,
    reply::{Body, Reply},
    status::Status,
    value::Value,
};

#[derive(Debug)]
struct Info;

#[derive(Debug)]
struct ActiveNodes;

/// `info` has no fields.
pub(in crate::rpc) fn info(_: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(Info))
}

/// Nor has `active_nodes_bin`.
pub(in crate::rpc) fn active_nodes(_: &Params<'_>, _: Nested) -> Parsed {
    Ok(Box::new(ActiveNodes))
}

impl Method for Info {
    fn execute(self: Box<Self>, rpc: &Rpc, _: Origin, _: CallContext) -> Answering<'_> {
        Box::pin(ready(rpc.info()))
    }
}

impl Method for ActiveNodes {
    fn execute(self: Box<Self>, rpc: &Rpc, _: Origin, _: CallContext) -> Answering<'_> {
        Box::pin(ready(rpc.active_nodes()))
    }
}

impl Rpc {
    fn info(&self) -> Reply {
        let mut entries = Entries::new();
        entries.insert("version".into(), Value::Version(self.parts.version.0));
        entries.insert("timestamp".into(), self.time());
        self.stamp(&mut entries);
        Reply::value(Status::OK, Value::Dict(entries))
    }

    fn active_nodes(&self) -> Reply {
        Reply { status: Status::OK, body: Body::Binary(self.parts.network.load().active_nodes()) }
    }
}
