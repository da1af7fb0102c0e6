//! The few calls of libzmq that OMQ needs, made safe. Nothing else in the crate touches the C library.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    io,
    mem::MaybeUninit,
    os::fd::RawFd,
    ptr::NonNull,
};

use bytes::Bytes;
// Linked in by build.rs below libzmq; named here so that the linker keeps it.
use libsodium_sys as _;

// Values of `zmq.h` 4.3.
const MAX_SOCKETS: c_int = 2;
const BLOCKY: c_int = 70;
const RCVMORE: c_int = 13;
const FD: c_int = 14;
const DONTWAIT: c_int = 1;
const SNDMORE: c_int = 2;
/// Closed, disconnected, and the three ways in which a handshake fails.
const LOST_EVENTS: c_int = 0x0080 | 0x0200 | 0x0800 | 0x2000 | 0x4000;

/// Kinds of socket.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(crate) enum Kind {
    Pair = 0,
    Rep = 4,
    Dealer = 5,
    Router = 6,
}

/// Socket options with an integer value.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(crate) enum IntOption {
    Linger = 17,
    ReconnectInterval = 18,
    ReconnectIntervalMax = 21,
    SendHighWater = 23,
    ReceiveHighWater = 24,
    RouterMandatory = 33,
    Ipv6 = 42,
    CurveServer = 47,
    RouterHandover = 56,
    HandshakeInterval = 66,
    HeartbeatInterval = 75,
    HeartbeatTimeout = 77,
    ConnectTimeout = 79,
    /// A socket that listens already, and that libzmq will close.
    UseFd = 89,
}

/// Socket options with a value of bytes.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(crate) enum BytesOption {
    RoutingId = 5,
    /// An `i64`, in the machine's order.
    MaxMessageSize = 22,
    CurvePublicKey = 48,
    CurveSecretKey = 49,
    CurveServerKey = 50,
}

#[repr(C, align(8))]
struct RawMessage([u8; 64]);

