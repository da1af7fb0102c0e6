//! HTTPS for clients (`spec/transports` §1): HTTP/1.1 over TLS with a certificate that nobody checks.

use std::{convert::Infallible, io, net::IpAddr, path::Path, pin::Pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    context::ServerContext,
    hibernation::{Activity, Observed},
    linger::Lingering,
    refusals::Refusal,
    tls,
};
use crate::{
    batch::Source,
    holder::Holder,
    rpc::{BUSY, Encoding, Reply, Status, Via},
    threads::take_turns,
    transport::{
        AGENT, MAX_BODY,
        memory::MemoryShare,
        relay::OnionAnswer,
        slots::{Slot, Slots},
    },
};

/// Open connections; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 16_384;
/// How long requests under way may take once the node shuts down.
const DRAIN: Duration = Duration::from_secs(35);
/// How long a connection that says nothing is kept once the node leaves: whoever has just connected, or has just read an
/// answer, is about to ask.
const GRACE: Duration = Duration::from_secs(2);

/// Answers below this size are not counted: a connection has one at a time.
const SMALL: usize = 16 << 10;

/// Headers that an answer has room for at first.
const HEADERS: usize = 3;

type HttpResponse = Response<Bytes>;
/// Small to hand up; refusals are not the hot path.
type Refused = Box<HttpResponse>;

/// How far a server has come. Each phase has what the ones before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Every answer says that the connection ends with it, and a connection without requests is closed after a while. New
    /// ones are accepted.
    Leaving,
    /// No more are accepted.
    Left,
    /// Connections without requests are closed at once.
    Closed,
}

/// A listening server.
pub struct Https {
    phase: watch::Sender<Phase>,
    accepting: JoinHandle<()>,
    connections: Arc<Semaphore>,
    open: Slots,
    context: Arc<ServerContext>,
}

