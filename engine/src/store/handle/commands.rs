//! The log of clients' commands, as others ask for it.

use std::ops::Bound;

use super::super::{
    commands::{Command, END, Effect, key},
    error::StoreError,
    handle::Store,
    layout::damaged,
    message::NewMessage,
};
use crate::types::Millis;

impl Store {
    /// When this message was last deleted, if that was at `since` or later.
    pub(super) fn deleted_at(&self, message: &NewMessage, since: Millis) -> Result<Option<Millis>, StoreError> {
        let txn = self.tables.view_of(&message.account)?;
        let (first, last) = (key(&message.account, since, [0; 8]), key(&message.account, END, [0xff; 8]));
        let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
        let mut deleted = self.tables.tombstone_at(&txn, &message.account, &message.hash)?.filter(|at| *at >= since);
        for entry in self.tables.commands.range(&txn, &range)? {
            let (key, value) = entry?;
            let at = Millis(u64::from_be_bytes(key[33..41].try_into().map_err(|_| damaged())?));
            if matches!(Command::decode(value).ok_or_else(damaged)?.effect(message, at), Some(Effect::Removed)) {
                deleted = deleted.max(Some(at));
            }
        }
        Ok(deleted)
    }

    /// A command under the key that an inventory has given it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    #[doc(hidden)]
    pub fn command(&self, key: &[u8; 49]) -> Result<Option<Command>, StoreError> {
        let txn = self.tables.view()?;
        let found = self.tables.commands.get(&txn, key)?;
        found.map(|value| Command::decode(value).ok_or_else(damaged)).transpose()
    }
}
