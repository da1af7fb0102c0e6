//! What the store costs: `cargo bench -p allium-bench --bench store -- --help`.
//!
//! CPU time is that of this whole process (`getrusage`): the writer, and the tasks that wait for it.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use allium_engine::{
    clock::Clock,
    store::{Durability, Limits, NewMessage, Store, StoreConfig},
    types::{AccountId, MessageHash, Millis, Namespace},
};

const HELP: &str = "\
put [--present N,N…] [--at-once N,N…] [--seconds S] [--async] [--dir DIR]
    puts of 1 KiB under random accounts, so many at once, with so many stored before
expire [--present N] [--dir DIR]
    how long puts and retrieves take while N messages expire, and while none do";

const DAY: u64 = 86_400_000;
const SIZE: usize = 1024;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

struct Options {
    present: Vec<u64>,
    at_once: Vec<usize>,
    seconds: f64,
    durability: Durability,
    dir: PathBuf,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut options = Self {
            present: vec![0, 100_000, 1_000_000],
            at_once: vec![1, 64, 1024],
            seconds: 5.0,
            durability: Durability::Sync,
            dir: std::env::temp_dir(),
        };
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--present" => options.present = list(&value()?)?,
                "--at-once" => options.at_once = list(&value()?)?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--async" => options.durability = Durability::Async,
                "--dir" => options.dir = value()?.into(),
                // Cargo's own.
                "--bench" => {}
                _ => return Err(HELP.into()),
            }
        }
        Ok(options)
    }
}

fn list<T: std::str::FromStr<Err: std::error::Error + 'static>>(text: &str) -> Outcome<Vec<T>> {
    text.split(',').map(|one| one.parse().map_err(Into::into)).collect()
}

/// A fast source of what nobody has to guess.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    /// A message that was taken now and lives for `ttl` milliseconds.
    fn message(&mut self, now: Millis, ttl: u64) -> NewMessage {
        let mut key = [0; 32];
        self.fill(&mut key);
        let (account, namespace, mut data) = (AccountId::new(5, key), Namespace(0), vec![0; SIZE]);
        self.fill(&mut data);
        // What it is does not matter here; computing it is not the store's work.
        let mut hash = [0; 32];
        self.fill(&mut hash);
        let hash = MessageHash(hash);
        NewMessage { account, namespace, hash, timestamp: now, expiry: now.plus(ttl), stored: now, changed: now, data }
    }
}

