//! What is done how in this process: as measured, or as the environment says.

use std::{
    env,
    sync::{LazyLock, OnceLock},
};

use super::{backend::Backend, plan::Plan};

/// Names a backend that is used for all that does not come alone; what is best is measured where there is none.
const CHOICE: &str = "ALLIUM_X25519";
static MEASURED: OnceLock<Plan> = OnceLock::new();
static FORCED: LazyLock<Option<Backend>> = LazyLock::new(|| {
    let name = env::var(CHOICE).ok().filter(|name| !name.is_empty())?;
    match name.parse::<Backend>() {
        Ok(backend) if backend.is_supported() => Some(backend),
        Ok(_) => {
            tracing::warn!("this processor cannot do {CHOICE}={name}; what is best is measured");
            None
        }
        Err(error) => {
            tracing::warn!("{CHOICE}: {error}; what is best is measured");
            None
        }
    }
});
/// Until it is measured: of the vectors only those that are known to be faster wherever there are any.
static FIRST: LazyLock<Plan> = LazyLock::new(|| match forced() {
    Some(backend) => Plan::forced(backend),
    None if Backend::Ifma.is_supported() => Plan::forced(Backend::Ifma),
    None => Plan::forced(Backend::Scalar),
});

/// The backend that the environment names, if the processor can run it.
#[must_use]
pub fn forced() -> Option<Backend> {
    *FORCED
}

/// What is done how now.
#[must_use]
pub fn plan() -> &'static Plan {
    MEASURED.get().unwrap_or_else(|| &FIRST)
}

/// As [`plan`] from now on: what `measured` says, unless the environment does; the first time.
pub(super) fn decide(measured: impl FnOnce() -> Plan) -> &'static Plan {
    MEASURED.get_or_init(|| if forced().is_some() { FIRST.clone() } else { measured() })
}

/// Whether that was done.
pub(super) fn is_decided() -> bool {
    MEASURED.get().is_some()
}
