//! Codes, texts, and the wall that panics end at.

use std::{
    ffi::c_char,
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
};

use allium_engine::{EngineError, store::StoreError};

/// How a call ended.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlliumStatus {
    /// As it should.
    Ok = 0,
    /// An argument is NULL, or not what it must be.
    Invalid = 1,
    /// What was asked for is not there.
    NotFound = 2,
    /// A socket, a thread or a file.
    Io = 3,
    /// As much is under way as may be; try again later.
    Busy = 4,
    /// The engine or the store is stopped.
    Closed = 5,
    /// The store is full until messages expire.
    StoreFull = 6,
    /// The account's share of the store is full until its messages expire.
    AccountFull = 7,
    /// Another program has the store open.
    StoreInUse = 8,
    /// The store has a format that this version does not read.
    StoreFormat = 9,
    /// The store's file is not as it was written.
    StoreDamaged = 10,
    /// The store's disk is full, or fails.
    Disk = 11,
    /// Something that was encrypted does not open.
    Ciphertext = 12,
    /// A bug of the library. What the call was about may be half done.
    Panic = 100,
}

/// Why a call failed, in words.
#[repr(C)]
pub struct AlliumError {
    /// Cut off where it does not fit.
    pub text: [c_char; 256],
}

/// A status and its words.
pub(crate) struct Failure(pub(crate) AlliumStatus, pub(crate) String);

pub(crate) fn invalid(text: impl ToString) -> Failure {
    Failure(AlliumStatus::Invalid, text.to_string())
}

/// An argument that must not be NULL.
pub(crate) fn given<T>(argument: Option<T>, name: &str) -> Result<T, Failure> {
    argument.ok_or_else(|| invalid(format!("{name} is NULL")))
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Full | StoreError::MapFull => AlliumStatus::StoreFull,
            StoreError::AccountFull => AlliumStatus::AccountFull,
            StoreError::Busy => AlliumStatus::Busy,
            StoreError::Closed => AlliumStatus::Closed,
            StoreError::InUse => AlliumStatus::StoreInUse,
            StoreError::Format { .. } => AlliumStatus::StoreFormat,
            StoreError::Damaged(_) => AlliumStatus::StoreDamaged,
            StoreError::DiskFull => AlliumStatus::Disk,
            _ => AlliumStatus::Io,
        };
        Self(status, error.to_string())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            error => Self(AlliumStatus::Io, error.to_string()),
        }
    }
}

/// Carries `call` out; a panic in it goes no further.
pub(crate) fn guard(
    error: Option<&mut MaybeUninit<AlliumError>>,
    call: impl FnOnce() -> Result<(), Failure>,
) -> AlliumStatus {
    let panicked = || Err(Failure(AlliumStatus::Panic, "a bug of the library".to_owned()));
    let Err(Failure(status, text)) = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| panicked()) else {
        return AlliumStatus::Ok;
    };
    if let Some(error) = error {
        let mut written = [0; 256];
        // The last byte stays NUL, and no character is cut.
        let fits = (0..written.len()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        for (to, from) in written.iter_mut().zip(text.as_bytes()[..fits].iter()) {
            *to = c_char::from_ne_bytes([*from]);
        }
        error.write(AlliumError { text: written });
    }
    status
}

/// As [`guard`], for what has no status.
pub(crate) fn quietly<T>(otherwise: T, call: impl FnOnce() -> Option<T>) -> T {
    catch_unwind(AssertUnwindSafe(call)).ok().flatten().unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: &AlliumError) -> String {
        let bytes: Vec<u8> = error.text.iter().map(|c| c.to_ne_bytes()[0]).take_while(|byte| *byte != 0).collect();
        String::from_utf8(bytes).unwrap_or_default()
    }

    #[test]
    fn a_panic_ends_at_the_wall() {
        let mut error = MaybeUninit::uninit();
        let status = guard(Some(&mut error), || std::panic::resume_unwind(Box::new("what a bug does")));
        assert_eq!(status, AlliumStatus::Panic);
        // SAFETY: written, as the status says.
        assert_eq!(text(unsafe { error.assume_init_ref() }), "a bug of the library");
        assert!(!quietly(false, || std::panic::resume_unwind(Box::new("what a bug does"))));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let mut error = MaybeUninit::uninit();
        assert_eq!(guard(Some(&mut error), || Err(invalid("é".repeat(300)))), AlliumStatus::Invalid);
        // SAFETY: written, as the status says.
        assert_eq!(text(unsafe { error.assume_init_ref() }), "é".repeat(127));
    }
}
