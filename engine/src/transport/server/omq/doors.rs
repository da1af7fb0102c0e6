//! Who may connect: libzmq asks here before it serves a connection, and tells when one is gone (`build/libzmq.rs`).

use std::{
    collections::HashMap,
    os::fd::{BorrowedFd, RawFd},
    sync::Arc,
};

use parking_lot::Mutex;
use socket2::SockRef;

use super::super::{
    context::ServerContext,
    limiter::{ConnectionLimits, ConnectionPlace},
    refusals::Refusal,
};
use crate::rpc::Via;

/// Listeners of this process, by descriptor: one for each node.
static LISTENERS: Mutex<Option<HashMap<RawFd, Listener>>> = Mutex::new(None);
/// What each connection counts as, by descriptor.
static CONNECTIONS: Mutex<Option<HashMap<RawFd, ConnectionPlace>>> = Mutex::new(None);

struct Listener {
    limits: ConnectionLimits,
    context: Arc<ServerContext>,
}

/// A listener's connections are counted until this is dropped.
pub(super) struct Doors(RawFd);

impl Doors {
    /// Of the listener with descriptor `listener`.
    pub(super) fn open(listener: RawFd, context: Arc<ServerContext>) -> Self {
        let limits = context.connections.clone();
        LISTENERS.lock().get_or_insert_default().insert(listener, Listener { limits, context });
        Self(listener)
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        LISTENERS.lock().get_or_insert_default().remove(&self.0);
    }
}

/// Whether the connection that `listener` has just accepted is served. Called by libzmq's I/O thread.
#[unsafe(no_mangle)]
extern "C" fn allium_omq_accepts(listener: RawFd, connection: RawFd) -> i32 {
    let listeners = LISTENERS.lock();
    // One that nobody counts is no node's.
    let Some(Listener { limits, context }) = listeners.as_ref().and_then(|all| all.get(&listener)) else { return 1 };
    // SAFETY: libzmq has just accepted it, and holds it until this returns.
    let accepted = unsafe { BorrowedFd::borrow_raw(connection) };
    let remote = SockRef::from(&accepted).peer_addr().ok().and_then(|remote| remote.as_socket());
    let Some(remote) = remote else { return 0 };
    let Some(place) = limits.take(remote.ip(), context.limiter.is_exempt(remote.ip())) else {
        context.refusals.add(Via::Omq, Refusal::Connections);
        return 0;
    };
    CONNECTIONS.lock().get_or_insert_default().insert(connection, place);
    1
}

/// The connection is about to be closed. Called by libzmq's I/O thread, also for those that we opened.
#[unsafe(no_mangle)]
extern "C" fn allium_omq_closes(connection: RawFd) {
    let place = CONNECTIONS.lock().as_mut().and_then(|connections| connections.remove(&connection));
    drop(place);
}
