//! The sockets that a node listens on. They outlive it where a successor in the same process takes them over, so that
//! whoever comes in between waits in the kernel's queue.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use socket2::{Domain, Socket, Type};

/// Connections that wait in the kernel's queue, as far as the system allows.
const BACKLOG: i32 = 4096;

/// Sockets of HTTPS, OMQ and QUIC, which listen already.
#[derive(Debug)]
pub struct Listeners {
    https: TcpListener,
    omq: TcpListener,
    quic: UdpSocket,
    inherited: bool,
}

impl Listeners {
    /// Listens anew.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn bind(ip: IpAddr, https_port: u16, omq_port: u16) -> io::Result<Self> {
        Self::take(Vec::new(), ip, https_port, omq_port)
    }

    /// Takes those of `given` that are bound to these addresses, closes the others, and listens anew where none is.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn take(given: Vec<OwnedFd>, ip: IpAddr, https_port: u16, omq_port: u16) -> io::Result<Self> {
        let mut given: Vec<Socket> = given.into_iter().map(Socket::from).collect();
        for socket in &given {
            // They came through an exec, and are not for programs that we start.
            socket.set_cloexec(true)?;
        }
        let wanted =
            [("HTTPS", https_port, Type::STREAM), ("OMQ", omq_port, Type::STREAM), ("QUIC", omq_port, Type::DGRAM)];
        let mut inherited = true;
        let sockets = wanted.map(|(what, port, kind)| {
            let address = SocketAddr::new(ip, port);
            let of_us = |socket: &Socket| {
                socket.r#type().is_ok_and(|found| found == kind)
                    && socket.local_addr().is_ok_and(|found| found.as_socket() == Some(address))
            };
            let found = given.iter().position(of_us).map(|index| given.swap_remove(index));
            inherited &= found.is_some();
            found.map_or_else(|| listen(address, kind), |socket| ready(socket, kind)).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address} for {what}: {error}"))
            })
        });
        let [https, omq, quic] = sockets;
        Ok(Self { https: https?.into(), omq: omq?.into(), quic: quic?.into(), inherited })
    }

    /// Whether all of them were there before: then somebody may be waiting.
    #[must_use]
    pub const fn are_inherited(&self) -> bool {
        self.inherited
    }

    pub(crate) fn https(&self) -> io::Result<TcpListener> {
        self.https.try_clone()
    }

    pub(crate) fn omq(&self) -> io::Result<OwnedFd> {
        self.omq.as_fd().try_clone_to_owned()
    }

    /// From now on the kernel does not answer who connects over OMQ, until a successor takes the socket: they knock again
    /// after a second. libzmq itself can stop listening only together with the connections that it has.
    pub(crate) fn hush_omq(&self) -> io::Result<()> {
        hush(&self.omq)
    }

    pub(crate) fn quic(&self) -> io::Result<UdpSocket> {
        self.quic.try_clone()
    }
}

impl From<Listeners> for Vec<OwnedFd> {
    fn from(Listeners { https, omq, quic, .. }: Listeners) -> Self {
        vec![https.into(), omq.into(), quic.into()]
    }
}

fn listen(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        // IPv4 too, whatever the system's default is.
        socket.set_only_v6(false)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    ready(socket, kind)
}

fn ready(socket: Socket, kind: Type) -> io::Result<Socket> {
    socket.set_nonblocking(true)?;
    if kind == Type::STREAM {
        socket.listen(BACKLOG)?;
        unhush(&socket);
    }
    Ok(socket)
}

/// Lets nothing through that is for the listening socket itself: newcomers, not connections.
fn hush(socket: &impl AsRawFd) -> io::Result<()> {
    // The whole program: keep 0 bytes.
    let mut nothing = libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut nothing };
    let length = size_of_val(&program) as libc::socklen_t;
    // SAFETY: the kernel copies the program, which lives over the call.
    let done = unsafe {
        let (level, option) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const program).cast(), length)
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Undoes [`hush`], if a predecessor has done it.
fn unhush(socket: &impl AsRawFd) {
    let unused = 0_i32;
    let length = size_of_val(&unused) as libc::socklen_t;
    // SAFETY: the value is not looked at, and lives over the call. It fails when there is no filter.
    unsafe {
        let (level, option) = (libc::SOL_SOCKET, libc::SO_DETACH_FILTER);
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const unused).cast(), length);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::ErrorKind, net::Ipv4Addr};

    use super::*;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn ports() -> (u16, u16) {
        let free = || TcpListener::bind((IP, 0)).unwrap();
        let (a, b) = (free(), free());
        (a.local_addr().unwrap().port(), b.local_addr().unwrap().port())
    }

    #[test]
    fn who_knocked_before_is_there_for_the_successor() {
        let (https_port, omq_port) = ports();
        let first = Listeners::bind(IP, https_port, omq_port).unwrap();
        assert!(!first.are_inherited());
        let taken = Listeners::bind(IP, https_port, omq_port).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        assert!(taken.to_string().contains("for HTTPS"), "{taken}");
        let knocks = std::net::TcpStream::connect((IP, https_port)).unwrap();
        let mut handed: Vec<OwnedFd> = first.into();
        handed.reverse();
        let second = Listeners::take(handed, IP, https_port, omq_port).unwrap();
        assert!(second.are_inherited());
        let (_, from) = second.https().unwrap().accept().unwrap();
        assert_eq!(from, knocks.local_addr().unwrap());
    }

    #[test]
    fn who_knocks_on_a_hushed_socket_is_answered_by_the_successor() {
        let (https_port, omq_port) = ports();
        let first = Listeners::bind(IP, https_port, omq_port).unwrap();
        first.hush_omq().unwrap();
        let address = SocketAddr::new(IP, omq_port);
        let short = std::time::Duration::from_millis(200);
        let unanswered = std::net::TcpStream::connect_timeout(&address, short).unwrap_err();
        assert_eq!(unanswered.kind(), ErrorKind::TimedOut);
        let knocking = std::thread::spawn(move || std::net::TcpStream::connect(address).unwrap());
        let second = Listeners::take(first.into(), IP, https_port, omq_port).unwrap();
        knocking.join().unwrap();
        TcpListener::from(second.omq().unwrap()).accept().unwrap();
    }

    #[test]
    fn what_is_of_another_address_is_closed() {
        let (https_port, omq_port) = ports();
        let first = Listeners::bind(IP, https_port, omq_port).unwrap();
        let (other, _) = ports();
        let second = Listeners::take(first.into(), IP, other, omq_port).unwrap();
        assert!(!second.are_inherited());
        assert_eq!(second.https().unwrap().local_addr().unwrap().port(), other);
        assert!(std::net::TcpStream::connect((IP, https_port)).is_err());
    }
}
