//! A client's command at the whole swarm (`spec/node-rpc` §3): carried out here, told to the other members, and every
//! member's entry in the answer.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    auth::Auth,
    core::{Entries, Origin, Rpc, SwarmView},
    pipeline::Turn,
    reply::Reply,
    status::Status,
    value::Value,
};
use crate::{
    bencode::Bt,
    replicate::{MemberAnswer, fan_out},
    store::{AT, Change, Command, Hint, LATEST, ReplicationGuard, StoreError},
    swarm::NodeInfo,
    types::{AccountId, Ed25519PublicKey, MessageHash, Millis},
};

impl Rpc {
    /// Sends a new message to the other members while it is stored here; every member's entry by its key, and whether anybody
    /// succeeded. Members take it in this form until `taken_until`.
    pub(super) async fn store_everywhere(
        &self,
        view: &SwarmView<'_>,
        forward: Forward,
        local: impl Future<Output = Result<(Entries, Option<ReplicationGuard>), Entries>> + Send,
        hash: MessageHash,
        taken_until: Millis,
        turn: Option<Arc<Turn>>,
    ) -> (Entries, bool) {
        let local = async {
            let own = local.await;
            // What comes next may begin: this is stored, and was sent while the disk was waited for.
            drop(turn);
            own
        };
        let (own, others) = futures_util::join!(local, self.ask(view, &forward));
        let mut missed_by = missed_by(&others);
        missed_by.extend(self.joined(view));
        let own = match own {
            Ok((entries, unreplicated)) => {
                let noted = match missed_by.as_slice() {
                    [] => Ok(()),
                    members => {
                        let left = taken_until.0.saturating_sub(self.parts.clock.now().0);
                        let until = Instant::now() + Duration::from_millis(left);
                        // There is none where nobody was to be told.
                        if !forward.plain.is_empty() {
                            view.redelivery.keep_original(members, hash, forward.plain, until);
                        }
                        view.redelivery.add(missed_by, Hint::Message(view.account, hash)).await
                    }
                };
                match noted {
                    Ok(()) => {
                        unreplicated.into_iter().for_each(ReplicationGuard::told);
                    }
                    // The guard has everybody told again.
                    Err(error) => tracing::error!(%error, "what members of the swarm have missed could not be kept"),
                }
                Ok(entries)
            }
            Err(failed) => Err(failed),
        };
        self.entries(own, others)
    }

    /// Carries a command out here, with the promise to tell the other members, and then tells them; every member's entry by its
    /// key, and whether anybody succeeded.
    pub(super) async fn everywhere(
        &self,
        forward: &Forward,
        view: &SwarmView<'_>,
        local: impl Future<Output = Result<(Entries, Vec<u64>), Entries>> + Send,
        turn: Option<Arc<Turn>>,
    ) -> (Entries, bool) {
        let own = local.await;
        // What comes next may begin when this has been sent.
        let (others, ()) = futures_util::join!(self.ask(view, forward), async { drop(turn) });
        if let Ok((_, numbers)) = &own {
            let missed_by = missed_by(&others);
            let promised = view.replicas.iter().map(|node| node.ed25519).zip(numbers.iter().copied());
            let told = promised.filter(|(member, _)| !missed_by.contains(member)).collect();
            let noted = async {
                view.redelivery.keep(told, &missed_by).await?;
                match self.joined(view) {
                    joined if joined.is_empty() => Ok(()),
                    joined => view.redelivery.add(joined, Hint::Command(forward.command())).await,
                }
            };
            if let Err(error) = noted.await {
                tracing::error!(%error, "what members of the swarm were told could not be noted");
            }
        }
        self.entries(own.map(|(entries, _)| entries), others)
    }

    /// Members that have come since the request found who is there. No transfer to them has what was stored since they came.
    pub(super) fn joined(&self, view: &SwarmView<'_>) -> Vec<Ed25519PublicKey> {
        if Arc::ptr_eq(&view.network, &self.parts.network.load()) {
            return Vec::new();
        }
        let now = self.swarm_view(&view.account).map_or_else(|_| Vec::new(), |now| now.replicas);
        let new = now.iter().map(|node| node.ed25519);
        new.filter(|key| view.replicas.iter().all(|replica| replica.ed25519 != *key)).collect()
    }

    /// The answers of the other members. One that has missed something gets the rest in its turn, and is not asked.
    pub(super) async fn ask(&self, view: &SwarmView<'_>, forward: &Forward) -> Vec<(Ed25519PublicKey, MemberAnswer)> {
        let (late, prompt): (Vec<_>, Vec<_>) = view
            .replicas
            .iter()
            .map(Arc::clone)
            .partition(|node| view.redelivery.is_behind(&node.ed25519) || !node.is_reachable());
        let peers = self.parts.peers.as_ref();
        let params = |node: &NodeInfo| if peers.is_allium(node) { &forward.timed } else { &forward.plain }.clone();
        let mut answers = fan_out(peers, &prompt, forward.method, params).await;
        answers.extend(late.iter().map(|node| (node.ed25519, MemberAnswer::TimedOut)));
        answers
    }

    pub(super) fn entries(
        &self,
        own: Result<Entries, Entries>,
        others: Vec<(Ed25519PublicKey, MemberAnswer)>,
    ) -> (Entries, bool) {
        let mut ok = own.is_ok();
        let mut swarm = Entries::new();
        swarm.insert(self.own.to_string().into(), Value::Dict(own.unwrap_or_else(|failed| failed)));
        let network = self.parts.network.load();
        let is_reachable =
            |member: &Ed25519PublicKey| network.by_ed25519(member).is_some_and(|node| node.is_reachable());
        for (member, answer) in others {
            if self.parts.version.leaves_out_unreachable() && !is_reachable(&member) {
                continue;
            }
            let entry = member_entry(answer);
            ok |= !entry.contains_key("failed");
            swarm.insert(member.to_string().into(), Value::Dict(entry));
        }
        (swarm, ok)
    }

