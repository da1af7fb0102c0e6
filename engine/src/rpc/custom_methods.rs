//! Requests that whoever embeds the engine answers: methods of its own, or its own way with the protocol's.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde_json::{Map, Value as Json};
use tokio::sync::oneshot;

use super::{
    reply::{Body, Reply},
    status::Status,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client's request that waits for [`Call::answer`]. Dropped without, it is refused with status 500.
#[derive(Debug)]
pub struct Call {
    method: String,
    params: Json,
    answer: oneshot::Sender<Reply>,
}

impl Call {
    /// What is asked for.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// With what: a JSON object, as the client sent it.
    #[must_use]
    pub const fn params(&self) -> &Json {
        &self.params
    }

    /// Gives the answer, from any thread. `status` is an HTTP status of the protocol's table (others count as 500); a string
    /// as `body` is told as text, anything else as JSON. Whoever asked may be gone.
    pub fn answer(self, status: u16, body: Json) {
        let body = match body {
            Json::String(text) => Body::Text(text.into()),
            json => Body::Json(json),
        };
        let _ = self.answer.send(Reply { status: Status::from_code(status), body });
    }
}

type Handler = Box<dyn Fn(Call) + Send + Sync>;

/// The methods that the engine hands over, and to whom.
pub struct CustomMethods {
    methods: BTreeSet<String>,
    handler: Handler,
}

impl CustomMethods {
    /// `handler` is called with each request for one of `methods`, on a thread that serves others too: it must not wait.
    pub fn new(methods: impl IntoIterator<Item = String>, handler: impl Fn(Call) + Send + Sync + 'static) -> Self {
        Self { methods: methods.into_iter().collect(), handler: Box::new(handler) }
    }

    pub(super) fn has(&self, method: &str) -> bool {
        self.methods.contains(method)
    }

    pub(super) async fn ask(&self, method: String, params: Map<String, Json>) -> Reply {
        let (answer, coming) = oneshot::channel();
        (self.handler)(Call { method, params: Json::Object(params), answer });
        match tokio::time::timeout(PATIENCE, coming).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => Reply::text(Status::INTERNAL_SERVER_ERROR, "The request was not answered"),
            Err(_) => Reply::text(Status::GATEWAY_TIMEOUT, "No answer in time"),
        }
    }
}

impl fmt::Debug for CustomMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Own").field(&self.methods).finish()
    }
}
