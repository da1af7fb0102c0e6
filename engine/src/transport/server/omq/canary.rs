//! Whether libzmq's own thread goes on: a message that has to go through it comes back.
//!
//! That thread makes every connection and carries every byte of the context, blocks all signals and tells nobody of itself.

use std::{io, sync::Arc};

use crate::{
    transport::omq::zmq::{Context, IntOption, Kind, Socket},
    watchdog::{Heart, Pulse},
};

/// Two sockets of one context, connected by the operating system.
pub(super) struct Canary {
    sender: Socket,
    receiver: Socket,
    heart: Heart,
    /// Whether a message is on its way.
    flies: bool,
}

impl Canary {
    /// `pulse` beats with every message that arrives.
    pub(super) fn new(context: &Context, pulse: &Arc<Pulse>) -> io::Result<Self> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        // In the abstract namespace: no file. A PAIR takes one other and no more.
        let address = format!("ipc://@allium-canary-{}", hex::encode(secret));
        let (sender, receiver) = (context.socket(Kind::Pair)?, context.socket(Kind::Pair)?);
        for socket in [&sender, &receiver] {
            socket.set(IntOption::Linger, 0)?;
        }
        receiver.bind(&address)?;
        sender.connect(&address)?;
        let heart = pulse.begin();
        heart.beat();
        Ok(Self { sender, receiver, heart, flies: false })
    }

    /// Looks whether the message has arrived, and sends the next; from time to time.
    pub(super) fn look(&mut self) -> io::Result<()> {
        while self.receiver.receive(None)?.is_some() {
            self.heart.beat();
            self.flies = false;
        }
        if !self.flies {
            self.sender.send(&[b""])?;
            self.flies = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        time::{Duration, Instant},
    };

    use super::*;

    /// Whether it comes back within two seconds.
    fn lives(canary: &mut Canary) -> bool {
        let deadline = Instant::now() + Duration::from_secs(2);
        canary.look().unwrap();
        while canary.flies && Instant::now() < deadline {
            std::thread::yield_now();
            if canary.receiver.receive(None).unwrap().is_some() {
                canary.flies = false;
            }
        }
        !canary.flies
    }

    #[test]
    fn it_does_not_come_back_from_a_thread_that_waits_for_the_reader_of_a_monitor() {
        let context = Context::new(16).unwrap();
        let mut canary = Canary::new(&context, &Pulse::new("libzmq")).unwrap();
        assert!(lives(&mut canary) && lives(&mut canary));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = context.socket(Kind::Dealer).unwrap();
        socket.monitor_losses("inproc://losses").unwrap();
        let monitor = context.socket(Kind::Pair).unwrap();
        monitor.connect("inproc://losses").unwrap();
        socket.connect(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
        let (connection, _) = listener.accept().unwrap();
        drop(monitor);
        drop(connection);
        drop(listener);
        let deadline = Instant::now() + Duration::from_secs(20);
        while lives(&mut canary) {
            assert!(Instant::now() < deadline, "nothing was lost");
        }
        // A context whose thread hangs cannot be ended.
        std::mem::forget((canary, socket, context));
    }
}
