//! What the store holds, as something that two members can compare without sending it.

use std::{collections::HashMap, ops::Bound};

use super::{
    error::StoreError,
    handle::Store,
    layout::{KEY, account_of, damaged},
    message::NewMessage,
};
use crate::types::{AccountId, Millis};

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A message.
    Message([u8; KEY]),
    /// A command.
    Command([u8; 49]),
}

/// All that a range of accounts has.
#[derive(Debug, Default)]
pub struct Inventory {
    /// By its digest: the same for the same thing in the same state, on every member. With a time that is the same too.
    pub things: HashMap<[u8; 32], (Millis, Place)>,
    /// The first account that is not in it; `None` when there is none left.
    pub end: Option<AccountId>,
}

impl Store {
    /// What accounts from `from` up to, and without, `to` have, where they `belong`; no more than about `most` things.
    /// Messages that go before `horizon` are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn inventory(
        &self,
        from: &AccountId,
        to: Option<&AccountId>,
        most: usize,
        horizon: Millis,
        belong: impl Fn(&AccountId) -> bool,
    ) -> Result<Inventory, StoreError> {
        let txn = self.tables.long_view()?;
        let mut inventory = Inventory { end: to.copied(), ..Inventory::default() };
        let upper = |end: &Option<AccountId>| end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.0.to_vec()));
        let end = upper(&inventory.end);
        let range = (Bound::Included(from.0.as_slice()), end.as_ref().map(Vec::as_slice));
        let mut last: Option<(AccountId, bool)> = None;
        for entry in self.tables.messages(&txn, range)? {
            let (key, record) = entry?;
            let account = AccountId(account_of(&key));
            let wanted = match last {
                Some((known, wanted)) if known == account => wanted,
                _ if inventory.things.len() >= most => {
                    inventory.end = Some(account);
                    break;
                }
                _ => belong(&account),
            };
            last = Some((account, wanted));
            if wanted && record.expiry > horizon {
                let state = [record.stored, record.changed, record.expiry].map(|time| time.0.to_be_bytes());
                let digest = digest(b'm', &account.0, &[&record.hash.0, state.as_flattened()].concat());
                inventory.things.insert(digest, (record.stored, Place::Message(key)));
            }
        }
        let end = upper(&inventory.end);
        let range = (Bound::Included(from.0.as_slice()), end.as_ref().map(Vec::as_slice));
        for entry in self.tables.commands.range(&txn, &range)? {
            let key: [u8; 49] = entry?.0.try_into().map_err(|_| damaged())?;
            let account = AccountId(*key.first_chunk().ok_or_else(damaged)?);
            if belong(&account) {
                let at = u64::from_be_bytes(key[33..41].try_into().map_err(|_| damaged())?);
                inventory.things.insert(digest(b'c', &account.0, &key[33..]), (Millis(at), Place::Command(key)));
            }
        }
        Ok(inventory)
    }

    /// The message there, if it still is.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn message_at(&self, key: &[u8; KEY]) -> Result<Option<NewMessage>, StoreError> {
        let txn = self.tables.view()?;
        Ok(self.tables.message(&txn, key)?.map(|record| record.message(key)))
    }
}

fn digest(kind: u8, account: &[u8; 33], rest: &[u8]) -> [u8; 32] {
    let mut state = blake2b_simd::Params::new().hash_length(32).to_state();
    let hash = state.update(&[kind]).update(account).update(rest).finalize();
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.as_bytes());
    digest
}
