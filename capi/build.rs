//! Names the shared library after the version of its interface (`ALLIUM_ABI_VERSION`).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,liballium.so.1");
}
