//! The store by itself, for programs that have no swarm: what [`super::Store`] does for a node, in their terms.

use super::{
    error::StoreError,
    handle::Store,
    handoff::{Batch, Cursor},
    message::NewMessage,
};
use crate::types::{AccountId, MessageHash};

impl Store {
    /// One message of `account`; `None` when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn get(&self, account: &AccountId, hash: &MessageHash) -> Result<Option<NewMessage>, StoreError> {
        Ok(self.messages(&[(*account, *hash)])?.pop())
    }

    /// Messages of all accounts after `cursor` (the default is the start), of about `size` bytes together, the messages of
    /// one account and namespace beside each other. What comes while the cursor is in use may be seen or not.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn scan(&self, cursor: &Cursor, size: usize) -> Result<Batch, StoreError> {
        self.batch(cursor, size, |_| true)
    }

    /// Removes these messages of `account`; the answer names those that were there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, account: AccountId, hashes: Vec<MessageHash>) -> Result<Vec<MessageHash>, StoreError> {
        let at = self.stamp();
        self.writer.submit(move |txn| txn.delete(&account, &hashes, at)).await
    }
}
