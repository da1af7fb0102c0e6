//! What a thread is doing that does not say so itself.
//!
//! A signal has it note where it is; nothing else may be done in a handler, so another thread finds the names. `SIGURG`,
//! because it is ignored where nobody handles it: one that comes too late does nothing.

use std::{
    fmt::Write as _,
    fs,
    io::{self, PipeReader, PipeWriter, Read},
    mem::{MaybeUninit, zeroed},
    os::fd::AsRawFd,
    path::Path,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicI32, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

/// The system's number of a thread.
pub type ThreadId = i32;

const SIGNAL: libc::c_int = libc::SIGURG;
/// How long a thread may take to note where it is.
const PATIENCE: libc::c_int = 1000;
const FRAMES: usize = 64;

// What a handler works with. One thread is looked at at a time (`lock`).
static WANTED: AtomicI32 = AtomicI32::new(0);
static PLACES: [AtomicUsize; FRAMES] = [const { AtomicUsize::new(0) }; FRAMES];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static UNTIL: AtomicI64 = AtomicI64::new(0);
/// Descriptor of the pipe that a handler answers on.
static ANSWERS: AtomicI32 = AtomicI32::new(-1);

/// The thread that calls.
#[must_use]
pub(super) fn this_thread() -> ThreadId {
    // SAFETY: no precondition.
    unsafe { libc::gettid() }
}

/// The functions that `thread`, of this process, is in, innermost first; what the system knows of it where it does not say.
#[must_use]
pub(super) fn of(thread: ThreadId) -> String {
    let taken = places(thread);
    match taken {
        Ok(places) => places.into_iter().map(name).collect::<Vec<_>>().join(" < "),
        Err(_) => kernel(thread),
    }
}

/// What the system knows of the threads of this process whose name begins so.
#[must_use]
pub(super) fn of_named(prefix: &str) -> String {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let numbers = threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    let theirs = numbers.filter(|thread| told(*thread, "comm").starts_with(prefix));
    theirs.map(kernel).collect::<Vec<_>>().join("; ")
}

fn told(thread: ThreadId, what: &str) -> String {
    // A process that keeps its secrets may not read all of it.
    fs::read_to_string(format!("/proc/self/task/{thread}/{what}")).unwrap_or_default().trim().to_owned()
}

fn kernel(thread: ThreadId) -> String {
    let mut text = format!("thread {thread}");
    for what in ["comm", "wchan", "syscall"] {
        let told = told(thread, what);
        if !told.is_empty() {
            let _ = write!(text, ", {what} {told}");
        }
    }
    text
}

/// The function at `place`, and those that were put into it.
fn name(place: usize) -> String {
    let mut names = Vec::new();
    backtrace::resolve(place as *mut _, |symbol| {
        let Some(name) = symbol.name() else { return };
        names.push(match (symbol.filename().map(source), symbol.lineno()) {
            (Some(file), Some(line)) => format!("{name:#} ({file}:{line})"),
            _ => format!("{name:#}"),
        });
    });
    if names.is_empty() { format!("{place:#x}") } else { names.join(" < ") }
}

/// A source file and its directory: where the program was made is nobody's business.
fn source(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

fn places(thread: ThreadId) -> io::Result<Vec<usize>> {
    let lock = lock()?;
    signal(&lock, thread, note)?;
    let count = COUNT.load(Ordering::Acquire);
    Ok(PLACES[..count].iter().map(|place| place.load(Ordering::Relaxed)).collect())
}

/// A lever of test networks: `thread` does nothing for so long, but to note where it is.
///
/// # Errors
/// When it takes no signal.
pub(super) fn freeze(thread: ThreadId, time: Duration) -> io::Result<()> {
    let lock = lock()?;
    let time = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    UNTIL.store(now().saturating_add(time), Ordering::Relaxed);
    signal(&lock, thread, stand_still)
}

/// Held by whoever looks.
type Lock = MutexGuard<'static, (PipeReader, PipeWriter)>;

fn lock() -> io::Result<Lock> {
    static PIPE: OnceLock<Mutex<(PipeReader, PipeWriter)>> = OnceLock::new();
    if let Some(pipe) = PIPE.get() {
        return Ok(pipe.lock());
    }
    let pipe = io::pipe()?;
    let pipe = PIPE.get_or_init(|| Mutex::new(pipe)).lock();
    ANSWERS.store(pipe.1.as_raw_fd(), Ordering::Relaxed);
    Ok(pipe)
}

type Handler = extern "C" fn(libc::c_int);

/// Has `thread` run `handler`; returns when it has begun to (`note`: when it is through).
fn signal(pipe: &Lock, thread: ThreadId, handler: Handler) -> io::Result<()> {
    // An answer that came too late is to nobody.
    while readable(&pipe.0, 0)? {
        (&pipe.0).read_exact(&mut [0])?;
    }
    COUNT.store(0, Ordering::Relaxed);
    WANTED.store(thread, Ordering::Release);
    // SAFETY: zeros are a valid action; the handler does only what a handler may.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // One that stands still is to note where it is, too.
    action.sa_flags = libc::SA_RESTART | libc::SA_NODEFER;
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: both are alive over the call.
    check(unsafe { libc::sigaction(SIGNAL, &raw const action, before.as_mut_ptr()) })?;
    // SAFETY: no precondition; a thread that is gone is an error.
    let sent = check(unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) } as libc::c_int);
    let answered = sent.and_then(|()| readable(&pipe.0, PATIENCE));
    // SAFETY: filled in above.
    check(unsafe { libc::sigaction(SIGNAL, before.as_ptr(), ptr::null_mut()) })?;
    WANTED.store(0, Ordering::Release);
    if answered? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn readable(pipe: &PipeReader, milliseconds: libc::c_int) -> io::Result<bool> {
    let mut asked = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor, alive over the call.
    match unsafe { libc::poll(&raw mut asked, 1, milliseconds) } {
        -1 => Err(io::Error::last_os_error()),
        count => Ok(count > 0),
    }
}

fn now() -> i64 {
    // SAFETY: zeros are a valid time, which lives over the call.
    unsafe {
        let mut now: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now);
        now.tv_sec * 1_000_000_000 + now.tv_nsec
    }
}

