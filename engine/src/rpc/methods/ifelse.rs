//! `ifelse`: one of two requests, by what the network is like.

use super::super::{
    core::{Answering, CallContext, Entries, Origin, Rpc},
    method::{Method, Nested, Parsed, Request},
    methods::fields::{MAX_LISTED, result},
    params::{Field, Invalid, Params},
    reply::Reply,
    status::Status,
    value::{Encoding, Value},
};
use crate::types::AccountId;

/// How deep one `ifelse` may stand in another.
pub(super) const MAX_IFELSE: usize = 8;

/// `ifelse`: what has to hold, and what is asked when it does and when not.
#[derive(Debug)]
struct IfElse {
    /// Every one has to hold.
    conditions: Vec<Condition>,
    /// When all do.
    then: Option<Request>,
    /// When one does not.
    otherwise: Option<Request>,
}

/// Something about the network or the node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    /// What is looked at.
    of: Quantity,
    /// At least this much, or before this.
    at_least: bool,
    /// Padded with zeros to the quantity's length.
    bound: [i64; 3],
}

/// What a [`Condition`] looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    /// Hardfork and revision.
    Hardfork,
    /// The version that the node advertises.
    Version,
    /// The chain's height.
    Height,
}

impl IfElse {
    fn parse(params: &Params<'_>, nested: Nested) -> Result<Self, Invalid> {
        let text = |text: &str| Invalid(format!("Invalid ifelse request: {text}"));
        if nested.depth == MAX_IFELSE {
            return Err(text(&format!("nested deeper than {MAX_IFELSE}")));
        }
        let test = params.field("if").and_then(Field::fields).ok_or_else(|| text("no valid \"if\" field"))?;
        let mut conditions = Vec::new();
        for (name, of, at_least) in [
            ("hf_at_least", Quantity::Hardfork, true),
            ("hf_before", Quantity::Hardfork, false),
            ("v_at_least", Quantity::Version, true),
            ("v_before", Quantity::Version, false),
            ("height_at_least", Quantity::Height, true),
            ("height_before", Quantity::Height, false),
        ] {
            let given = match of {
                Quantity::Height => test.integer(name)?.map(|height| vec![height]),
                Quantity::Hardfork | Quantity::Version => test.integers(name, MAX_LISTED)?,
            };
            // An empty list asks for nothing.
            let Some(given) = given.filter(|given| !given.is_empty()) else { continue };
            let mut bound = [0; 3];
            let length = if of == Quantity::Version { 3 } else { 2 };
            // What goes beyond the quantity's own length cannot change the comparison with it.
            for (place, number) in bound.iter_mut().take(length).zip(given) {
                *place = number;
            }
            conditions.push(Condition { of, at_least, bound });
        }
        if conditions.is_empty() {
            return Err(text("must specify at least one \"if\" condition"));
        }
        let (then, otherwise) = (branch(params, "then", nested)?, branch(params, "else", nested)?);
        if then.is_none() && otherwise.is_none() {
            return Err(text("at least one of \"then\"/\"else\" required"));
        }
        Ok(Self { conditions, then, otherwise })
    }
}

/// A branch of `ifelse`: any method, meta-requests too.
fn branch(params: &Params<'_>, name: &str, nested: Nested) -> Result<Option<Request>, Invalid> {
    let Some(field) = params.field(name) else { return Ok(None) };
    let text = |text: &str| Invalid(format!("Invalid ifelse request: {name} {text}"));
    let json = params.encoding() == Encoding::Json;
    let fields = field.fields().ok_or_else(|| text(if json { "must be an object" } else { "must be a dict" }))?;
    let lacks = |what: &str| if json { text("must have method/params keys") } else { text(&format!("missing {what}")) };
    let method = fields.field("method").and_then(Field::string).ok_or_else(|| lacks("method"))?;
    let arguments = fields.field("params").and_then(Field::fields).ok_or_else(|| lacks("params"))?;
    let request = (nested.parse)(&String::from_utf8_lossy(method), &arguments, nested.depth + 1)?;
    request.map(Some).ok_or_else(|| Invalid(format!("Invalid ifelse request method \"{name}\"")))
}

/// Reads the fields of `ifelse`.
pub(in crate::rpc) fn parse(params: &Params<'_>, nested: Nested) -> Parsed {
    Ok(Box::new(IfElse::parse(params, nested)?))
}

impl IfElse {
    fn branches(&self) -> impl Iterator<Item = &Request> {
        [&self.then, &self.otherwise].into_iter().flatten()
    }
}

impl Method for IfElse {
    fn each_account(&self, name: &mut dyn FnMut(&AccountId)) {
        self.branches().for_each(|branch| branch.method.each_account(name));
    }

    fn writes(&self) -> bool {
        self.branches().any(|branch| branch.method.writes())
    }

    fn execute(self: Box<Self>, rpc: &Rpc, origin: Origin, context: CallContext) -> Answering<'_> {
        Box::pin(rpc.if_else(*self, origin, context))
    }
}

impl Rpc {
    async fn if_else(&self, request: IfElse, origin: Origin, context: CallContext) -> Reply {
        let network = self.parts.network.load();
        let (hardfork, height) = (network.hardfork, network.height);
        let holds = |condition: &Condition| {
            let current = match condition.of {
                Quantity::Hardfork => [hardfork[0].into(), hardfork[1].into(), 0],
                Quantity::Version => self.parts.version.0.map(i64::from),
                Quantity::Height => [i64::try_from(height).unwrap_or(i64::MAX), 0, 0],
            };
            (current >= condition.bound) == condition.at_least
        };
        let condition = request.conditions.iter().all(holds);
        let mut entries = Entries::from([
            ("hf".into(), Value::Hardfork(hardfork)),
            ("v".into(), Value::Version(self.parts.version.0)),
            ("height".into(), Value::Uint(height)),
            ("condition".into(), Value::Bool(condition)),
        ]);
        if let Some(chosen) = if condition { request.then } else { request.otherwise } {
            let asked = CallContext { turn: context.turn, ..CallContext::within(None, &context.room) };
            entries.insert("result".into(), result(self.run(chosen, origin, asked).await));
        }
        Reply::value(Status::OK, Value::Dict(entries))
    }
}
