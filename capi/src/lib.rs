//! The C face of the engine: conversions and nothing else. What C programs rely on is in the header's first lines
//! (`cbindgen.toml`) and on each function.
//!
//! Nullable pointers are `Option`s of references and boxes, so that what is unsafe is left to `borrow`.

#![allow(clippy::missing_safety_doc, reason = "one promise for all functions, in the header's first lines")]

mod borrow;
mod call;
mod engine;
mod error;
mod onion;
mod store;

pub use borrow::{AlliumAccount, AlliumBytes, AlliumKey, AlliumSlice, allium_bytes_free};
pub use call::{
    AlliumCall, AlliumOnCall, allium_call_answer, allium_call_method, allium_call_params, allium_call_refuse,
};
pub use engine::*;
pub use error::{AlliumError, AlliumStatus};
pub use onion::*;
pub use store::*;

/// Of this header. A library with another one is not for programs built with it.
pub const ALLIUM_ABI_VERSION: u32 = 1;

/// `ALLIUM_ABI_VERSION` of the library that is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn allium_abi_version() -> u32 {
    ALLIUM_ABI_VERSION
}
