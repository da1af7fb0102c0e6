//! The store as its callers see it, a file a subject. Here is what they share.

mod changes;
mod durability;
mod files;
mod formats;
mod messages;
mod model;
mod quotas;

use std::ops::ControlFlow;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::{
    clock::Clock,
    types::{AccountId, MessageHash, Millis, Namespace},
};

const ALL: Limits = Limits { max_count: None, max_size: u64::MAX };
const FAR: u64 = 4_000_000_000_000;

fn on(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn open(dir: &TempDir, max_bytes: u64) -> Store {
    let config = StoreConfig { max_bytes, ..StoreConfig::new(dir.path().join("store")) };
    Store::open(config, Clock::default()).unwrap()
}

fn account(n: u8) -> AccountId {
    AccountId::new(5, [n; 32])
}

fn message(owner: u8, namespace: i16, data: &[u8], timestamp: u64, expiry: u64) -> NewMessage {
    let (account, namespace) = (account(owner), Namespace(namespace));
    NewMessage {
        account,
        namespace,
        hash: MessageHash::of(&account, namespace, data),
        timestamp: Millis(timestamp),
        expiry: Millis(expiry),
        stored: Millis(timestamp),
        changed: Millis(timestamp),
        data: data.to_vec(),
    }
}

/// A client's message, taken now.
fn now(store: &Store, message: NewMessage) -> NewMessage {
    let stored = store.stamp();
    NewMessage { stored, changed: stored, ..message }
}

/// A change, asked for now.
fn change(store: &Store, method: &str, params: &[u8]) -> Change {
    let command = Command { method: method.to_owned(), params: params.to_vec() };
    Change { at: store.stamp(), command, members: Vec::new() }
}

/// One that says nothing to messages that come later.
fn quiet(store: &Store) -> Change {
    change(store, "test", b"de")
}

/// What a crash of the process would leave now, while nothing is written.
fn copied(dir: &TempDir) -> TempDir {
    let copy = TempDir::new().unwrap();
    std::fs::create_dir(copy.path().join("store")).unwrap();
    for file in ["data.mdb", "redo.0", "redo.1"] {
        std::fs::copy(dir.path().join("store").join(file), copy.path().join("store").join(file)).unwrap();
    }
    copy
}
