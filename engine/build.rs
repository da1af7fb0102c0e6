//! Builds libzmq, and compiles the vector code of curve25519 for the processors that it is for.

#[path = "build/libzmq.rs"]
mod libzmq;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/libzmq.rs");
    // Set by libsodium-sys-stable's build script for those that depend on it directly.
    let (Ok(lib), Ok(include)) = (env::var("DEP_SODIUM_LIB"), env::var("DEP_SODIUM_INCLUDE")) else {
        eprintln!("libsodium-sys-stable did not say where it put libsodium; unset SODIUM_* variables and build again");
        return ExitCode::FAILURE;
    };
    if let Err(error) = libzmq::build(&lib, &include) {
        eprintln!("libzmq could not be built: {error}");
        return ExitCode::FAILURE;
    }
    match vectors() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the vector code of curve25519 could not be compiled: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The code in `KERNEL`, for one kind of processor each. Cargo has no way to compile a part of a crate for another
/// processor than the rest: `#[target_feature]` allows the instructions, but they are still scheduled for any processor,
/// which halves the speed of a ladder.
fn vectors() -> Result<(), String> {
    const KERNEL: &str = "src/crypto/curve25519/kernel";
    println!("cargo:rerun-if-changed={KERNEL}");
    println!("cargo:rustc-check-cfg=cfg(allium_vectors)");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64") {
        return Ok(());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let source = Path::new(KERNEL).join("object.rs");
    let mut archive = cc::Build::new();
    // The first generations with AVX-512 IFMA, with AVX-512, and with AVX2.
    for (name, processor) in [("ifma", "icelake-server"), ("avx512", "skylake-avx512"), ("avx2", "haswell")] {
        let object = out.join(name).with_extension("o");
        let mut rustc = Command::new(env::var_os("RUSTC").ok_or("no RUSTC")?);
        rustc.args(["--edition=2024", "--crate-type=lib", "-Copt-level=3"]);
        rustc.args([&format!("--cfg=allium_{name}"), "--check-cfg=cfg(allium_ifma, allium_avx512, allium_avx2)"]);
        rustc.args(["-Ccodegen-units=1", "-Cpanic=abort", "-Crelocation-model=pic"]);
        // With them, functions align what they keep of vectors on the stack.
        rustc.arg("-Cforce-frame-pointers=yes");
        rustc.arg(format!("--crate-name=allium_{name}")).arg(format!("-Ctarget-cpu={processor}"));
        rustc.arg("--target").arg(env::var_os("TARGET").ok_or("no TARGET")?);
        rustc.arg("--emit").arg(format!("obj={}", object.display())).arg(&source);
        let status = rustc.status().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("{rustc:?}: {status}"));
        }
        archive.object(object);
    }
    archive.try_compile("allium_curve25519").map_err(|error| error.to_string())?;
    println!("cargo:rustc-cfg=allium_vectors");
    Ok(())
}
