//! What C programs lend and are given.

use std::{
    ffi::{CStr, c_char},
    ptr, slice,
};

use allium_engine::types::AccountId;

use crate::error::{Failure, invalid, quietly};

/// A key or a hash.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AlliumKey {
    /// As it is.
    pub bytes: [u8; 32],
}

/// An account: the network's byte (5 for users), and a key.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AlliumAccount {
    /// As it is.
    pub bytes: [u8; 33],
}

impl AlliumAccount {
    pub(crate) const fn id(&self) -> AccountId {
        AccountId(self.bytes)
    }
}

/// Bytes that somebody else owns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AlliumSlice {
    /// May be NULL when there are none.
    pub data: *const u8,
    /// How many.
    pub len: usize,
}

impl AlliumSlice {
    /// Those that `bytes` are, for as long as they are.
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() }
    }

    /// # Safety
    /// As [`array`].
    pub(crate) unsafe fn bytes<'a>(self) -> Result<&'a [u8], Failure> {
        // SAFETY: the caller's promise.
        unsafe { array(self.data, self.len, "data") }
    }
}

/// `count` things from `first` on.
///
/// # Safety
/// They are there, and stay unchanged during the call into the library: the header asks that of every caller.
pub(crate) unsafe fn array<'a, T>(first: *const T, count: usize, name: &str) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() || !first.is_aligned() || count > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(invalid(format!("{name} is no array")));
    }
    // SAFETY: not NULL and aligned, not too large; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts(first, count) })
}

/// A string.
///
/// # Safety
/// As [`array`], up to a NUL.
pub(crate) unsafe fn string<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(invalid(format!("{name} is NULL")));
    }
    // SAFETY: not NULL; the rest is the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| invalid(format!("{name} is not UTF-8")))
}

/// Bytes that belong to the caller.
#[repr(C)]
pub struct AlliumBytes {
    /// NULL when there are none.
    pub data: *mut u8,
    /// How many.
    pub len: usize,
}

impl AlliumBytes {
    pub(crate) const fn none() -> Self {
        Self { data: ptr::null_mut(), len: 0 }
    }

    pub(crate) fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Self::none();
        }
        let len = bytes.len();
        Self { data: Box::into_raw(bytes).cast(), len }
    }
}

/// Gives bytes back. None are left in `bytes`, so that a second time does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn allium_bytes_free(bytes: Option<&mut AlliumBytes>) {
    quietly((), || {
        let AlliumBytes { data, len } = std::mem::replace(bytes?, AlliumBytes::none());
        if !data.is_null() {
            // SAFETY: `AlliumBytes::new` made it of a box of this length, and nobody has given it back before.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(data, len)) });
        }
        Some(())
    });
}
