//! The message store, by itself or an engine's.

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
};

use allium_engine::{
    Clock, Store,
    store::{Cursor, Limits, NewMessage, Outcome, StoreConfig, StoredMessage},
    types::{MessageHash, Millis, Namespace},
};

use crate::{
    borrow::{AlliumAccount, AlliumBytes, AlliumKey, AlliumSlice, string},
    engine::durability,
    error::{AlliumError, AlliumStatus, Failure, given, guard, quietly},
};

/// Bytes of messages read at once when all are gone through.
const BATCH: usize = 1 << 20;

/// A message store.
pub struct AlliumStore {
    store: Store,
    ours: bool,
}

impl AlliumStore {
    /// One that goes on without this handle.
    pub(crate) const fn of_engine(store: Store) -> Self {
        Self { store, ours: false }
    }
}

/// Opens the store in the directory `path`, which is made when it is not there. The limits are bytes that messages may
/// take, of all accounts and of one, and messages that one account may have; 0 is the network's. One account's are meant
/// twice: in its public inboxes, and in its other namespaces. `sync` says whether an acknowledged write is on disk, or with
/// the operating system, which writes every second. `store` is for `allium_store_close`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_store_open(
    path: *const c_char,
    max_bytes: u64,
    account_bytes: u64,
    account_messages: u64,
    sync: bool,
    store: Option<&mut MaybeUninit<*mut AlliumStore>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        // SAFETY: as the header asks.
        let path = unsafe { string(path, "path") }?;
        let out = given(store, "store")?;
        let mut config = StoreConfig::new(path);
        config.durability = durability(sync);
        let limits = [&mut config.max_bytes, &mut config.account_bytes, &mut config.account_messages];
        for (limit, wanted) in limits.into_iter().zip([max_bytes, account_bytes, account_messages]) {
            if wanted > 0 {
                *limit = wanted;
            }
        }
        let store = Store::open(config, Clock::default())?;
        out.write(Box::into_raw(Box::new(AlliumStore { store, ours: true })));
        Ok(())
    })
}

/// Writes what is queued and closes; an engine's store stays open. Takes `store`. Waits.
#[unsafe(no_mangle)]
pub extern "C" fn allium_store_close(store: Option<Box<AlliumStore>>) {
    quietly((), || {
        let store = store?;
        if store.ours {
            store.store.close();
        }
        Some(())
    });
}

/// A message. Times are milliseconds since 1970.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AlliumMessage {
    /// Whose it is.
    pub account: AlliumAccount,
    /// Where in the account.
    pub namespace_id: i16,
    /// When the sender says it was sent.
    pub timestamp: u64,
    /// When it goes.
    pub expiry: u64,
    /// What it says. Of a message that a callback is told of, valid until the callback returns.
    pub data: AlliumSlice,
    /// Its name, which follows from account, namespace and data. Not read by `allium_store_put`.
    pub hash: AlliumKey,
}

impl AlliumMessage {
    fn of(message: &NewMessage) -> Self {
        let NewMessage { account, namespace, hash, timestamp, expiry, data, .. } = message;
        Self {
            account: AlliumAccount { bytes: account.0 },
            namespace_id: namespace.0,
            timestamp: timestamp.0,
            expiry: expiry.0,
            data: AlliumSlice::of(data),
            hash: AlliumKey { bytes: hash.0 },
        }
    }
}

/// What became of a message.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlliumOutcome {
    /// It was not there.
    New = 0,
    /// It was there; its expiry is later now.
    Extended = 1,
    /// It was there and stays as it was.
    Exists = 2,
    /// It was deleted since, or the public outbox holds a newer one.
    Obsolete = 3,
}

/// Stores a message; `hash` and `outcome` may be NULL. Waits until it is on disk (or with the operating system, if the
/// store was opened so). Puts from several threads share one write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_store_put(
    store: Option<&AlliumStore>,
    message: Option<&AlliumMessage>,
    hash: Option<&mut MaybeUninit<AlliumKey>>,
    outcome: Option<&mut MaybeUninit<AlliumOutcome>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (store, message) = (given(store, "store")?, given(message, "message")?);
        let AlliumMessage { account, namespace_id, timestamp, expiry, data, .. } = *message;
        // SAFETY: as the header asks.
        let data = unsafe { data.bytes() }?.to_vec();
        let message = NewMessage::new(account.id(), Namespace(namespace_id), Millis(timestamp), Millis(expiry), data);
        let name = message.hash;
        let stored = pollster::block_on(store.store.put(message))?;
        if let Some(hash) = hash {
            hash.write(AlliumKey { bytes: name.0 });
        }
        if let Some(outcome) = outcome {
            outcome.write(match stored.outcome {
                Outcome::New => AlliumOutcome::New,
                Outcome::Extended => AlliumOutcome::Extended,
                Outcome::Exists => AlliumOutcome::Exists,
                Outcome::Obsolete => AlliumOutcome::Obsolete,
            });
        }
        Ok(())
    })
}

