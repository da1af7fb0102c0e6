//! Connections to servers that wait to be used again: some of each server and a bounded number of all, of which the oldest
//! gives way. Which servers there are is said by strangers.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;

/// Connections that wait, of all servers together.
pub(super) const MOST: usize = 256;
/// And of one.
const MOST_OF_SERVER: usize = 32;
/// How long one waits; up to twice as long where nothing else happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection on which the next request may be sent.
pub(super) type Sender = SendRequest<Full<Bytes>>;

struct Idle {
    /// Scheme and authority.
    server: String,
    sender: Sender,
    since: Instant,
}

#[derive(Default)]
struct Waiting {
    /// The oldest first.
    idle: VecDeque<Idle>,
    /// Somebody comes to close the old ones.
    is_swept: bool,
}

/// The connections that wait.
#[derive(Default)]
pub(super) struct Pool(Arc<Mutex<Waiting>>);

impl Pool {
    /// The connection to `server` that was last in use.
    pub(super) fn take(&self, server: &str) -> Option<Sender> {
        let idle = &mut self.0.lock().idle;
        loop {
            let place = idle.iter().rposition(|idle| idle.server == server)?;
            let Idle { sender, .. } = idle.remove(place)?;
            if !sender.is_closed() {
                return Some(sender);
            }
        }
    }

    /// The answer has been read.
    pub(super) fn put(&self, server: String, sender: Sender) {
        let mut waiting = self.0.lock();
        let idle = &mut waiting.idle;
        let of_server = idle.iter().filter(|idle| idle.server == server).count();
        if of_server >= MOST_OF_SERVER {
            let oldest = idle.iter().position(|idle| idle.server == server);
            oldest.and_then(|place| idle.remove(place));
        } else if idle.len() >= MOST {
            idle.pop_front();
        }
        idle.push_back(Idle { server, sender, since: Instant::now() });
        if !std::mem::replace(&mut waiting.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

/// Closes what nobody has used for long, until there is nothing.
async fn sweep(pool: Weak<Mutex<Waiting>>) {
    loop {
        tokio::time::sleep(PATIENCE).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut waiting = pool.lock();
        waiting.idle.retain(|idle| idle.since.elapsed() < PATIENCE && !idle.sender.is_closed());
        if waiting.idle.is_empty() {
            waiting.is_swept = false;
            return;
        }
    }
}
