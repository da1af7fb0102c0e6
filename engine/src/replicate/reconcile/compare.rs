//! Who begins a comparison: it asks what the other has, takes what is missing here and gives what is missing there.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::{COMMAND, Compared, MESSAGE, ROUNDS, Reconciler, SLICE, refused};
use crate::{
    bencode::Bt,
    replicate::{
        member::PeerError,
        things::{decode, encode},
    },
    store::Inventory,
    swarm::NodeInfo,
    types::AccountId,
};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Digests asked for at once.
const ASKED: usize = 10_000;

impl Reconciler {
    /// Compares with `node`, until both have what either had.
    ///
    /// # Errors
    /// [`PeerError`]; what was exchanged until then stays.
    pub async fn compare(&self, node: &Arc<NodeInfo>) -> Result<Compared, PeerError> {
        let began = Instant::now();
        let mut done = Compared::default();
        let mut from = AccountId([0; 33]);
        loop {
            let (inventory, vector) = self.inventory(from, None, SLICE, None).await?;
            let end = inventory.end;
            let result = self.compare_slice(node, from, (&inventory, vector), &mut done).await;
            let mut total = self.total.lock();
            total.given += done.given;
            total.taken += done.taken;
            total.bytes += done.bytes;
            drop(total);
            result?;
            match end {
                Some(end) => from = end,
                None => {
                    *self.took.lock() = began.elapsed();
                    return Ok(done);
                }
            }
        }
    }

    async fn compare_slice(
        &self,
        node: &Arc<NodeInfo>,
        from: AccountId,
        (inventory, vector): (&Inventory, NegentropyStorageVector),
        done: &mut Compared,
    ) -> Result<(), PeerError> {
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(refused)?;
        let session = u64::from_be_bytes(number) >> 1;
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let mut negentropy = Negentropy::owned(vector, MESSAGE).map_err(refused)?;
        let mut message = Some(negentropy.initiate().map_err(refused)?);
        for _ in 0..ROUNDS {
            let Some(asked) = message else { break };
            done.bytes += asked.len() as u64;
            let to = inventory.end.map_or_else(Vec::new, |end| end.0.to_vec());
            let range =
                [("from", from.0.as_slice().into()), ("to", to.as_slice().into()), ("m", asked.as_slice().into())];
            let answer = self.ask(node, "compare", session, range).await?;
            let Some(Bt::Bytes(told)) = answer.get(b"m".as_slice()) else { return Err(malformed()) };
            done.bytes += told.len() as u64;
            message = negentropy.reconcile_with_ids(told, &mut have, &mut need).map_err(refused)?;
        }
        self.take(node, session, &need, done).await?;
        self.give(node, session, inventory, &have, done).await?;
        self.ask(node, "end", session, []).await.map(drop)
    }

    async fn take(
        &self,
        node: &Arc<NodeInfo>,
        session: u64,
        mut need: &[Id],
        done: &mut Compared,
    ) -> Result<(), PeerError> {
        while !need.is_empty() {
            let ids: Vec<u8> = need.iter().take(ASKED).flat_map(|id| id.to_bytes()).collect();
            let mut answer = self.ask(node, "get", session, [("ids", ids.as_slice().into())]).await?;
            let covered = match answer.get(b"n".as_slice()) {
                Some(Bt::Int(covered)) => usize::try_from(*covered).unwrap_or(0).min(need.len()),
                _ => 0,
            };
            if covered == 0 {
                return Err(malformed());
            }
            let things = answer.remove(b"things".as_slice()).and_then(decode).ok_or_else(malformed)?;
            done.taken += things.len() as u64;
            self.learn(&node.ed25519, things).await;
            need = &need[covered..];
        }
        Ok(())
    }

    async fn give(
        &self,
        node: &Arc<NodeInfo>,
        session: u64,
        inventory: &Inventory,
        mut have: &[Id],
        done: &mut Compared,
    ) -> Result<(), PeerError> {
        while !have.is_empty() {
            let (things, covered) = self.things(inventory, have.iter().map(|id| id.to_bytes())).map_err(refused)?;
            done.given += things.len() as u64;
            self.ask(node, "put", session, [("things", encode(things))]).await?;
            have = &have[covered..];
        }
        Ok(())
    }

    async fn ask<const N: usize>(
        &self,
        node: &Arc<NodeInfo>,
        what: &'static str,
        session: u64,
        fields: [(&'static str, Bt); N],
    ) -> Result<BTreeMap<Vec<u8>, Bt>, PeerError> {
        let head = [("q", what.as_bytes().into()), ("s", session.into())];
        let body = Bytes::from(Bt::dict(head.into_iter().chain(fields)).encode());
        let answer = self.peers.request(node, COMMAND, vec![body], TIMEOUT).await?;
        match answer.as_slice() {
            [answer] => match Bt::parse(answer) {
                Ok(Bt::Dict(answer)) => Ok(answer),
                _ => Err(malformed()),
            },
            parts => Err(PeerError::Refused(String::from_utf8_lossy(&parts.concat()).into_owned())),
        }
    }
}

fn malformed() -> PeerError {
    PeerError::Refused("a malformed answer".to_owned())
}
