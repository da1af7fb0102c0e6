//! The store's threads.

use std::thread::JoinHandle;

use super::error::StoreError;

/// A thread of the store.
pub(in crate::store) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| StoreError::Database(error.to_string()))
}
