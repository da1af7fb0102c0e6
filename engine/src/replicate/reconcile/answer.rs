//! Who is asked: one session at a time, for what another member compares with.

use std::{collections::BTreeMap, sync::Arc};

use negentropy::{Negentropy, NegentropyStorageVector};

use super::{MESSAGE, ROUNDS, Reconciler, SLICE, Session, unreadable};
use crate::{
    bencode::Bt,
    replicate::{
        member::PeerError,
        things::{decode, encode},
    },
    types::{AccountId, Ed25519PublicKey},
};

impl Reconciler {
    /// Answers another member.
    ///
    /// # Errors
    /// The refusal, as text.
    pub async fn answer(&self, from: &Ed25519PublicKey, body: &[u8]) -> Result<Vec<u8>, String> {
        let malformed = || "Malformed".to_owned();
        let replica = self.network.load().by_ed25519(from).map(|node| node.swarm);
        if replica.is_none() || replica != self.own_swarm() {
            return Err("Swarm mismatch".to_owned());
        }
        let Ok(Bt::Dict(mut asked)) = Bt::parse(body) else { return Err(malformed()) };
        let (Some(Bt::Bytes(what)), Some(Bt::Int(number))) =
            (asked.remove(b"q".as_slice()), asked.get(b"s".as_slice()))
        else {
            return Err(malformed());
        };
        let number = u64::try_from(*number).map_err(|_| malformed())?;
        match what.as_slice() {
            b"compare" => {
                let vector = self.vector_for(from, number, &asked).await?;
                let Some(Bt::Bytes(message)) = asked.get(b"m".as_slice()) else { return Err(malformed()) };
                let mut negentropy = Negentropy::borrowed(vector.as_ref(), MESSAGE).map_err(|_| malformed())?;
                let answer = negentropy.reconcile(message).map_err(|_| malformed())?;
                Ok(Bt::dict([("m", answer.as_slice().into())]).encode())
            }
            b"get" => {
                let inventory = self.current(from, number, |session| Arc::clone(&session.inventory));
                let Some(inventory) = inventory else { return Err("No such session".to_owned()) };
                let Some(Bt::Bytes(ids)) = asked.get(b"ids".as_slice()) else { return Err(malformed()) };
                let digests = ids.as_chunks::<32>().0.iter().copied();
                let (things, covered) = self.things(&inventory, digests).map_err(|error| unreadable(&error))?;
                Ok(Bt::dict([("n", Bt::from(covered as u64)), ("things", encode(things))]).encode())
            }
            b"put" => {
                let things = asked.remove(b"things".as_slice()).and_then(decode).ok_or_else(malformed)?;
                let _ = self.current(from, number, |_| ());
                self.learn(from, things).await;
                let _ = self.current(from, number, |_| ());
                Ok(b"de".to_vec())
            }
            b"end" => {
                let is_theirs = |session: &mut Session| session.number == number && session.with == *from;
                if self.session.lock().take_if(is_theirs).is_some() {
                    self.turns.end(from);
                }
                Ok(b"de".to_vec())
            }
            _ => Err("Unknown question".to_owned()),
        }
    }

    /// The session, if it is this one; it is in use.
    fn current<T>(&self, from: &Ed25519PublicKey, number: u64, read: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let mut session = self.session.lock();
        let session = session.as_mut().filter(|session| session.number == number && session.with == *from)?;
        self.turns.used(from);
        Some(read(session))
    }

    /// What is compared in this session, which begins if it is new.
    async fn vector_for(
        &self,
        from: &Ed25519PublicKey,
        number: u64,
        asked: &BTreeMap<Vec<u8>, Bt>,
    ) -> Result<Arc<NegentropyStorageVector>, String> {
        let ask = |session: &mut Session| {
            session.rounds += 1;
            (session.rounds <= ROUNDS).then(|| Arc::clone(&session.vector))
        };
        if let Some(vector) = self.current(from, number, ask) {
            return vector.ok_or_else(|| "Too many rounds".to_owned());
        }
        let account = |name: &[u8]| match asked.get(name) {
            Some(Bt::Bytes(bytes)) if bytes.is_empty() => Some(None),
            Some(Bt::Bytes(bytes)) => bytes.as_slice().try_into().ok().map(|bytes| Some(AccountId(bytes))),
            _ => None,
        };
        let (Some(Some(first)), Some(to)) = (account(b"from"), account(b"to")) else {
            return Err("Malformed".to_owned());
        };
        let scan = self.turns.begin(*from, first).ok_or_else(|| "Busy".to_owned())?;
        // What was held for the last session goes before there is more.
        *self.session.lock() = None;
        // The other's slice may hold more here, but not without end.
        let (inventory, vector) =
            self.inventory(first, to, 4 * SLICE, Some(scan)).await.map_err(|error| match error {
                PeerError::Refused(text) => text,
                _ => "Malformed".to_owned(),
            })?;
        let (inventory, vector) = (Arc::new(inventory), Arc::new(vector));
        *self.session.lock() = Some(Session { number, with: *from, inventory, vector: Arc::clone(&vector), rounds: 1 });
        Ok(vector)
    }
}

/// What another member gives, or asks.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz_things(bytes: &[u8]) -> usize {
    let Ok(told) = Bt::parse(bytes) else { return 0 };
    if let Bt::Dict(mut fields) = told {
        let mut answered = 0;
        if let Some(Bt::Bytes(message)) = fields.get(b"m".as_slice()) {
            let vector = super::vector(&crate::store::Inventory::default());
            let answer =
                vector.ok().and_then(|vector| Negentropy::owned(vector, MESSAGE).ok()?.reconcile(message).ok());
            answered = answer.map_or(0, |answer| answer.len());
        }
        if let Some(things) = fields.remove(b"things".as_slice()).and_then(decode) {
            // A member that is given this has the same.
            let count = things.len();
            assert_eq!(decode(encode(things)).map(|things| things.len()), Some(count));
        }
        return answered;
    }
    0
}
