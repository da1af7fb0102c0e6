//! What the sockets of both directions have alike.

use std::io;

use bytes::Bytes;

use super::zmq::{BytesOption, IntOption, Sender, Socket};

/// `spec/transports` §2.1, milliseconds and bytes.
const HEARTBEAT: i32 = 15_000;
const HEARTBEAT_TIMEOUT: i32 = 30_000;
pub(crate) const HANDSHAKE: i32 = 10_000;
const MAX_MESSAGE: i64 = 10 * 1024 * 1024;
/// Messages that wait on one connection, in each direction.
const HIGH_WATER: i32 = 4_000;
/// More frames than any command has; what is beyond is not kept.
const MAX_FRAMES: usize = 64;

/// Parts of at least so many bytes are counted, and lent to libzmq rather than copied; smaller ones are bounded by how many
/// messages wait on a connection. Copying is cheaper, so that nodes, which are few, are lent only what is large.
pub(crate) const LENT: usize = 256;
pub(crate) const LENT_TO_NODES: usize = 1024;
/// What is sent is held as it is and sealed.
pub(crate) const COPIES: usize = 2;

/// Sets heartbeats, time limits and queues of a socket.
pub(crate) fn common(socket: &Socket) -> io::Result<()> {
    socket.set(IntOption::HeartbeatInterval, HEARTBEAT)?;
    socket.set(IntOption::HeartbeatTimeout, HEARTBEAT_TIMEOUT)?;
    socket.set(IntOption::HandshakeInterval, HANDSHAKE)?;
    socket.set(IntOption::SendHighWater, HIGH_WATER)?;
    socket.set(IntOption::ReceiveHighWater, HIGH_WATER)?;
    socket.set_bytes(BytesOption::MaxMessageSize, &MAX_MESSAGE.to_ne_bytes())
}

/// Frames, and who sent them when that was asked for.
type Received = (Vec<Bytes>, Option<Sender>);

/// The next whole message; its sender's key and address when asked for.
pub(crate) fn receive(socket: &Socket, with_sender: bool) -> io::Result<Option<Received>> {
    let mut sender = None;
    let Some(first) = socket.receive(None)? else { return Ok(None) };
    let mut more = first.more;
    let mut frames = vec![first.bytes];
    while more {
        // The rest of a message is there when its first frame is.
        let wanted = (with_sender && frames.len() == 1).then_some(&mut sender);
        let Some(frame) = socket.receive(wanted)? else { break };
        more = frame.more;
        if frames.len() < MAX_FRAMES {
            frames.push(frame.bytes);
        }
    }
    Ok(Some((frames, sender)))
}
