//! A store that is filled in the order of its keys, for measurements of very many messages: each page is written once, and full.

use heed::PutFlags;

use super::{
    config::StoreConfig,
    error::StoreError,
    layout::{self, Meta, Record, Usage},
    message::NewMessage,
    tables::Tables,
};
use crate::types::AccountId;

/// Messages of one write transaction, about.
const STEP: usize = 500_000;

/// Puts messages into an empty store, past its log: `accounts` in the order of their bytes, each with its messages, whose
/// expiries never go back. To be used by benchmarks; what a stop leaves half-done is of no use.
///
/// # Errors
/// When the store is in use or not empty, an order is wrong, or the disk is full.
#[doc(hidden)]
pub fn fill_in_order(
    config: &StoreConfig,
    accounts: impl Iterator<Item = (AccountId, Vec<NewMessage>)>,
) -> Result<u64, StoreError> {
    let tables = Tables::open(config)?;
    if tables.meta(&tables.env.read_txn()?, Meta::Sequence)? > 0 {
        return Err(StoreError::Database(format!("the message store in {} is not empty", config.path.display())));
    }
    let (data, expiries) = (tables.data.tree, tables.expiries.tree);
    let mut txn = tables.env.write_txn()?;
    let (mut sequence, mut bytes, mut pending) = (0, 0, 0);
    for (account, messages) in accounts {
        let mut usage = Usage::default();
        let mut hashes = Vec::with_capacity(messages.len());
        for message in &messages {
            usage.add(message.namespace, layout::charge(message.data.len()));
        }
        data.put_with_flags(&mut txn, PutFlags::APPEND, &account.0, &usage.encode())?;
        for message in &messages {
            sequence += 1;
            let key = layout::key(&account, message.namespace, sequence);
            let NewMessage { hash, timestamp, expiry, stored, changed, .. } = *message;
            let record = Record { hash, timestamp, expiry, stored, changed, data: &message.data };
            data.put_with_flags(&mut txn, PutFlags::APPEND, &key, &record.encode())?;
            let (at, whose) = layout::expiry_entry(expiry, &key);
            expiries.put_with_flags(&mut txn, PutFlags::APPEND, &at, &whose)?;
            hashes.push((layout::hash_key(&account.0, &hash), key));
        }
        hashes.sort_unstable();
        for (hash_key, key) in &hashes {
            data.put_with_flags(&mut txn, PutFlags::APPEND, hash_key, layout::place_of(key))?;
        }
        bytes += usage.all.bytes;
        pending += messages.len();
        if pending >= STEP {
            pending = 0;
            txn.commit()?;
            txn = tables.env.write_txn()?;
        }
    }
    for (which, value) in
        [(Meta::Sequence, sequence), (Meta::Replicated, sequence), (Meta::Messages, sequence), (Meta::Bytes, bytes)]
    {
        tables.set_meta(&mut txn, which, value)?;
    }
    txn.commit()?;
    Ok(sequence)
}