unsafe extern "C" {
    fn zmq_errno() -> c_int;
    fn zmq_strerror(code: c_int) -> *const c_char;
    fn zmq_ctx_new() -> *mut c_void;
    fn zmq_ctx_set(context: *mut c_void, option: c_int, value: c_int) -> c_int;
    fn zmq_ctx_term(context: *mut c_void) -> c_int;
    fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    fn zmq_close(socket: *mut c_void) -> c_int;
    fn zmq_setsockopt(socket: *mut c_void, option: c_int, value: *const c_void, length: usize) -> c_int;
    fn zmq_getsockopt(socket: *mut c_void, option: c_int, value: *mut c_void, length: *mut usize) -> c_int;
    fn zmq_bind(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_socket_monitor(socket: *mut c_void, endpoint: *const c_char, events: c_int) -> c_int;
    fn zmq_connect(socket: *mut c_void, endpoint: *const c_char) -> c_int;
    fn zmq_send(socket: *mut c_void, bytes: *const c_void, length: usize, flags: c_int) -> c_int;
    fn zmq_msg_init(message: *mut RawMessage) -> c_int;
    fn zmq_msg_init_data(
        message: *mut RawMessage,
        data: *mut c_void,
        size: usize,
        release: unsafe extern "C" fn(*mut c_void, *mut c_void),
        hint: *mut c_void,
    ) -> c_int;
    fn zmq_msg_send(message: *mut RawMessage, socket: *mut c_void, flags: c_int) -> c_int;
    fn zmq_msg_recv(message: *mut RawMessage, socket: *mut c_void, flags: c_int) -> c_int;
    fn zmq_msg_close(message: *mut RawMessage) -> c_int;
    fn zmq_msg_data(message: *mut RawMessage) -> *mut c_void;
    fn zmq_msg_size(message: *const RawMessage) -> usize;
    fn zmq_msg_gets(message: *const RawMessage, property: *const c_char) -> *const c_char;
}

/// What libzmq said of its last call on this thread.
fn last_error() -> io::Error {
    // SAFETY: both calls only read; the text is static and ends with a NUL.
    let code = unsafe { zmq_errno() };
    if code > 156_384_712 {
        // libzmq's own numbers: the system has no text for them.
        // SAFETY: as above.
        let text = unsafe { CStr::from_ptr(zmq_strerror(code)) };
        return io::Error::other(text.to_string_lossy());
    }
    io::Error::from_raw_os_error(code)
}

fn check(result: c_int) -> io::Result<()> {
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

/// A libzmq context. Dropped after every socket of it, it waits for their linger time.
pub(crate) struct Context(NonNull<c_void>);

// SAFETY: a context may be used from any thread (zmq_ctx_new(3)).
unsafe impl Send for Context {}

impl Context {
    pub(crate) fn new(max_sockets: i32) -> io::Result<Self> {
        // SAFETY: no precondition.
        let context = Self(NonNull::new(unsafe { zmq_ctx_new() }).ok_or_else(last_error)?);
        for (option, value) in [(MAX_SOCKETS, max_sockets), (BLOCKY, 0)] {
            // SAFETY: the context is alive.
            check(unsafe { zmq_ctx_set(context.0.as_ptr(), option, value) })?;
        }
        Ok(context)
    }

    pub(crate) fn socket(&self, kind: Kind) -> io::Result<Socket> {
        // SAFETY: the context is alive.
        let socket = unsafe { zmq_socket(self.0.as_ptr(), kind as c_int) };
        Ok(Socket(NonNull::new(socket).ok_or_else(last_error)?))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // Interrupted by a signal, it has to be called again.
        // SAFETY: alive until a call returns 0, never used after.
        while unsafe { zmq_ctx_term(self.0.as_ptr()) } == -1 && last_error().kind() == io::ErrorKind::Interrupted {}
    }
}

/// One frame and what is known of its sender.
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    pub(crate) more: bool,
}

/// Properties of a message.
pub(crate) struct Sender {
    /// What the ZAP handler made of the sender's key: hex.
    pub(crate) user_id: String,
    /// Its IP address, as text.
    pub(crate) address: String,
}

/// A libzmq socket. Not for two threads at once.
pub(crate) struct Socket(NonNull<c_void>);

// SAFETY: a socket may move to another thread with a full fence, which moving an owned value between threads is.
unsafe impl Send for Socket {}

impl Socket {
    pub(crate) fn set(&self, option: IntOption, value: i32) -> io::Result<()> {
        self.set_raw(option as c_int, &value.to_ne_bytes())
    }

    pub(crate) fn set_bytes(&self, option: BytesOption, value: &[u8]) -> io::Result<()> {
        self.set_raw(option as c_int, value)
    }

    fn set_raw(&self, option: c_int, value: &[u8]) -> io::Result<()> {
        // SAFETY: the socket is alive, libzmq copies `value`.
        check(unsafe { zmq_setsockopt(self.0.as_ptr(), option, value.as_ptr().cast(), value.len()) })
    }

    fn get_int(&self, option: c_int) -> io::Result<c_int> {
        let mut value: c_int = 0;
        let mut length = size_of::<c_int>();
        // SAFETY: the socket is alive, `value` has `length` bytes.
        check(unsafe { zmq_getsockopt(self.0.as_ptr(), option, (&raw mut value).cast(), &raw mut length) })?;
        Ok(value)
    }

    /// The descriptor that becomes readable when there may be something to do.
    pub(crate) fn fd(&self) -> io::Result<RawFd> {
        self.get_int(FD)
    }

    pub(crate) fn bind(&self, endpoint: &str) -> io::Result<()> {
        let endpoint = CString::new(endpoint)?;
        // SAFETY: the socket is alive, the text ends with a NUL.
        check(unsafe { zmq_bind(self.0.as_ptr(), endpoint.as_ptr()) })
    }

    pub(crate) fn connect(&self, endpoint: &str) -> io::Result<()> {
        let endpoint = CString::new(endpoint)?;
        // SAFETY: as for `bind`.
        check(unsafe { zmq_connect(self.0.as_ptr(), endpoint.as_ptr()) })
    }

    /// From here on a PAIR socket connected to `endpoint` (inproc) gets a message at each loss: see [`MonitoredSocket`],
    /// which is how to use it.
    pub(crate) fn monitor_losses(&self, endpoint: &str) -> io::Result<()> {
        let endpoint = CString::new(endpoint)?;
        // SAFETY: as for `bind`.
        check(unsafe { zmq_socket_monitor(self.0.as_ptr(), endpoint.as_ptr(), LOST_EVENTS) })
    }

    /// Sends one message of several frames; all or nothing, never waits ([`io::ErrorKind::WouldBlock`]).
    pub(crate) fn send(&self, frames: &[&[u8]]) -> io::Result<()> {
        self.send_parts(frames, &[], 0)
    }

    /// [`Self::send`] of `head` and then `parts`, of which those of `lent` bytes or more are held until they are sent, and
    /// not copied.
    pub(crate) fn send_parts(&self, head: &[&[u8]], parts: &[Bytes], lent: usize) -> io::Result<()> {
        let mut left = head.len() + parts.len();
        let mut flags = || {
            left = left.saturating_sub(1);
            DONTWAIT | if left > 0 { SNDMORE } else { 0 }
        };
        let copied = |frame: &[u8], flags| {
            // SAFETY: the socket is alive, libzmq copies `frame`.
            check(unsafe { zmq_send(self.0.as_ptr(), frame.as_ptr().cast(), frame.len(), flags) })
        };
        for frame in head {
            copied(frame, flags())?;
        }
        for part in parts {
            if part.len() < lent {
                copied(part, flags())?;
            } else {
                let mut message = Message::lending(part.clone())?;
                // SAFETY: socket and message are alive; once sent, the message is empty.
                check(unsafe { zmq_msg_send(message.as_mut(), self.0.as_ptr(), flags()) })?;
            }
        }
        Ok(())
    }

    /// Takes the next frame, if one is there; `sender` is filled when asked for.
    pub(crate) fn receive(&self, sender: Option<&mut Option<Sender>>) -> io::Result<Option<Frame>> {
        let mut message = Message::new();
        // SAFETY: the socket is alive, the message initialised.
        if unsafe { zmq_msg_recv(message.as_mut(), self.0.as_ptr(), DONTWAIT) } == -1 {
            let error = last_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        }
        if let Some(sender) = sender {
            *sender = message.sender();
        }
        Ok(Some(Frame { bytes: message.copy(), more: self.get_int(RCVMORE)? != 0 }))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // SAFETY: alive until here.
        unsafe { zmq_close(self.0.as_ptr()) };
    }
}

/// A socket, and one that gets a message whenever an attempt to connect fails or a connection is lost.
///
/// libzmq's I/O thread, which serves every connection of the context, writes such a message with a lock held, and waits
/// until it can: for ever, where the reader is gone. So the writer is taken away first, under the same lock; an event that
/// is being written then still has its reader, and room (at most one is unread: the first ends the connection).
pub(crate) struct MonitoredSocket {
    socket: Socket,
    losses: Socket,
}

impl MonitoredSocket {
    /// Of a `socket` that is not connected yet; `endpoint` (inproc) belongs to it alone.
    pub(crate) fn new(context: &Context, socket: Socket, endpoint: &str) -> io::Result<Self> {
        let monitored = Self { socket, losses: context.socket(Kind::Pair)? };
        monitored.socket.monitor_losses(endpoint)?;
        monitored.losses.connect(endpoint)?;
        Ok(monitored)
    }

    /// What tells of losses.
    pub(crate) const fn losses(&self) -> &Socket {
        &self.losses
    }
}

impl std::ops::Deref for MonitoredSocket {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl Drop for MonitoredSocket {
    fn drop(&mut self) {
        // SAFETY: the socket is alive; without an endpoint its monitor ends.
        unsafe { zmq_socket_monitor(self.socket.0.as_ptr(), std::ptr::null(), 0) };
    }
}

struct Message(RawMessage);

impl Message {
    fn new() -> Self {
        let mut raw = MaybeUninit::<RawMessage>::uninit();
        // SAFETY: zmq_msg_init fills the 64 bytes it needs and cannot fail.
        unsafe {
            zmq_msg_init(raw.as_mut_ptr());
            Self(raw.assume_init())
        }
    }

    /// Of `bytes`, which are held until libzmq has sent them.
    fn lending(bytes: Bytes) -> io::Result<Self> {
        unsafe extern "C" fn release(_: *mut c_void, hint: *mut c_void) {
            // SAFETY: made of a box below, and released once.
            drop(unsafe { Box::from_raw(hint.cast::<Bytes>()) });
        }
        let (data, length) = (bytes.as_ptr(), bytes.len());
        let hint = Box::into_raw(Box::new(bytes));
        let mut raw = MaybeUninit::<RawMessage>::uninit();
        // SAFETY: the data lives as long as the box, which `release` frees; libzmq does not write to it.
        let made = unsafe { zmq_msg_init_data(raw.as_mut_ptr(), data.cast_mut().cast(), length, release, hint.cast()) };
        if let Err(error) = check(made) {
            // SAFETY: libzmq did not take it.
            drop(unsafe { Box::from_raw(hint) });
            return Err(error);
        }
        // SAFETY: initialised just now.
        Ok(Self(unsafe { raw.assume_init() }))
    }

    const fn as_mut(&mut self) -> *mut RawMessage {
        &raw mut self.0
    }

    fn copy(&mut self) -> Bytes {
        // SAFETY: data and size belong to the initialised message, which lives until the copy is made.
        unsafe {
            let data = zmq_msg_data(&raw mut self.0).cast::<u8>();
            let size = zmq_msg_size(&raw const self.0);
            if size == 0 { Bytes::new() } else { Bytes::copy_from_slice(std::slice::from_raw_parts(data, size)) }
        }
    }

    fn property(&self, name: &CStr) -> Option<String> {
        // SAFETY: the text, if any, lives as long as the message and ends with a NUL.
        let text = unsafe { NonNull::new(zmq_msg_gets(&raw const self.0, name.as_ptr()).cast_mut())?.as_ptr() };
        // SAFETY: as above.
        Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    }

    fn sender(&self) -> Option<Sender> {
        Some(Sender {
            user_id: self.property(c"User-Id")?,
            address: self.property(c"Peer-Address").unwrap_or_default(),
        })
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`.
        unsafe { zmq_msg_close(&raw mut self.0) };
    }
}