    pub(super) fn swarm_reply(&self, swarm: Entries, ok: bool, hash: Option<MessageHash>) -> Reply {
        let mut entries = Entries::new();
        entries.insert("swarm".into(), Value::Dict(swarm));
        if let Some(hash) = hash {
            entries.insert("hash".into(), Value::text(hash.to_string()));
        }
        self.stamp(&mut entries);
        let status = if ok { Status::OK } else { Status::INTERNAL_SERVER_ERROR };
        Reply::value(status, Value::Dict(entries))
    }
}

/// The fields that every forwarded command has.
pub(super) fn forwarded(account: &AccountId, auth: Option<&Auth>) -> Vec<(&'static str, Bt)> {
    let mut fields = vec![("pubkey", account.0.as_slice().into())];
    if let Some(auth) = auth {
        fields.push(("signature", auth.signature.as_slice().into()));
        if let Some(key) = &auth.pubkey_ed25519 {
            fields.push(("pubkey_ed25519", key.as_slice().into()));
        }
        if let Some(subaccount) = &auth.subaccount {
            fields.push(("subaccount", subaccount.token.as_slice().into()));
            fields.push(("subaccount_sig", subaccount.signature.as_slice().into()));
        }
    }
    fields
}

/// A member's own failure, as its entry in the answer.
pub(super) fn failure(error: &StoreError) -> Entries {
    tracing::warn!(%error, "a write failed");
    Entries::from([
        ("failed".into(), Value::Bool(true)),
        ("query_failure".into(), Value::Bool(true)),
        ("reason".into(), Value::text(error.public())),
    ])
}

/// The answer to another member: its entry alone. **Post-2.8** nodes say 500 when it failed.
pub(super) fn peer_reply(entries: Result<Entries, Entries>) -> Reply {
    match entries {
        Ok(entries) => Reply::value(Status::OK, Value::Dict(entries)),
        Err(failed) => Reply::value(Status::INTERNAL_SERVER_ERROR, Value::Dict(failed)),
    }
}

/// A command as it is passed on.
pub(super) struct Forward {
    method: &'static str,
    /// When the swarm took it.
    at: Millis,
    /// Params for any node.
    plain: Bytes,
    /// Params for nodes that ask when.
    timed: Bytes,
}

impl Forward {
    pub(super) fn new(method: &'static str, fields: Vec<(&'static str, Bt)>, at: Millis) -> Self {
        Self::timed(method, fields, at, vec![(AT, at.0.into())])
    }

    /// One that nobody reads.
    pub(super) const fn to_nobody(at: Millis) -> Self {
        Self { method: "", at, plain: Bytes::new(), timed: Bytes::new() }
    }

    /// One that sets an expiry of at most `latest`.
    pub(super) fn expiring(method: &'static str, fields: Vec<(&'static str, Bt)>, at: Millis, latest: Millis) -> Self {
        Self::timed(method, fields, at, vec![(AT, at.0.into()), (LATEST, latest.0.into())])
    }

    fn timed(method: &'static str, fields: Vec<(&'static str, Bt)>, at: Millis, times: Vec<(&[u8], Bt)>) -> Self {
        let plain = Bytes::from(Bt::dict(fields).encode());
        // The times' keys sort before all others.
        let times = Bt::dict(times).encode();
        let timed = Bytes::from([&times[..times.len() - 1], &plain[1..]].concat());
        Self { method, at, plain, timed }
    }

    fn command(&self) -> Command {
        Command { method: self.method.to_owned(), params: self.timed.to_vec() }
    }

    /// The change that it makes; a client's is promised to the other members.
    pub(super) fn change(&self, view: &SwarmView<'_>, origin: Origin) -> Change {
        let replicas = if origin == Origin::Client { view.replicas.as_slice() } else { &[] };
        let members = replicas.iter().map(|node| node.ed25519).collect();
        Change { at: self.at, command: self.command(), members }
    }
}

/// Members that gave no answer.
pub(super) fn missed_by(answers: &[(Ed25519PublicKey, MemberAnswer)]) -> Vec<Ed25519PublicKey> {
    answers.iter().filter(|(_, answer)| answer.is_missed()).map(|(member, _)| *member).collect()
}

pub(super) fn member_entry(answer: MemberAnswer) -> Entries {
    let failed = ("failed".into(), Value::Bool(true));
    match answer {
        MemberAnswer::Done(Bt::Dict(result)) => result
            .into_iter()
            .map(|(key, value)| {
                let key = String::from_utf8_lossy(&key).into_owned();
                // The one field that is bytes; all else passes as it came.
                let value = match value {
                    Bt::Bytes(bytes) if key == "signature" => Value::Bytes(bytes),
                    other => Value::from_bt(other),
                };
                (Cow::Owned(key), value)
            })
            .collect(),
        MemberAnswer::Refused { code, reason } => {
            Entries::from([failed, ("code".into(), Value::text(code)), ("reason".into(), Value::text(reason))])
        }
        MemberAnswer::TimedOut => Entries::from([failed, ("timeout".into(), Value::Bool(true))]),
        MemberAnswer::Bad | MemberAnswer::Done(_) => {
            Entries::from([failed, ("bad_peer_response".into(), Value::Bool(true))])
        }
    }
}
