//! The examples in C and C++, and what must be refused: built with the system's compilers against the shared library, run under AddressSanitizer and
//! its search for leaks.

#![allow(clippy::unwrap_used)]

use std::{
    env,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
};

/// Where Cargo puts what it builds with this test.
fn built() -> PathBuf {
    env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// A TCP port, and one that is free for TCP and UDP.
fn free_ports() -> [u16; 2] {
    loop {
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = held.each_ref().map(|listener| listener.local_addr().unwrap().port());
        if UdpSocket::bind(("127.0.0.1", ports[1])).is_ok() {
            return ports;
        }
    }
}

fn build_and_run(compiler: (&str, &str), standard: &str, source: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    let compiler = env::var(compiler.0).unwrap_or_else(|_| compiler.1.to_owned());
    let mut build = Command::new(compiler);
    build.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-fsanitize=address,undefined"]);
    build.arg("-I").arg(here.join("../engine/include")).arg(here.join(source));
    // As a system installs it.
    std::os::unix::fs::symlink(built().join("liballium.so"), directory.path().join("liballium.so.1")).unwrap();
    build
        .arg("-L")
        .arg(built())
        .arg(format!("-Wl,-rpath,{}", directory.path().display()))
        .args(["-lallium", "-pthread"]);
    assert!(build.arg("-o").arg(&program).status().unwrap().success(), "{build:?}");
    let ports = free_ports().map(|port| port.to_string());
    let run = Command::new(&program)
        .arg(directory.path())
        .args(ports)
        .env("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:halt_on_error=1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{}\n{said}{}", run.status, String::from_utf8_lossy(&run.stderr));
    said
}

#[test]
fn a_program_in_c() {
    let said = build_and_run(("CC", "gcc"), "-std=c99", "examples/embed.c");
    assert!(said.ends_with("engine: 2 calls answered, 1 message kept\n"), "{said}");
}

#[test]
fn a_program_in_cpp() {
    let said = build_and_run(("CXX", "g++"), "-std=c++17", "examples/relay.cpp");
    assert!(said.ends_with("relay: 4 requests answered by another thread\n"), "{said}");
}

#[test]
fn what_must_be_refused() {
    let said = build_and_run(("CC", "gcc"), "-std=c99", "tests/refusals.c");
    assert!(said.ends_with(" calls refused\n"), "{said}");
}

#[test]
fn the_header_in_cpp() {
    let said = build_and_run(("CXX", "g++"), "-std=c++17", "tests/refusals.c");
    assert!(said.ends_with(" calls refused\n"), "{said}");
}
