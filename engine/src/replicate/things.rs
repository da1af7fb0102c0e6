//! What members give each other: messages, and clients' commands with their signatures.

use super::transfer::{self, Transferred};
use crate::{bencode::Bt, store::Command};

/// Something that one member gives another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// Not yet checked.
    Message(Transferred),
    /// A client's command, with its signature.
    Command(Command),
}

pub(super) fn encode(things: Vec<Thing>) -> Bt {
    let (mut messages, mut items) = (Vec::new(), Vec::new());
    for thing in things {
        match thing {
            Thing::Message(message) => messages.push(message),
            Thing::Command(Command { method, params }) => {
                items.push(Bt::List(vec![method.as_bytes().into(), params.as_slice().into()]));
            }
        }
    }
    // Commands first: they decide what becomes of the messages.
    items.extend(transfer::encode(&messages, usize::MAX, true).iter().map(|blob| blob.as_slice().into()));
    Bt::List(items)
}

pub(super) fn decode(things: Bt) -> Option<Vec<Thing>> {
    let Bt::List(items) = things else { return None };
    let mut things = Vec::new();
    for item in items {
        match item {
            Bt::Bytes(blob) => things.extend(transfer::decode(&blob).ok()?.into_iter().map(Thing::Message)),
            Bt::List(fields) => match <[Bt; 2]>::try_from(fields).ok()? {
                [Bt::Bytes(method), Bt::Bytes(params)] => {
                    things.push(Thing::Command(Command { method: String::from_utf8(method).ok()?, params }));
                }
                _ => return None,
            },
            _ => return None,
        }
    }
    Some(things)
}
