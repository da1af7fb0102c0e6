//! Whose threads these are. A forked process has the memory of what was opened before the fork and none of its threads:
//! whatever waits for one of them there waits for ever.

use pyo3::Python;

/// The process that opened something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn this() -> Self {
        Self(std::process::id())
    }

    /// Gives up what Python let go of without closing it: without the interpreter lock, which those may need that are
    /// waited for. What belongs to another process is left as it is.
    pub(crate) fn give_up<T: Send>(self, what: T) {
        if self != Self::this() {
            std::mem::forget(what);
            return;
        }
        // While the interpreter ends there is nobody who needs it, and the closure is dropped with what it holds.
        Python::try_attach(|py| py.detach(|| drop(what)));
    }
}