impl Https {
    /// Serves `listener` with the certificate of `directory`, which is made if there is none. Must run inside the runtime
    /// that is to serve.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn start(listener: std::net::TcpListener, directory: &Path, context: Arc<ServerContext>) -> io::Result<Self> {
        let tls = TlsAcceptor::from(Arc::new(tls::config(directory)?));
        let listener = TcpListener::from_std(listener)?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let (connections, open) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Slots::new(MAX_CONNECTIONS));
        let serving = accept(listener, tls, Arc::clone(&context), phases, Arc::clone(&connections), open.clone());
        let accepting = tokio::spawn(serving);
        Ok(Self { phase, accepting, connections, open, context })
    }

    /// Sends every client to a successor that has the same socket, and closes no connection that a request is about to
    /// come on: each is told that it ends, with an answer.
    pub async fn leave(self) {
        self.context.readiness.leave();
        let _ = self.phase.send(Phase::Leaving);
        let _ = timeout(GRACE, self.open.empty()).await;
        let _ = self.phase.send(Phase::Left);
        self.drain().await;
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.taken()
    }

    /// Accepts nothing more and waits for the requests under way.
    pub async fn close(self) {
        let _ = self.phase.send(Phase::Closed);
        self.drain().await;
    }

    async fn drain(self) {
        let _ = self.accepting.await;
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        if timeout(DRAIN, self.connections.acquire_many(all)).await.is_err() {
            tracing::warn!("connections were cut off: their requests took too long");
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    context: Arc<ServerContext>,
    mut phases: watch::Receiver<Phase>,
    connections: Arc<Semaphore>,
    open: Slots,
) {
    tokio::select! {
        () = context.readiness.opened() => {}
        _ = phases.wait_for(|phase| *phase >= Phase::Left) => return,
    }
    loop {
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = phases.wait_for(|phase| *phase >= Phase::Left) => return,
        };
        match accepted {
            Ok((stream, remote)) => {
                let exempt = context.limiter.is_exempt(remote.ip());
                // One address with too many connections: this one is closed at once.
                let Some(of_address) = context.connections.take(remote.ip(), exempt) else {
                    context.refusals.add(Via::Https, Refusal::Connections);
                    continue;
                };
                let (tls, context, phases) = (tls.clone(), Arc::clone(&context), phases.clone());
                let counted = open.take();
                tokio::spawn(async move {
                    connection(stream, remote.ip(), tls, context, phases).await;
                    drop((place, of_address, counted));
                });
            }
            Err(error) => {
                // Out of descriptors, mostly: give those in use time to end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

type Stream = Box<Lingering<TlsStream<TcpStream>>>;

async fn connection(
    stream: TcpStream,
    remote: IpAddr,
    tls: TlsAcceptor,
    context: Arc<ServerContext>,
    phases: watch::Receiver<Phase>,
) {
    let _ = stream.set_nodelay(true);
    // What is large here is in boxes of its own, so that it does not stay with a connection that hibernates.
    let handshake = Box::pin(timeout(context.patience.handshake, tls.accept(stream)));
    let Ok(Ok(stream)) = handshake.await else { return };
    let mut stream = Box::new(Lingering::new(stream));
    drop(tls);
    let (mut unserved, source) = (Bytes::new(), Source::new());
    let end = outstayed(phases);
    tokio::pin!(end);
    loop {
        let serving = Box::pin(serve_until_silent(stream, unserved, &context, remote, source, end.as_mut()));
        let Some(left) = serving.await else { return };
        (stream, unserved) = left;
        if !unserved.is_empty() {
            continue;
        }
        tokio::select! {
            heard = timeout(context.patience.head, stream.fill_buf()) => {
                if !heard.is_ok_and(|heard| heard.is_ok_and(|bytes| !bytes.is_empty())) {
                    break;
                }
            }
            () = end.as_mut() => break,
        }
    }
    let _ = stream.shutdown().await;
}

/// Serves requests until none comes for a while; then returns the stream, and what came of a request that is not whole.
/// `None` when the connection has ended.
async fn serve_until_silent(
    stream: Stream,
    unserved: Bytes,
    context: &Arc<ServerContext>,
    remote: IpAddr,
    source: Source,
    end: Pin<&mut impl Future<Output = ()>>,
) -> Option<(Stream, Bytes)> {
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request| {
        let (context, under_way) = (Arc::clone(context), activity.request());
        async move {
            let answer = serve(&context, request, remote, source).await;
            let answer = counted(&context, remote, answer);
            let answer = if context.readiness.is_leaving() { closing(answer) } else { answer };
            drop(under_way);
            Ok::<_, Infallible>(answer.map(Full::new))
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(context.patience.head)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(Observed::new(stream, unserved, Arc::clone(&activity))), service);
    tokio::select! {
        _ = &mut connection => return None,
        () = activity.silence() => {}
        () = end => {
            Pin::new(&mut connection).graceful_shutdown();
            let _ = connection.await;
            return None;
        }
    }
    let http1::Parts { io, read_buf, .. } = connection.into_parts();
    // Empty, it still has its memory.
    let unserved = if read_buf.is_empty() { Bytes::new() } else { read_buf };
    Some((io.into_inner().into_inner(), unserved))
}

/// Waits until a connection on which nothing happens has been kept for long enough.
async fn outstayed(mut phases: watch::Receiver<Phase>) {
    let _ = phases.wait_for(|phase| *phase > Phase::Serving).await;
    let _ = timeout(GRACE, phases.wait_for(|phase| *phase == Phase::Closed)).await;
}

async fn serve(context: &ServerContext, request: Request<Incoming>, remote: IpAddr, source: Source) -> HttpResponse {
    take_turns();
    let route = (request.method(), request.uri().path());
    match route {
        (&Method::POST, "/onion_req/v2") => {
            onion(context, request, remote, source).await.unwrap_or_else(|refusal| *refusal)
        }
        (&Method::POST, "/storage_rpc/v1") => rpc(context, request, remote).await.unwrap_or_else(|refusal| *refusal),
        (&Method::POST, "/ping_test/v1") => ping_test(context),
        (&Method::GET, "/get_stats/v1") => stats(),
        (method, path) => {
            let text = format!("{} {path} Not Found", method.as_str().to_ascii_lowercase());
            text_answer(StatusCode::NOT_FOUND, text)
        }
    }
}

async fn onion(
    context: &ServerContext,
    request: Request<Incoming>,
    remote: IpAddr,
    source: Source,
) -> Result<HttpResponse, Refused> {
    check_ready(context)?;
    check_rate(context, remote)?;
    let Body { bytes, share: _share } = body(context, request, remote).await?;
    let slot = slot(context)?;
    let OnionAnswer { status, body, headers } = context.onion.entry(bytes, source, slot).await;
    Ok(answer(status, body, headers.unwrap_or_else(|| content_type("text/plain"))))
}

async fn rpc(context: &ServerContext, request: Request<Incoming>, remote: IpAddr) -> Result<HttpResponse, Refused> {
    check_ready(context)?;
    check_rate(context, remote)?;
    if request.headers().get("x-loki-long-poll").is_some_and(|value| !value.is_empty()) {
        let text = "long polling is no longer supported, client upgrade required";
        return Err(refusal(StatusCode::GONE, text));
    }
    let Body { bytes, share } = body(context, request, remote).await?;
    let slot = slot(context)?;
    Ok(reply(&context.rpc.call_json(&bytes, Via::Https, (share, slot)).await))
}

fn ping_test(context: &ServerContext) -> HttpResponse {
    context.pinged.https.now();
    let mut headers = content_type("text/plain");
    let key = base64_simd::STANDARD.encode_to_string(context.identity.legacy.0);
    if let Ok(value) = HeaderValue::from_str(&key) {
        headers.insert("x-oxen-snode-pubkey", value);
    }
    answer(StatusCode::OK, Bytes::new(), headers)
}

fn stats() -> HttpResponse {
    let [major, minor, patch] = crate::rpc::PROTOCOL_VERSION;
    let body = format!(r#"{{"version":"{major}.{minor}.{patch}"}}"#);
    answer(StatusCode::OK, body.into(), content_type("application/json"))
}

fn check_ready(context: &ServerContext) -> Result<(), Refused> {
    context.readiness.reason().map_or(Ok(()), |reason| {
        context.refusals.add(Via::Https, Refusal::NotReady);
        Err(refusal(StatusCode::SERVICE_UNAVAILABLE, format!("Service node is not ready: {reason}\n")))
    })
}

fn check_rate(context: &ServerContext, remote: IpAddr) -> Result<(), Refused> {
    if context.limiter.allow(remote) {
        return Ok(());
    }
    context.refusals.add(Via::Https, Refusal::TooFast);
    Err(refusal(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n"))
}

/// The answer, counted until it is written; or that there is no room for it.
fn counted(context: &ServerContext, remote: IpAddr, answer: HttpResponse) -> HttpResponse {
    if answer.body().len() < SMALL {
        return answer;
    }
    let (head, body) = answer.into_parts();
    match context.memory.answers.hold(Holder::at(remote), body) {
        Some(body) => Response::from_parts(head, body),
        None => {
            context.refusals.add(Via::Https, Refusal::Busy);
            text_answer(StatusCode::SERVICE_UNAVAILABLE, BUSY)
        }
    }
}

fn slot(context: &ServerContext) -> Result<Slot, Refused> {
    context.clients.take().ok_or_else(|| {
        context.refusals.add(Via::Https, Refusal::Busy);
        refusal(StatusCode::SERVICE_UNAVAILABLE, BUSY)
    })
}

/// The whole body, counted as it comes: what `Content-Length` says is only the first check.
async fn body(context: &ServerContext, request: Request<Incoming>, remote: IpAddr) -> Result<Body, Refused> {
    let unread = |status, text: &'static str| {
        context.refusals.add(Via::Https, Refusal::Unread);
        closing_refusal(status, text)
    };
    let too_large = || unread(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large");
    let mut promised = 0;
    if let Some(length) = request.headers().get(header::CONTENT_LENGTH) {
        let length = length.to_str().ok().and_then(|length| length.trim().parse::<u64>().ok());
        let Some(length) = length else {
            return Err(unread(StatusCode::BAD_REQUEST, "invalid Content-Length"));
        };
        if length > MAX_BODY as u64 {
            return Err(too_large());
        }
        promised = usize::try_from(length).unwrap_or(MAX_BODY);
    }
    let Some(share) = context.memory.requests.take(Holder::at(remote), 0) else { return Err(too_large()) };
    let read = timeout(context.patience.body, gather(request.into_body(), promised, share)).await;
    match read.unwrap_or(Err(Unread::Lost)) {
        Ok(body) => Ok(body),
        Err(Unread::TooLarge) => Err(too_large()),
        Err(Unread::NoRoom) => {
            context.refusals.add(Via::Https, Refusal::Busy);
            Err(closing_refusal(StatusCode::SERVICE_UNAVAILABLE, BUSY))
        }
        Err(Unread::Lost) => Err(unread(StatusCode::BAD_REQUEST, "Bad Request\n")),
    }
}

/// A request's body, and its share of the memory for all bodies.
struct Body {
    bytes: Bytes,
    share: MemoryShare,
}

/// Why a body was not read to its end.
enum Unread {
    TooLarge,
    NoRoom,
    /// The client has gone, or is too slow to be served.
    Lost,
}

/// Takes a body as it comes. Room is taken for what is there and not for what was promised; only a body that does not
/// come in one piece gets the memory for all of it, which the system gives as it is written.
async fn gather(mut body: Incoming, promised: usize, mut share: MemoryShare) -> Result<Body, Unread> {
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Lost)?.into_data() else { continue };
        if first.len() + rest.len() + data.len() > MAX_BODY {
            return Err(Unread::TooLarge);
        }
        if !share.grow(data.len()) {
            return Err(Unread::NoRoom);
        }
        // Most bodies come in one piece, which then is not copied.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.reserve(promised.max(first.len() + data.len()));
                rest.extend_from_slice(&first);
                first.clear();
            }
            rest.extend_from_slice(&data);
        }
    }
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Body { bytes, share })
}

fn reply(reply: &Reply) -> HttpResponse {
    answer(status(reply.status), reply.encode(Encoding::Json).into(), content_type(reply.content_type()))
}

fn status(status: Status) -> StatusCode {
    StatusCode::from_u16(status.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn text_answer(status: StatusCode, text: impl Into<Bytes>) -> HttpResponse {
    answer(status, text.into(), content_type("text/plain"))
}

fn refusal(status: StatusCode, text: impl Into<Bytes>) -> Refused {
    Box::new(text_answer(status, text))
}

fn content_type(value: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
    headers
}

fn answer(status: StatusCode, body: Bytes, mut headers: HeaderMap) -> HttpResponse {
    headers.insert(header::SERVER, HeaderValue::from_static(AGENT));
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// The connection ends after this answer.
fn closing(mut answer: HttpResponse) -> HttpResponse {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn closing_refusal(status: StatusCode, text: impl Into<Bytes>) -> Refused {
    Box::new(closing(text_answer(status, text)))
}
