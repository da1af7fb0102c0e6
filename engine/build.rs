//! Builds libzmq with CURVE on top of the libsodium that `libsodium-sys-stable` built, and links both.

use std::{env, process::ExitCode};

use zeromq_src::{Build, LibLocation};

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    // Set by libsodium-sys-stable's build script for those that depend on it directly.
    let (Ok(lib), Ok(include)) = (env::var("DEP_SODIUM_LIB"), env::var("DEP_SODIUM_INCLUDE")) else {
        eprintln!("libsodium-sys-stable did not say where it put libsodium; unset SODIUM_* variables and build again");
        return ExitCode::FAILURE;
    };
    // Warnings in libzmq's own sources are not ours to mend.
    // SAFETY: a build script with one thread.
    unsafe { env::set_var("CXXFLAGS", format!("{} -w", env::var("CXXFLAGS").unwrap_or_default())) };
    Build::new().with_libsodium(Some(LibLocation::new(lib, include))).build();
    ExitCode::SUCCESS
}
