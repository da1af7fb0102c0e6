//! A panic of the engine, told as everything else is: one line of the log, and no words of Rust's own.
//!
//! What asked for the work that failed is told, too, where it waits; of a thread's end nobody else may hear.

use std::{
    any::Any,
    panic::{self, Location, PanicHookInfo},
    sync::Once,
    thread,
};

use pyo3::prelude::*;
use serde_json::{Map, Value};
use tracing::Level;

use crate::log;

/// From now on panics are told so.
pub(crate) fn tell_all() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| panic::set_hook(Box::new(tell)));
}

fn tell(info: &PanicHookInfo<'_>) {
    let mut values = Map::new();
    let mut put = |name: &str, value: String| drop(values.insert(name.to_owned(), Value::String(value)));
    put("reason", said(info.payload()).replace('\n', " "));
    put("place", info.location().map(place).unwrap_or_default());
    put("thread", thread::current().name().unwrap_or("without a name").to_owned());
    log::write(Level::ERROR, "panic", "the engine failed at something; please report this line", values);
}

/// Where in a crate: the directories before it are of the machine that built this.
fn place(location: &Location<'_>) -> String {
    let file = location.file();
    let start = file.rfind("/src/").and_then(|at| file[..at].rfind('/')).map_or(0, |at| at + 1);
    format!("{}:{}", &file[start..], location.line())
}

/// A lever of tests: the engine fails at something that nobody foresaw.
#[pyfunction]
pub(crate) fn fail(reason: &str) {
    #![expect(clippy::panic, reason = "what it is for")]
    panic!("{reason}");
}

/// The words of a panic: a literal, or what was put together for it.
fn said(payload: &(dyn Any + Send)) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}
