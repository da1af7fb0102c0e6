//! The header that programs are compiled with is the one that the code makes. `make header` writes it anew.

#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).unwrap();
    let mut made = Vec::new();
    cbindgen::Builder::new().with_crate(here).with_config(config).generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let header = here.join("../engine/include/allium.h");
    if std::env::var_os("ALLIUM_WRITE_HEADER").is_some() {
        std::fs::create_dir_all(header.parent().unwrap()).unwrap();
        std::fs::write(&header, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&header).unwrap();
    assert!(kept == made, "engine/include/allium.h is not what capi/src makes of it; run `make header`");
}