// ---- handlers: no allocation, no lock ----

fn is_wanted() -> bool {
    this_thread() == WANTED.load(Ordering::Acquire)
}

fn answer() {
    // SAFETY: one byte, into a pipe that is never closed.
    unsafe { libc::write(ANSWERS.load(Ordering::Relaxed), [0_u8].as_ptr().cast(), 1) };
}

extern "C" fn note(_: libc::c_int) {
    // SAFETY: each thread has its own.
    let errno = unsafe { *libc::__errno_location() };
    if is_wanted() {
        let mut count = 0;
        // SAFETY: nobody else looks at the same time (`lock`).
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                PLACES[count].store(frame.ip() as usize, Ordering::Relaxed);
                count += 1;
                count < FRAMES
            });
        }
        COUNT.store(count, Ordering::Release);
        answer();
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

extern "C" fn stand_still(_: libc::c_int) {
    // SAFETY: as above.
    let errno = unsafe { *libc::__errno_location() };
    if is_wanted() {
        let until = UNTIL.load(Ordering::Relaxed);
        answer();
        let time = libc::timespec { tv_sec: until / 1_000_000_000, tv_nsec: until % 1_000_000_000 };
        // SAFETY: `time` lives over the call.
        while unsafe {
            libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const time, ptr::null_mut())
        } == libc::EINTR
        {}
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    #[inline(never)]
    fn waits_for_ever(wait: &mpsc::Receiver<()>) {
        let _ = wait.recv();
        // Something is left to do, or the call would take this frame's place.
        std::hint::black_box(wait);
    }

    #[test]
    fn a_thread_tells_where_it_is_while_it_waits_and_while_it_stands_still() {
        let (begun, threads) = mpsc::channel();
        let (end, wait) = mpsc::channel();
        let waiting = thread::spawn(move || {
            begun.send(this_thread()).unwrap();
            waits_for_ever(&wait);
        });
        let thread = threads.recv().unwrap();
        while !of(thread).contains("waits_for_ever") {
            thread::yield_now();
        }
        // Looked at in time, once.
        while !of(thread).contains("stand_still") {
            freeze(thread, Duration::from_millis(300)).unwrap();
        }
        drop(end);
        waiting.join().unwrap();
        assert!(of(thread).starts_with("thread "), "{}", of(thread));
    }
}
