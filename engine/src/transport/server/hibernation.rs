//! Hibernation: a connection that says nothing keeps its TLS session and gives back what HTTP needs to read and write, which
//! is twice as large. It has that again when something comes.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How often a connection is looked at; it hibernates when nothing has come or gone from one time to the next.
const LOOK: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_millis(500) };

/// All that came is answered, as far as the stream knows.
const ANSWERED: u8 = 0;
/// Something has come since the last answer.
const ASKED: u8 = 1;
/// Written, and not flushed.
const ANSWERING: u8 = 2;
/// Nothing more is said: what still comes is no request.
const ENDING: u8 = 3;

/// What happens on a connection. One task sees and changes it.
#[derive(Debug, Default)]
pub(super) struct Activity {
    last: AtomicU8,
    /// Times that something came or went: who has just been answered may be about to be closed.
    moves: AtomicUsize,
    /// Requests under way.
    requests: AtomicUsize,
}

impl Activity {
    /// A request is under way for as long as this is kept.
    pub(super) fn request(self: &Arc<Self>) -> UnderWay {
        self.requests.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Waits until nothing is under way and nothing has come or gone for a while.
    pub(super) async fn silence(&self) {
        let mut seen = self.moves.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(LOOK).await;
            if self.is_silent(&mut seen) {
                return;
            }
        }
    }

    /// Whether nothing is under way, and nothing came or went since there were `seen` moves; how many there are now.
    fn is_silent(&self, seen: &mut usize) -> bool {
        let moves = self.moves.load(Ordering::Relaxed);
        let before = std::mem::replace(seen, moves);
        let answered = self.last.load(Ordering::Relaxed) == ANSWERED;
        answered && moves == before && self.requests.load(Ordering::Relaxed) == 0
    }

    fn moved(&self, last: u8) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.last.store(last, Ordering::Relaxed);
    }
}

/// A request that has no answer yet.
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose activity is seen.
pub(super) struct Observed<S> {
    stream: S,
    /// What was read before, and comes first.
    first: Bytes,
    activity: Arc<Activity>,
}

impl<S> Observed<S> {
    pub(super) fn new(stream: S, first: Bytes, activity: Arc<Activity>) -> Self {
        if !first.is_empty() {
            activity.last.store(ASKED, Ordering::Relaxed);
        }
        Self { stream, first, activity }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.first.is_empty() {
            std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let some = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first[..some]);
            self.first.advance(some);
        }
        if buf.filled().len() > before {
            self.activity.moved(ASKED);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.moved(ANSWERING);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.moved(ANSWERING);
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let (answering, answered) = (ANSWERING, ANSWERED);
        let _ = self.activity.last.compare_exchange(answering, answered, Ordering::Relaxed, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.moved(ENDING);
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Whether it goes on, should nothing more happen.
    async fn stays_awake(activity: &Activity) -> bool {
        tokio::time::timeout(LOOK * 4, activity.silence()).await.is_err()
    }

    #[tokio::test]
    async fn only_who_has_every_answer_hibernates() {
        let (here, mut there) = tokio::io::duplex(1024);
        let activity = Arc::new(Activity::default());
        let mut here = Observed::new(here, Bytes::new(), Arc::clone(&activity));
        // Before the first request.
        activity.silence().await;
        there.write_all(b"half a head").await.unwrap();
        here.read_u8().await.unwrap();
        assert!(stays_awake(&activity).await, "asked");
        let request = activity.request();
        here.write_all(b"100").await.unwrap();
        assert!(stays_awake(&activity).await, "not flushed");
        here.flush().await.unwrap();
        assert!(stays_awake(&activity).await, "told to go on");
        drop(request);
        // Answered.
        activity.silence().await;
        here.shutdown().await.unwrap();
        assert!(stays_awake(&activity).await, "ending");
    }

    #[tokio::test]
    async fn who_was_just_answered_may_be_about_to_end() {
        let (here, _there) = tokio::io::duplex(1024);
        let activity = Arc::new(Activity::default());
        let mut here = Observed::new(here, Bytes::new(), Arc::clone(&activity));
        let mut seen = 0;
        assert!(activity.is_silent(&mut seen));
        here.write_all(b"400").await.unwrap();
        here.flush().await.unwrap();
        assert!(!activity.is_silent(&mut seen));
        assert!(activity.is_silent(&mut seen));
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let (here, mut there) = tokio::io::duplex(1024);
        let activity = Arc::new(Activity::default());
        let mut here = Observed::new(here, Bytes::from_static(b"first, "), Arc::clone(&activity));
        assert!(stays_awake(&activity).await);
        there.write_all(b"then").await.unwrap();
        drop(there);
        let mut read = String::new();
        here.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "first, then");
    }
}