/// One message of an account; `ALLIUM_STATUS_NOT_FOUND` when it is not there. `data` is for `allium_bytes_free`; `message`,
/// which may be NULL, has no data.
#[unsafe(no_mangle)]
pub extern "C" fn allium_store_get(
    store: Option<&AlliumStore>,
    account: Option<&AlliumAccount>,
    hash: Option<&AlliumKey>,
    data: Option<&mut MaybeUninit<AlliumBytes>>,
    message: Option<&mut MaybeUninit<AlliumMessage>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (store, account, hash) = (given(store, "store")?, given(account, "account")?, given(hash, "hash")?);
        let out = given(data, "data")?;
        let found = store.store.get(&account.id(), &MessageHash(hash.bytes))?;
        let found = found.ok_or_else(|| Failure(AlliumStatus::NotFound, "no such message".to_owned()))?;
        if let Some(message) = message {
            message.write(AlliumMessage { data: AlliumSlice::of(&[]), ..AlliumMessage::of(&found) });
        }
        out.write(AlliumBytes::new(found.data));
        Ok(())
    })
}

/// Told of a message, which is valid until it returns; false ends the walk. It may call the library.
pub type AlliumOnMessage = Option<unsafe extern "C" fn(user: *mut c_void, message: *const AlliumMessage) -> bool>;

type OnMessage = unsafe extern "C" fn(*mut c_void, *const AlliumMessage) -> bool;

fn tell(callback: OnMessage, user: *mut c_void, message: &NewMessage) -> bool {
    let message = AlliumMessage::of(message);
    // SAFETY: the callback is one of C's, called on its caller's thread.
    unsafe { callback(user, &raw const message) }
}

/// Messages of one namespace of an account in the order in which they were stored, after the one with the hash `after` if
/// that is there, else (also with NULL) from the start. At most `max_count` (0 is any number) of at most `max_size` bytes
/// together, but at least one. `more`, which may be NULL, says whether there are further ones.
#[unsafe(no_mangle)]
pub extern "C" fn allium_store_retrieve(
    store: Option<&AlliumStore>,
    account: Option<&AlliumAccount>,
    namespace_id: i16,
    after: Option<&AlliumKey>,
    max_count: u64,
    max_size: u64,
    callback: AlliumOnMessage,
    user: *mut c_void,
    more: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (store, account) = (given(store, "store")?, given(account, "account")?.id());
        let callback = given(callback, "callback")?;
        let after = after.map(|hash| MessageHash(hash.bytes));
        let limits = Limits { max_count: Some(max_count).filter(|count| *count > 0), max_size };
        let page = store.store.retrieve(&account, Namespace(namespace_id), after.as_ref(), limits)?;
        let (mut go_on, namespace) = (true, Namespace(namespace_id));
        for StoredMessage { hash, timestamp, expiry, data } in page.messages {
            let message = NewMessage { hash, ..NewMessage::new(account, namespace, timestamp, expiry, data) };
            go_on = tell(callback, user, &message);
            if !go_on {
                break;
            }
        }
        if let Some(more) = more {
            more.write(page.more || !go_on);
        }
        Ok(())
    })
}

/// Every message of every account, those of one account and namespace beside each other. What is stored meanwhile may be
/// told of or not.
#[unsafe(no_mangle)]
pub extern "C" fn allium_store_each(
    store: Option<&AlliumStore>,
    callback: AlliumOnMessage,
    user: *mut c_void,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (store, callback) = (given(store, "store")?, given(callback, "callback")?);
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let batch = store.store.scan(&at, BATCH)?;
            if !batch.messages.iter().all(|message| tell(callback, user, message)) {
                break;
            }
            cursor = batch.next;
        }
        Ok(())
    })
}

/// Removes a message; `ALLIUM_STATUS_NOT_FOUND` when it is not there. Waits as `allium_store_put` does.
#[unsafe(no_mangle)]
pub extern "C" fn allium_store_remove(
    store: Option<&AlliumStore>,
    account: Option<&AlliumAccount>,
    hash: Option<&AlliumKey>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let (store, account, hash) = (given(store, "store")?, given(account, "account")?, given(hash, "hash")?);
        let removed = pollster::block_on(store.store.remove(account.id(), vec![MessageHash(hash.bytes)]))?;
        if removed.is_empty() { Err(Failure(AlliumStatus::NotFound, "no such message".to_owned())) } else { Ok(()) }
    })
}

/// How many messages there are and what they are charged; either may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn allium_store_count(
    store: Option<&AlliumStore>,
    messages: Option<&mut MaybeUninit<u64>>,
    bytes: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<AlliumError>>,
) -> AlliumStatus {
    guard(error, || {
        let stats = given(store, "store")?.store.stats()?;
        if let Some(messages) = messages {
            messages.write(stats.messages);
        }
        if let Some(bytes) = bytes {
            bytes.write(stats.bytes);
        }
        Ok(())
    })
}
