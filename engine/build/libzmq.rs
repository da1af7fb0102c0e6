//! Builds libzmq with CURVE on top of the libsodium that `libsodium-sys-stable` built, and with [`CHANGES`]: what a server
//! that strangers connect to needs and libzmq has no option for.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use zeromq_src::{Build, LibLocation};

/// A source file, what stands in it once, and what stands there instead.
type Change = (&'static str, &'static str, &'static str);

const CHANGES: &[Change] = &[
    // A ROUTER hands a routing id to whoever connects with it last. Behind the key that CURVE has proven (which our ZAP
    // handler makes the user id), nobody takes another's; and ids that libzmq gives cannot be claimed.
    (
        "mechanism.cpp",
        "    const int rc = msg_->init_size (_routing_id.size ());
    errno_assert (rc == 0);
    memcpy (msg_->data (), _routing_id.data (), _routing_id.size ());",
        "    const size_t proven = _routing_id.size () == 0 ? 0 : _user_id.size ();
    const int rc = msg_->init_size (proven + _routing_id.size ());
    errno_assert (rc == 0);
    unsigned char *const id = static_cast<unsigned char *> (msg_->data ());
    if (proven != 0)
        memcpy (id, _user_id.data (), proven);
    if (_routing_id.size () != 0)
        memcpy (id + proven, _routing_id.data (), _routing_id.size ());",
    ),
    // What a handshake may say, and the server keeps for as long as the connection stands: a routing id of at most 255
    // bytes, and the kind of socket.
    (
        "mechanism.cpp",
        "    size_t bytes_left = length_;\n\n    while (bytes_left > 1) {",
        "    size_t bytes_left = length_;\n    if (length_ > 1024) {\n        errno = EPROTO;\n        return -1;\n    }\n\n    while (bytes_left > 1) {",
    ),
    // Frames of one message are kept until its last one comes; libzmq bounds each, and not all together.
    (
        "curve_mechanism_base.cpp",
        "#include \"session_base.hpp\"\n",
        "#include \"session_base.hpp\"\n#include <map>\n#include <mutex>\n\nnamespace
{
// Bytes of the messages that are not complete, by connection.
std::map<const void *, size_t> unfinished;
std::mutex unfinished_sync;
const size_t largest_message = 24 << 20;
const size_t cost_of_frame = 128;

bool fits (const void *connection_, size_t bytes_, bool more_)
{
    const std::lock_guard<std::mutex> lock (unfinished_sync);
    const std::map<const void *, size_t>::iterator found =
      unfinished.find (connection_);
    const size_t before = found == unfinished.end () ? 0 : found->second;
    const size_t sum = before + bytes_ + cost_of_frame;
    if (more_ && sum <= largest_message)
        unfinished[connection_] = sum;
    else if (found != unfinished.end ())
        unfinished.erase (found);
    return sum <= largest_message;
}

// A message of this size is counted until it is written.
const size_t large = 16 << 10;

void release (void *data_, void *hint_)
{
    free (data_);
    zmq::msg_t *const source = static_cast<zmq::msg_t *> (hint_);
    source->close ();
    delete source;
}

// Makes a message of so many bytes; one that goes together with the source
// that it is given, if there is to be one.
int seal (zmq::msg_t *message_, size_t size_, zmq::msg_t **source_)
{
    if (!source_)
        return message_->init_size (size_);
    void *const data = malloc (size_);
    if (!data)
        return -1;
    *source_ = new zmq::msg_t;
    (*source_)->init ();
    return message_->init_data (data, size_, release, *source_);
}

void forget (const void *connection_)
{
    const std::lock_guard<std::mutex> lock (unfinished_sync);
    unfinished.erase (connection_);
}
}
",
    ),
    (
        "curve_mechanism_base.cpp",
        "      encode_nonce_prefix_, decode_nonce_prefix_, downgrade_sub_)\n{\n}",
        "      encode_nonce_prefix_, decode_nonce_prefix_, downgrade_sub_)\n{\n    forget (this);\n}",
    ),
    (
        "curve_mechanism_base.cpp",
        "    rc = curve_encoding_t::decode (msg_, &error_event_code);\n",
        "    rc = curve_encoding_t::decode (msg_, &error_event_code);\n    if (rc == 0\n        && !fits (this, msg_->size (), (msg_->flags () & msg_t::more) != 0)) {\n        errno = EMSGSIZE;\n        return -1;\n    }\n",
    ),
    // What is sent is sealed where it is sent from, in place of two copies; and what it was made of, whose memory is
    // counted, is let go of when all of it is written, and not when it is sealed.
    (
        "curve_mechanism_base.cpp",
        "    const size_t mlen = flags_len + sub_cancel_len + msg_->size ();
    std::vector<uint8_t> message_plaintext (mlen);
",
        "    const size_t mlen = flags_len + sub_cancel_len + msg_->size ();
    msg_t msg_box;
    msg_t *source = NULL;
    int rc = seal (&msg_box, message_header_len + mlen + crypto_box_MACBYTES,
                   msg_->size () >= large ? &source : NULL);
    zmq_assert (rc == 0);
    uint8_t *const message_plaintext =
      static_cast<uint8_t *> (msg_box.data ()) + message_header_len
      + crypto_box_MACBYTES;
",
    ),
    (
        "curve_mechanism_base.cpp",
        "    msg_t msg_box;
    int rc =
      msg_box.init_size (message_header_len + mlen + crypto_box_MACBYTES);
    zmq_assert (rc == 0);

    rc = crypto_box_easy_afternm (",
        "    rc = crypto_box_easy_afternm (",
    ),
    (
        "curve_mechanism_base.cpp",
        "    msg_->move (msg_box);

    uint8_t *const message = static_cast<uint8_t *> (msg_->data ());
#else",
        "    if (source)
        source->move (*msg_);
    msg_->move (msg_box);

    uint8_t *const message = static_cast<uint8_t *> (msg_->data ());
#else",
    ),
    // Connections are counted by address, as those of the other transports are (src/transport/server/omq/doors.rs).
    (
        "tcp_listener.cpp",
        "    make_socket_noninheritable (sock);\n",
        "    make_socket_noninheritable (sock);\n\n    if (!allium_omq_accepts (_s, sock)) {\n        ::close (sock);\n        errno = EAGAIN;\n        return retired_fd;\n    }\n",
    ),
    (
        "tcp_listener.cpp",
        "#include \"tcp_listener.hpp\"\n",
        "#include \"tcp_listener.hpp\"\nextern \"C\" int allium_omq_accepts (int listener_, int connection_);\n",
    ),
    (
        "stream_engine_base.cpp",
        "        int rc = close (_s);\n",
        "        allium_omq_closes (_s);\n        int rc = close (_s);\n",
    ),
    (
        "stream_engine_base.cpp",
        "#include \"stream_engine_base.hpp\"\n",
        "#include \"stream_engine_base.hpp\"\nextern \"C\" void allium_omq_closes (int connection_);\n",
    ),
];

/// As `zeromq-src` defines them for Linux, and the functions of libsodium that seal in place.
const DEFINES: [&str; 14] = [
    "ZMQ_HAVE_CRYPTO_BOX_EASY_FNS",
    "ZMQ_HAVE_STRUCT_SOCKADDR_UN",
    "ZMQ_USE_BUILTIN_SHA1",
    "HAVE_STRNLEN",
    "ZMQ_USE_CV_IMPL_STL11",
    "ZMQ_STATIC",
    "ZMQ_HAVE_WS",
    "ZMQ_USE_LIBSODIUM",
    "ZMQ_HAVE_CURVE",
    "ZMQ_HAVE_LINUX",
    "ZMQ_IOTHREAD_POLLER_USE_EPOLL",
    "ZMQ_POLL_BASED_ON_POLL",
    "ZMQ_HAVE_IPC",
    "ZMQ_HAVE_UIO",
];

/// Builds and links it.
pub(crate) fn build(lib: &str, include: &str) -> Result<(), String> {
    // Warnings in libzmq's own sources are not ours to mend.
    // SAFETY: a build script with one thread.
    unsafe { env::set_var("CXXFLAGS", format!("{} -w", env::var("CXXFLAGS").unwrap_or_default())) };
    Build::new().with_libsodium(Some(LibLocation::new(lib, include))).build();
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let (sources, changed) = (out.join("source/src"), out.join("changed"));
    fs::create_dir_all(&changed).map_err(|error| error.to_string())?;
    let mut build = cc::Build::new();
    build.cpp(true).std("c++11").out_dir(out.join("changed-objects"));
    build.includes([sources.clone(), out.join("source/include"), out.clone(), include.into()]);
    for name in DEFINES {
        build.define(name, "1");
    }
    let mut files: Vec<&str> = CHANGES.iter().map(|(file, _, _)| *file).collect();
    files.sort_unstable();
    files.dedup();
    for file in &files {
        let mut text = fs::read_to_string(sources.join(file)).map_err(|error| format!("{file}: {error}"))?;
        for (_, before, after) in CHANGES.iter().filter(|(of, _, _)| of == file) {
            if text.matches(before).count() != 1 {
                return Err(format!("{file} of libzmq is not the one that was changed; look for {before:?}"));
            }
            text = text.replacen(before, after, 1);
        }
        let path = changed.join(file);
        fs::write(&path, text).map_err(|error| error.to_string())?;
        build.file(path);
    }
    let objects = build.try_compile_intermediates().map_err(|error| error.to_string())?;
    replace(&build, &out.join("lib/libzmq.a"), &files, &objects)
}

/// Puts `objects` in the place of what the archive has of `files`.
fn replace(build: &cc::Build, archive: &Path, files: &[&str], objects: &[PathBuf]) -> Result<(), String> {
    let run = |arguments: &[&str], rest: &[String]| -> Result<String, String> {
        let mut archiver = build.try_get_archiver().map_err(|error| error.to_string())?;
        let done = archiver.args(arguments).arg(archive).args(rest).output().map_err(|error| error.to_string())?;
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if done.status.success() { Ok(said(&done.stdout)) } else { Err(said(&done.stderr)) }
    };
    let is_of = |member: &str, file: &str| {
        let stem = file.trim_end_matches(".cpp");
        member.strip_suffix(".o").is_some_and(|member| member == stem || member.ends_with(&format!("-{stem}")))
    };
    let members = run(&["t"], &[])?;
    let old: Vec<String> =
        members.lines().filter(|member| files.iter().any(|file| is_of(member, file))).map(ToOwned::to_owned).collect();
    if old.len() != files.len() {
        return Err(format!("libzmq has {old:?} of {files:?}"));
    }
    run(&["d"], &old)?;
    let new: Vec<String> = objects.iter().map(|object| object.display().to_string()).collect();
    run(&["rs"], &new).map(drop)
}
