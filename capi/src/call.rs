//! Requests that the embedder answers.

use std::ffi::{CString, c_char, c_void};

use allium_engine::Call;

use crate::{
    borrow::string,
    error::{AlliumStatus, given, guard, invalid, quietly},
};

/// A client's request that waits for an answer.
pub struct AlliumCall {
    call: Call,
    method: CString,
    params: CString,
}

/// Told of a request, on a thread that serves others too: it must not wait. `call` belongs to the callback, which gives it
/// to `allium_call_answer` or `allium_call_refuse`, then or within 30 s from any thread. `user` is what it was set with.
pub type AlliumOnCall = Option<unsafe extern "C" fn(user: *mut c_void, call: *mut AlliumCall)>;

/// A callback and what it is called with.
pub(crate) struct Handler {
    pub(crate) callback: unsafe extern "C" fn(user: *mut c_void, call: *mut AlliumCall),
    pub(crate) user: *mut c_void,
}

// SAFETY: the header asks for a callback that may be called from any thread, and for a `user` that goes with it.
unsafe impl Send for Handler {}
// SAFETY: as above; several threads call it at once.
unsafe impl Sync for Handler {}

impl Handler {
    pub(crate) fn take(&self, call: Call) {
        // JSON escapes NUL, but not every method's name is a C string.
        let (Ok(method), Ok(params)) = (CString::new(call.method()), CString::new(call.params().to_string())) else {
            return;
        };
        let call = Box::into_raw(Box::new(AlliumCall { call, method, params }));
        // SAFETY: the callback is one of C's, and `call` is its own from here on.
        unsafe { (self.callback)(self.user, call) };
    }
}

/// The method that is asked for. Valid until the call is answered or refused.
#[unsafe(no_mangle)]
pub extern "C" fn allium_call_method(call: Option<&AlliumCall>) -> *const c_char {
    quietly(std::ptr::null(), || Some(call?.method.as_ptr()))
}

/// Its params: a JSON object. Valid until the call is answered or refused.
#[unsafe(no_mangle)]
pub extern "C" fn allium_call_params(call: Option<&AlliumCall>) -> *const c_char {
    quietly(std::ptr::null(), || Some(call?.params.as_ptr()))
}

/// Answers with an HTTP status and JSON; a JSON string is told as text. Takes `call`, whatever the status returned: with
/// another than `ALLIUM_STATUS_OK` it is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn allium_call_answer(
    call: Option<Box<AlliumCall>>,
    status: u16,
    json: *const c_char,
) -> AlliumStatus {
    guard(None, || {
        let call = given(call, "call")?;
        // SAFETY: as the header asks.
        let json = serde_json::from_str(unsafe { string(json, "json") }?).map_err(invalid)?;
        call.call.answer(status, json);
        Ok(())
    })
}

/// Refuses with status 500. Takes `call`.
#[unsafe(no_mangle)]
pub extern "C" fn allium_call_refuse(call: Option<Box<AlliumCall>>) {
    quietly((), || {
        drop(call);
        Some(())
    });
}
