//! A stream that is closed the way TCP needs it: an answer given before the request was read whole would be lost to a
//! reset if the rest, still on its way, met a closed socket. Whoever does not take what is written is not waited for.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// How long, and how many bytes of, what nobody reads any more is taken.
const WAIT: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(2) };
const MOST: usize = 32 << 20;
/// How long nothing at all of an answer may be taken.
const STALL: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(30) };

/// Ends by saying that nothing more comes, and then by taking what still does, for a while.
pub(super) struct Lingering<S> {
    stream: S,
    farewell: Option<Farewell>,
    stalled: Option<Pin<Box<Sleep>>>,
}

struct Farewell {
    deadline: Pin<Box<Sleep>>,
    left: usize,
}

impl<S> Lingering<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, farewell: None, stalled: None }
    }

    /// What came of writing, or that nothing has come of it for too long.
    fn watch<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
        std::task::ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lingering<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncBufRead + Unpin> AsyncBufRead for Lingering<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().stream).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.stream).consume(amount);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.farewell.is_none() {
            std::task::ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let farewell =
            this.farewell.get_or_insert_with(|| Farewell { deadline: Box::pin(tokio::time::sleep(WAIT)), left: MOST });
        let mut scratch = [0; 16 << 10];
        loop {
            if farewell.left == 0 || farewell.deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buf = ReadBuf::new(&mut scratch);
            match std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buf)) {
                Ok(()) if buf.filled().is_empty() => return Poll::Ready(Ok(())),
                Ok(()) => farewell.left = farewell.left.saturating_sub(buf.filled().len()),
                // The other end has gone.
                Err(_) => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_still_comes_is_taken_before_the_end() {
        let (here, mut there) = tokio::io::duplex(64);
        let mut here = Lingering::new(here);
        let talker = tokio::spawn(async move {
            there.write_all(&[7; 10_000]).await.unwrap();
            let mut answer = Vec::new();
            there.read_to_end(&mut answer).await.unwrap();
            answer
        });
        here.write_all(b"enough").await.unwrap();
        here.shutdown().await.unwrap();
        drop(here);
        assert_eq!(talker.await.unwrap(), b"enough");
    }

    #[tokio::test]
    async fn whoever_takes_nothing_is_not_waited_for() {
        let (here, _there) = tokio::io::duplex(64);
        let began = std::time::Instant::now();
        let error = Lingering::new(here).write_all(&[7; 65]).await.unwrap_err();
        assert!(error.kind() == io::ErrorKind::TimedOut && began.elapsed() >= STALL);
    }

    #[tokio::test]
    async fn whoever_neither_talks_nor_leaves_is_not_waited_for_long() {
        let (here, _there) = tokio::io::duplex(64);
        let began = std::time::Instant::now();
        Lingering::new(here).shutdown().await.unwrap();
        assert!(began.elapsed() >= WAIT);
    }
}
