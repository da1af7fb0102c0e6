//! A method of the protocol: a request whose fields are well-formed, and what carrying it out does.

use std::fmt::Debug;

use super::{
    core::{Answering, CallContext, Origin, Rpc},
    params::{Invalid, Params},
};
use crate::types::AccountId;

/// A request for one method. Reading its fields looks at neither clock, network nor store.
pub(super) trait Method: Debug + Send + Sync {
    /// Names every account whose messages or permissions it reads or changes.
    fn each_account(&self, _name: &mut dyn FnMut(&AccountId)) {}

    /// Whether the swarm's members pass it on to each other.
    fn is_forwarded(&self) -> bool {
        false
    }

    /// Whether it changes what is stored, or has a part that does.
    fn writes(&self) -> bool {
        self.is_forwarded()
    }

    /// Carries it out.
    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_>;
}

/// A request whose fields are well-formed.
#[derive(Debug)]
pub struct Request {
    /// The place of its method in [`super::METHODS`]; the first of two names.
    pub(super) place: usize,
    pub(super) method: Box<dyn Method>,
}

/// Reads a request that stands in another.
#[derive(Clone, Copy)]
pub(super) struct Nested {
    /// How many times `ifelse` it stands in.
    pub(super) depth: usize,
    /// By the table of all methods; `None` when there is no such method.
    pub(super) parse: fn(&str, &Params<'_>, usize) -> Result<Option<Request>, Invalid>,
}

/// What reading the fields of a method gives.
pub(super) type Parsed = Result<Box<dyn Method>, Invalid>;
