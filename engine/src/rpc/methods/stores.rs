//! Stores that another Allium node passes on, many in one message: each is checked as if it had come by itself, by the same
//! authoriser. Then all that may be stored go into one transaction, and are signed together.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    super::{
        core::{CallContext, Origin, Rpc, busy},
        metrics::Via,
        params::Params,
        pipeline::Ticket,
        replication::{failure, peer_reply},
        reply::Reply,
        value::Value,
    },
    store::{StoreRequest, store_entries},
};
use crate::{
    batch::Source,
    store::{NewMessage, Store},
};

/// The method that all of them ask for.
const METHOD: &str = "store";

/// One that is well-formed, its number among all, and its place among requests that write.
struct Forwarded {
    number: usize,
    request: StoreRequest,
    origin: Origin,
    place: OwnedSemaphorePermit,
}

impl Rpc {
    /// Forwarded stores, each by its `params`; the answer to each, in order. With a `ticket`, after what came before them. One
    /// that is refused is in nobody's way. The params are let go of once they are decoded.
    pub async fn call_forwarded_stores(
        &self,
        params: Vec<impl AsRef<[u8]> + Send>,
        ticket: Option<Ticket>,
    ) -> Vec<Reply> {
        let asked = CallContext::new(Via::Swarm);
        let mut replies: Vec<Option<Reply>> = params.iter().map(|_| None).collect();
        let mut stores = Vec::with_capacity(params.len());
        for (number, params) in params.into_iter().enumerate() {
            match self.forwarded_store(params.as_ref(), &asked) {
                Ok((request, origin, place)) => stores.push(Forwarded { number, request, origin, place }),
                Err(refusal) => replies[number] = Some(refusal),
            }
        }
        let each = |name: &mut dyn FnMut(&_)| stores.iter().for_each(|asked| name(&asked.request.account));
        // Held until what they do can be seen.
        let turn = match ticket {
            Some(ticket) => Some(ticket.enter(each).await),
            None => None,
        };
        let views = join_all(stores.iter().map(|asked| self.check_store(&asked.request))).await;
        let (mut messages, mut numbers, mut places) = (Vec::new(), Vec::new(), Vec::new());
        let mut store = None;
        for (Forwarded { number, request, origin, place }, view) in stores.into_iter().zip(views) {
            let message = view.and_then(|view| {
                store = Some(view.store);
                self.message(request, origin, &view)
            });
            match message {
                Ok((message, _)) => {
                    messages.push(message);
                    numbers.push(number);
                    places.push(place);
                }
                Err(refusal) => replies[number] = Some(self.counted(refusal, &asked)),
            }
        }
        if let Some(store) = store {
            let stored = self.store_all(store, messages).await;
            for (number, reply) in numbers.into_iter().zip(stored) {
                replies[number] = Some(self.counted(reply, &asked));
            }
        }
        drop((turn, places));
        replies.into_iter().map(|reply| reply.unwrap_or_else(busy)).collect()
    }

    /// A store that another member passes on, as [`Self::forwarded`] reads it, and a place for it.
    fn forwarded_store(
        &self,
        params: &[u8],
        asked: &CallContext,
    ) -> Result<(StoreRequest, Origin, OwnedSemaphorePermit), Reply> {
        let (params, origin) = self.forwarded_params(METHOD, params, asked)?;
        let request = StoreRequest::parse(&Params::Bencode(&params));
        let request = request.map_err(|invalid| self.refused(METHOD, &invalid, asked))?;
        let place = Arc::clone(&self.writing).try_acquire_owned().map_err(|_| busy())?;
        Ok((request, origin, place))
    }

    /// Stores in one transaction, while the answers are signed; what to say of each.
    async fn store_all(&self, store: &Store, messages: Vec<NewMessage>) -> Vec<Reply> {
        let texts: Vec<String> = messages.iter().map(|message| message.hash.to_string()).collect();
        let noted: Vec<_> = messages.iter().map(|message| (message.namespace, self.watched(message))).collect();
        let to_sign = messages.iter().zip(&texts);
        let to_sign = to_sign.map(|(message, text)| (Source::of(&message.account.key()), text.as_bytes().to_vec()));
        let signed = self.signer.sign_all(to_sign.collect());
        let (stored, signatures) = futures_util::join!(store.put_all(messages), signed);
        let stored = stored.unwrap_or_else(|error| vec![Err(error); texts.len()]);
        let each = stored.into_iter().zip(signatures).zip(texts).zip(noted);
        let entries = each.map(|(((stored, signature), text), (namespace, watched))| {
            let stored = stored.map_err(|error| failure(&error))?;
            self.arrived(store, namespace, &stored, watched.as_ref());
            Ok(store_entries(text, Value::Bytes(signature.to_vec()), &stored))
        });
        entries.map(peer_reply).collect()
    }

    fn counted(&self, reply: Reply, asked: &CallContext) -> Reply {
        self.metrics.named(Via::Swarm, METHOD, reply.status, asked.came.elapsed());
        reply
    }
}
