//! A request that writes is carried out to its end, also when whoever sent it goes away: half of it done, members of the
//! swarm would be taken for told that were not.

use std::{sync::Arc, time::Duration};

use crate::rpc::{
    core::{CallContext, MAX_WRITING, Origin, Rpc, busy},
    method::Request,
    reply::Reply,
    status::Status,
};

impl Rpc {
    /// Carries a request out, and drops `held` then. What reads only ends with whoever waits for it.
    pub(super) async fn finish(
        self: &Arc<Self>,
        request: Request,
        origin: Origin,
        asked: CallContext,
        held: impl Send + 'static,
    ) -> Reply {
        if !request.method.writes() {
            return self.run(request, origin, asked).await;
        }
        let Ok(place) = Arc::clone(&self.writing).try_acquire_owned() else { return busy() };
        let rpc = Arc::clone(self);
        let execution = tokio::spawn(async move {
            let reply = rpc.run(request, origin, asked).await;
            drop((place, held));
            reply
        });
        execution.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request was not carried out");
            Reply::text(Status::INTERNAL_SERVER_ERROR, "request failed")
        })
    }

    /// Waits for the requests under way that write, but no longer than `patience`.
    pub async fn written(&self, patience: Duration) {
        let all = u32::try_from(MAX_WRITING).unwrap_or(u32::MAX);
        if tokio::time::timeout(patience, self.writing.acquire_many(all)).await.is_err() {
            tracing::warn!("requests that write were cut off: they took too long");
        }
    }
}
