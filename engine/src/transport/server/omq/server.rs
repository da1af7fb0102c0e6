//! The running I/O thread, as the node has it.

use std::{io, net::SocketAddr, os::fd::OwnedFd, sync::Arc, thread::JoinHandle};

use super::{
    super::context::ServerContext,
    endpoints::InFlight,
    thread::{Io, Pulses},
};
use crate::{
    transport::{
        omq::queue::{Command, Sender},
        peers::OmqPeers,
    },
    watchdog::{Probed, Ward},
};

/// The running I/O thread.
pub struct Omq {
    sender: Sender,
    thread: Option<JoinHandle<()>>,
    in_flight: InFlight,
    pulses: Pulses,
}

impl Omq {
    /// Serves `listener`, a socket that listens on `address`, with `context`; from here on `peers` reaches other nodes.
    ///
    /// # Errors
    /// When the socket cannot be used, or `peers` already belongs to a running thread.
    pub fn start(
        listener: OwnedFd,
        address: SocketAddr,
        peers: &OmqPeers,
        context: Arc<ServerContext>,
        runtime: tokio::runtime::Handle,
    ) -> io::Result<Self> {
        let receiver = peers.receiver.lock().take().ok_or_else(|| io::Error::other("OMQ is already running"))?;
        let sender = peers.sender.clone();
        let in_flight = InFlight::new();
        let readiness = Arc::clone(&context.readiness);
        let handle = runtime.clone();
        let mut io = Io::new(listener, address, receiver, sender.clone(), context, runtime, in_flight.clone())?;
        let pulses = io.pulses();
        if readiness.is_open() {
            io.listen()?;
        } else {
            let sender = sender.clone();
            handle.spawn(async move {
                readiness.opened().await;
                if sender.send(Command::Listen).is_err() {
                    tracing::error!("OMQ stays closed: its queue is full");
                }
            });
        }
        let thread = std::thread::Builder::new().name("allium-omq".to_owned()).spawn(move || io.run())?;
        Ok(Self { sender, thread: Some(thread), in_flight, pulses })
    }

    /// From now on its thread and libzmq's are watched.
    pub fn put_in(&self, ward: &Ward) {
        let Pulses { own, libzmq } = &self.pulses;
        ward.watch(Arc::clone(own));
        ward.watch(Probed::new(Arc::clone(libzmq), Arc::clone(own), "ZMQbg/IO"));
    }

    /// Calls under way by category: its name, how many there are, and may be.
    #[must_use]
    pub fn under_way(&self) -> [(&'static str, usize, usize); 6] {
        self.in_flight.read()
    }

    /// Answers what has been asked and closes every connection.
    pub fn close(mut self) {
        self.stop();
    }

    /// Sends those that ask to a successor, each when it has all its answers, and goes on answering until
    /// [`Self::close`], which then waits until nobody asks any more.
    pub fn leave(&self) {
        if let Some(thread) = &self.thread {
            self.tell(thread, Command::Leave);
        }
    }

    fn tell(&self, thread: &JoinHandle<()>, mut command: Command) {
        while let Err(unsent) = self.sender.send(command) {
            if thread.is_finished() {
                break;
            }
            // The queue is full: the thread is busy emptying it.
            std::thread::yield_now();
            command = unsent;
        }
    }

    fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.tell(&thread, Command::Close);
        if thread.join().is_err() {
            tracing::error!("the OMQ thread has panicked");
        }
    }
}

impl Drop for Omq {
    fn drop(&mut self) {
        self.stop();
    }
}
