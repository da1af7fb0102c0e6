//! Waiting on many descriptors and on a wake-up from other threads.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened by the kernel for us and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Level-triggered readiness of descriptors, each under a number.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no precondition.
        owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Self)
    }

    pub(crate) fn add(&self, fd: RawFd, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: number };
        // SAFETY: `event` lives over the call.
        let result = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) fn remove(&self, fd: RawFd) {
        // SAFETY: the event is not read for a removal. A descriptor that is gone needs none.
        unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    /// Appends the numbers of what is ready to `ready`, waiting at most `timeout` for the first.
    pub(crate) fn wait(&self, ready: &mut Vec<u64>, timeout: Duration) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: `events` has the 64 places named.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 64, timeout) };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        };
        ready.extend(events[..count].iter().map(|event| event.u64));
        Ok(())
    }
}

/// Wakes the thread that waits: one system call however many wake it.
#[derive(Clone)]
pub(crate) struct Waker {
    event: Arc<OwnedFd>,
    woken: Arc<AtomicBool>,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no precondition.
        let event = owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        Ok(Self { event: Arc::new(event), woken: Arc::default() })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Called after the work was queued.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            let one = 1_u64.to_ne_bytes();
            // SAFETY: eight bytes, as eventfd(2) wants. It cannot fill up: at most one write per reset.
            unsafe { libc::write(self.fd(), one.as_ptr().cast(), one.len()) };
        }
    }

    /// Called by the waiting thread before it looks at what was queued.
    pub(crate) fn reset(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: eight bytes of room.
        unsafe { libc::read(self.fd(), count.as_mut_ptr().cast(), count.len()) };
        // An exchange, not a store: it sees all that was queued before any wake-up it swallows.
        self.woken.swap(false, Ordering::AcqRel);
    }
}