/// User and system time of this process, in seconds.
fn cpu() -> (f64, f64) {
    // SAFETY: the kernel fills a struct of ours, for which all zeros is a value.
    let usage = unsafe {
        let mut usage = std::mem::zeroed::<libc::rusage>();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

/// A number of a file in `/proc/self`.
fn proc_number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn open(options: &Options, dir: &tempfile::TempDir, clock: &Clock) -> Outcome<Store> {
    let config = StoreConfig {
        max_bytes: 64 << 30,
        durability: options.durability,
        queue: 1 << 16,
        ..StoreConfig::new(dir.path())
    };
    Ok(Store::open(config, clock.clone())?)
}

async fn preload(store: &Store, noise: &mut Noise, clock: &Clock, count: u64, ttl: u64) -> Outcome<()> {
    let mut left = count;
    while left > 0 {
        let some = left.min(5000);
        let messages = (0..some).map(|_| noise.message(clock.now(), ttl)).collect();
        store.receive(messages).await?;
        left -= some;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn put(options: &Options) -> Outcome<()> {
    let clock = Clock::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    println!(
        "   stored at once   puts/s   p50 ms   p99 ms  CPU us/put  (user, system)  written KiB/put  disk B/message  anon MB  file MB"
    );
    for &present in &options.present {
        let dir = tempfile::TempDir::new_in(&options.dir)?;
        let store = open(options, &dir, &clock)?;
        let mut noise = Noise(present);
        runtime.block_on(preload(&store, &mut noise, &clock, present, 14 * DAY))?;
        for &at_once in &options.at_once {
            let written = proc_number("io", "write_bytes:");
            let ((user, system), began) = (cpu(), Instant::now());
            let ending = began + Duration::from_secs_f64(options.seconds);
            let callers: Vec<_> = (0..at_once)
                .map(|_| {
                    let (store, clock, mut noise) = (store.clone(), clock.clone(), Noise(noise.next()));
                    runtime.spawn(async move {
                        let mut waits = Vec::new();
                        while Instant::now() < ending {
                            let message = noise.message(clock.now(), 14 * DAY);
                            let began = Instant::now();
                            store.put(message).await?;
                            waits.push(began.elapsed());
                        }
                        Ok::<_, allium_engine::store::StoreError>(waits)
                    })
                })
                .collect();
            let mut waits = Vec::new();
            for caller in callers {
                waits.extend(runtime.block_on(caller)??);
            }
            let (elapsed, after) = (began.elapsed().as_secs_f64(), cpu());
            let written = proc_number("io", "write_bytes:") - written;
            waits.sort_unstable();
            let count = waits.len() as f64;
            let (user, system) = ((after.0 - user) * 1e6 / count, (after.1 - system) * 1e6 / count);
            let stats = store.stats()?;
            println!(
                "{present:9} {at_once:7} {:8.0} {:8.2} {:8.2} {:11.1}  ({user:5.1}, {system:5.1})  {:15.1}  {:14.0}  {:7.0}  {:7.0}",
                count / elapsed,
                percentile(&waits, 50),
                percentile(&waits, 99),
                user + system,
                written as f64 / 1024.0 / count,
                store.census()?.file_bytes as f64 / stats.messages as f64,
                proc_number("status", "RssAnon:") as f64 / 1024.0,
                proc_number("status", "RssFile:") as f64 / 1024.0,
            );
        }
        store.close();
    }
    Ok(())
}

/// In milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted.get((sorted.len().saturating_sub(1)) * percent / 100).map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
}

/// Puts and retrieves one after the other until `done`, which is told how many puts there were; what each took.
async fn serve(
    store: &Store,
    clock: &Clock,
    mut noise: Noise,
    done: impl Fn(u64) -> Outcome<bool>,
) -> Outcome<(Vec<Duration>, Vec<Duration>)> {
    let (mut puts, mut gets) = (Vec::new(), Vec::new());
    while !done(puts.len() as u64)? {
        let message = noise.message(clock.now(), 14 * DAY);
        let account = message.account;
        let began = Instant::now();
        store.put(message).await?;
        puts.push(began.elapsed());
        let began = Instant::now();
        let page = store.retrieve(&account, Namespace(0), None, Limits { max_count: None, max_size: u64::MAX })?;
        gets.push(began.elapsed());
        if page.messages.len() != 1 {
            return Err("a message that was stored is not there".into());
        }
    }
    puts.sort_unstable();
    gets.sort_unstable();
    Ok((puts, gets))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn expire(options: &Options) -> Outcome<()> {
    let clock = Clock::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let present = options.present.last().copied().unwrap_or(1_000_000);
    let dir = tempfile::TempDir::new_in(&options.dir)?;
    let store = open(options, &dir, &clock)?;
    let mut noise = Noise(present);
    runtime.block_on(preload(&store, &mut noise, &clock, present, DAY))?;
    let ending = Instant::now() + Duration::from_secs_f64(options.seconds);
    let before = runtime.block_on(serve(&store, &clock, Noise(1), |_| Ok(Instant::now() >= ending)))?;
    clock.set_offset(2 * 86_400_000);
    // The writer finds them at its next tick.
    let (lasting, waiting) = (before.0.len() as u64, Instant::now());
    let begun = |puts| Ok(store.stats()?.messages < present + lasting + puts);
    let (wait, _) = runtime.block_on(serve(&store, &clock, Noise(2), begun))?;
    println!("noticed after {:.1} s", waiting.elapsed().as_secs_f64());
    let (lasting, began) = (lasting + wait.len() as u64, Instant::now());
    let gone = |puts| Ok(store.stats()?.messages <= lasting + puts);
    let during = runtime.block_on(serve(&store, &clock, Noise(3), gone))?;
    let elapsed = began.elapsed().as_secs_f64();
    println!("{present} messages expired in {elapsed:.1} s, {:.0}/s", present as f64 / elapsed);
    println!("                      puts/s   p50 ms   p99 ms   max ms  retrieve p50 us   p99 us   max us");
    for (what, seconds, (puts, gets)) in [("before", options.seconds, before), ("while they expire", elapsed, during)] {
        println!(
            "{what:18} {:9.0} {:8.2} {:8.2} {:8.2} {:16.1} {:8.1} {:8.1}",
            puts.len() as f64 / seconds,
            percentile(&puts, 50),
            percentile(&puts, 99),
            percentile(&puts, 100),
            percentile(&gets, 50) * 1e3,
            percentile(&gets, 99) * 1e3,
            percentile(&gets, 100) * 1e3,
        );
    }
    store.close();
    Ok(())
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let done = Options::parse(arguments).and_then(|options| match what.as_str() {
        "put" => put(&options),
        "expire" => expire(&options),
        _ => Err(HELP.into()),
    });
    if let Err(error) = done {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
