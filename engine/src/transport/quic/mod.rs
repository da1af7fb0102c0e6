//! QUIC (`spec/transports` §3), for clients and between nodes: request streams over connections whose ends are named by
//! Ed25519 keys.
//!
//! Here is what both directions of it have alike, a client for tests of both, and streams of bytes for other protocols.

mod bytes;
pub(super) mod client;
pub(super) mod config;
mod error;
pub mod frame;
pub(super) mod stores;
pub(super) mod stream;
pub(super) mod tls;

pub use bytes::{ByteConnection, ByteLimits, ByteListener, ByteStream, StreamError};
pub use client::QuicClient;
pub use config::{ALPN, ALPN_NODES, SOCKET_BUFFER, client_endpoint};
pub use error::QuicError;

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Duration};

    use quinn::ConnectionIdGenerator;

    use super::{config::*, *};
    use crate::crypto::Ed25519Secret;

    type Names<'a> = &'a [&'a [u8]];

    /// What both ends of a connection say of it.
    async fn agreed(offered: Names<'_>, accepted: Names<'_>) -> Option<(Protocol, Protocol)> {
        let [ours, theirs] = [1, 2].map(|seed| Ed25519Secret::from_seed(&[seed; 32]));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let server = endpoint(socket, accepted, &theirs).unwrap();
        let client = client_endpoint("127.0.0.1:0".parse().unwrap()).unwrap();
        let limit = Duration::from_secs(30);
        let (there, here) = tokio::join!(
            async { server.accept().await.unwrap().await.ok() },
            client::connect(&client, address, theirs.public(), &ours, offered, limit),
        );
        Some((Protocol::of(&here.ok()?), Protocol::of(&there?)))
    }

    /// With what the system gives by itself, 64 clients that come at once lose datagrams.
    #[tokio::test]
    async fn sockets_have_room_for_a_burst() {
        let Ok(most) = std::fs::read_to_string("/proc/sys/net/core/rmem_max") else { return };
        let most: usize = most.trim().parse().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let seen = socket2::Socket::from(socket.try_clone().unwrap());
        let own = Ed25519Secret::from_seed(&[1; 32]);
        let _server = endpoint(socket, ACCEPTED, &own).unwrap();
        // The kernel doubles what it is asked for.
        assert_eq!(seen.recv_buffer_size().unwrap(), 2 * most.min(SOCKET_BUFFER));
    }

    /// Whoever knows only what the reference has is met in that.
    #[tokio::test]
    async fn nodes_of_allium_know_each_other_by_their_protocol() {
        let standard: Names<'_> = &[ALPN, ALPN_NODES];
        let before: Names<'_> = &[ALPN_ALLIUM_1, ALPN_NODES, ALPN];
        let old = Protocol::Allium { stores: false };
        let cases: [(Names<'_>, Names<'_>, Option<Protocol>); 7] = [
            (BETWEEN_NODES, ACCEPTED, Some(Protocol::Allium { stores: true })),
            // One of ours from before `stores`, at either end.
            (BETWEEN_NODES, before, Some(old)),
            (&[ALPN_ALLIUM_1, ALPN_NODES], ACCEPTED, Some(old)),
            (BETWEEN_NODES, standard, Some(Protocol::Nodes)),
            (&[ALPN_NODES], ACCEPTED, Some(Protocol::Nodes)),
            (&[ALPN], ACCEPTED, Some(Protocol::Clients)),
            // One of before 2.12.
            (BETWEEN_NODES, &[ALPN], None),
        ];
        for (offered, accepted, protocol) in cases {
            assert_eq!(agreed(offered, accepted).await, protocol.map(|protocol| (protocol, protocol)));
        }
    }

    /// A node that was asked for proof of an address starts anew before it is shown.
    #[tokio::test]
    async fn a_successor_knows_the_tokens_of_the_one_before() {
        let [ours, theirs] = [1, 2].map(|seed| Ed25519Secret::from_seed(&[seed; 32]));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let successor = socket.try_clone().unwrap();
        let server = async {
            let before = endpoint(socket, ACCEPTED, &theirs).unwrap();
            before.accept().await.unwrap().retry().unwrap();
            drop(before);
            let after = endpoint(successor, ACCEPTED, &theirs).unwrap();
            let incoming = after.accept().await.unwrap();
            let proven = incoming.remote_address_validated();
            (proven, incoming.await.is_ok())
        };
        let client = client_endpoint("127.0.0.1:0".parse().unwrap()).unwrap();
        let limit = Duration::from_secs(30);
        let (there, here) =
            tokio::join!(server, client::connect(&client, address, theirs.public(), &ours, &[ALPN], limit));
        assert_eq!((there, here.is_ok()), ((true, true), true));
    }

    /// A process that was killed says nothing. Who holds a connection to it learns from the next one that it is no more.
    #[tokio::test]
    async fn a_successor_resets_the_connections_of_the_one_before() {
        let [ours, theirs] = [1, 2].map(|seed| Ed25519Secret::from_seed(&[seed; 32]));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let successor = socket.try_clone().unwrap();
        let before = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        before.spawn(async move {
            let theirs = Ed25519Secret::from_seed(&[2; 32]);
            let endpoint = endpoint(socket, ACCEPTED, &theirs).unwrap();
            let _connection = endpoint.accept().await.unwrap().await.unwrap();
            std::future::pending::<()>().await;
        });
        let client = client_endpoint("127.0.0.1:0".parse().unwrap()).unwrap();
        let limit = Duration::from_secs(30);
        let connection = client::connect(&client, address, theirs.public(), &ours, &[ALPN], limit).await.unwrap();
        // Gone without a word.
        tokio::task::spawn_blocking(move || before.shutdown_timeout(limit)).await.unwrap();
        let _after = endpoint(successor, ACCEPTED, &theirs).unwrap();
        connection.open_bi().await.unwrap().0.write_all(b"who is there?").await.unwrap();
        assert_eq!(connection.closed().await, quinn::ConnectionError::Reset);
    }

    /// As many as all connections of a large node have.
    #[test]
    fn no_two_connection_ids_are_alike() {
        let ids: std::collections::HashSet<Vec<u8>> = (0..50_000).map(|_| RandomIds.generate_cid().to_vec()).collect();
        assert_eq!(ids.len(), 50_000);
    }
}
