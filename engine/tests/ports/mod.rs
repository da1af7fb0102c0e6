//! Ports for nodes.

use std::net::{TcpListener, UdpSocket};

/// A TCP port, and one that is free for TCP and UDP.
pub(crate) fn free_ports() -> (u16, u16) {
    loop {
        let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [https, omq] = held.each_ref().map(|listener| listener.local_addr().unwrap().port());
        if UdpSocket::bind(("127.0.0.1", omq)).is_ok() {
            return (https, omq);
        }
    }
}
