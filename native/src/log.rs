//! What the engine has to say, on standard error beside the orchestrator's lines and in their form.
//!
//! It is written without the interpreter: what it tells of may be that Python stands still.

use std::{
    collections::HashMap,
    fmt::{Debug, Write as _},
    io::Write as _,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::{Mutex, RwLock};
use pyo3::{exceptions::PyValueError, prelude::*};
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Metadata, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};

/// Of one kind, so many lines come in so much time; then the number of those left out.
const MOST: u64 = 10;
const WINDOW: Duration = Duration::from_secs(60);
const ENGINE: &str = "allium_engine::";

/// Where events go.
struct Log {
    level: RwLock<Level>,
    as_json: AtomicBool,
    kinds: Mutex<HashMap<Identifier, Window>>,
}

/// What was said of one kind since.
struct Window {
    since: Instant,
    count: u64,
}

fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| Log {
        level: RwLock::new(Level::INFO),
        as_json: AtomicBool::new(false),
        kinds: Mutex::default(),
    })
}

#[pyfunction]
pub(crate) fn log_to_stderr(level: &str, format: &str) -> PyResult<()> {
    let level = match level {
        "debug" => Level::DEBUG,
        "info" => Level::INFO,
        "warning" => Level::WARN,
        "error" => Level::ERROR,
        _ => return Err(PyValueError::new_err(format!("no level: {level}"))),
    };
    *log().level.write() = level;
    log().as_json.store(format == "json", Ordering::Relaxed);
    // Set before: it is in force.
    let _ = tracing::subscriber::set_global_default(ToLog);
    Ok(())
}

/// Writes one line, however many there were.
pub(crate) fn write(level: Level, part: &str, event: &str, values: Map<String, Value>) {
    log().write(level, part, Fields { event: event.to_owned(), values }, 0);
}

impl Log {
    /// How many of the same kind were left out before this one; `None` when it is left out too.
    fn admit(&self, kind: Identifier) -> Option<u64> {
        let now = Instant::now();
        let mut kinds = self.kinds.lock();
        let window = kinds.entry(kind).or_insert(Window { since: now, count: 0 });
        let mut left_out = 0;
        if now.duration_since(window.since) >= WINDOW {
            left_out = window.count.saturating_sub(MOST);
            *window = Window { since: now, count: 0 };
        }
        window.count += 1;
        (window.count <= MOST).then_some(left_out)
    }

    fn write(&self, level: Level, part: &str, fields: Fields, left_out: u64) {
        let level = match level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        };
        let Fields { event, mut values } = fields;
        values.insert("part".to_owned(), part.into());
        if left_out > 0 {
            values.insert("left_out".to_owned(), left_out.into());
        }
        let line = if self.as_json.load(Ordering::Relaxed) {
            values.insert("event".to_owned(), event.into());
            values.insert("level".to_owned(), level.into());
            values.insert("timestamp".to_owned(), timestamp().into());
            format!("{}\n", Value::Object(values))
        } else {
            let mut line = format!("{} [{level:<9}] {event:<30}", timestamp());
            for (name, value) in values {
                let _ = match value {
                    Value::String(text) if !text.contains([' ', '\'', '"', '=', '\n']) => {
                        write!(line, " {name}={text}")
                    }
                    value => write!(line, " {name}={value}"),
                };
            }
            line + "\n"
        };
        // One call, so that lines stay whole. Who does not listen does not hear.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}

/// UTC, as the orchestrator writes it (`allium.base.log`).
fn timestamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
    // Of the proleptic Gregorian calendar, in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + u64::from(month >= 10), if month < 10 { month + 3 } else { month - 9 });
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", now.subsec_micros())
}

/// Of an event.
#[derive(Default)]
struct Fields {
    event: String,
    values: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.event = text,
            (name, value) => drop(self.values.insert(name.to_owned(), value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

/// The engine's own events only.
struct ToLog;

impl Subscriber for ToLog {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let ours = metadata.is_event() && metadata.target().starts_with(ENGINE);
        if ours { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= *log().level.read()
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let Some(left_out) = log().admit(metadata.callsite()) else { return };
        let part = metadata.target().trim_start_matches(ENGINE).split("::").next().unwrap_or_default();
        let mut fields = Fields::default();
        event.record(&mut fields);
        log().write(*metadata.level(), part, fields, left_out);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
