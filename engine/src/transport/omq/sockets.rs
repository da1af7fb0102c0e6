//! What the sockets of both directions have alike.

use std::io;

use super::zmq::{BytesOption, IntOption, Socket};

/// `spec/transports` §2.1, milliseconds and bytes.
const HEARTBEAT: i32 = 15_000;
const HEARTBEAT_TIMEOUT: i32 = 30_000;
pub(super) const HANDSHAKE: i32 = 10_000;
const MAX_MESSAGE: i64 = 10 * 1024 * 1024;
/// Messages that wait on one connection, in each direction.
const HIGH_WATER: i32 = 4_000;

/// Sets heartbeats, time limits and queues of a socket.
pub(super) fn common(socket: &Socket) -> io::Result<()> {
    socket.set(IntOption::HeartbeatInterval, HEARTBEAT)?;
    socket.set(IntOption::HeartbeatTimeout, HEARTBEAT_TIMEOUT)?;
    socket.set(IntOption::HandshakeInterval, HANDSHAKE)?;
    socket.set(IntOption::SendHighWater, HIGH_WATER)?;
    socket.set(IntOption::ReceiveHighWater, HIGH_WATER)?;
    socket.set_bytes(BytesOption::MaxMessageSize, &MAX_MESSAGE.to_ne_bytes())
}
