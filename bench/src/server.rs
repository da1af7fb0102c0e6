//! The nodes that are measured: engines, each alone in its process, in a network of themselves; or somebody else's.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use allium_engine::{
    clock::Clock,
    crypto::Identity,
    node::{Node, NodeConfig},
    onion::build::Hop,
    store::{NewMessage, Store, StoreConfig, fill_in_order as fill_store_in_order},
    swarm::{NodeInfo, Snapshot, SwarmId},
    types::{AccountId, LegacyPublicKey, MessageHash, Millis, Namespace},
};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use crate::{
    Table,
    load::ask_once,
    work::{Random, account, now_ms},
};

/// Messages put at once when a store is filled.
const BATCH: usize = 16_384;
/// Messages of each account where there are very many.
const FEW: u64 = 10;
/// Room for the largest row.
const STORE_BYTES: u64 = 64 << 30;

/// One node, run for the benchmark.
#[derive(Args)]
pub(crate) struct Serve {
    /// Data directory.
    dir: PathBuf,
    /// Which one of the network's.
    number: usize,
    #[arg(long, default_value_t = 2)]
    worker_threads: usize,
    /// Processors that it may run on; all, unless given.
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Speak OMQ to other nodes although they have QUIC.
    #[arg(long)]
    omq: bool,
}

/// The keys of the nodes, which the load knows too.
fn identity(number: usize) -> Identity {
    let seed = [u8::try_from(number + 1).unwrap_or(u8::MAX); 32];
    Identity::new(&seed, LegacyPublicKey(seed))
}

/// For HTTPS, and for OMQ and QUIC, which have one number: the system gives a TCP port whose UDP one may be taken.
fn free_ports() -> Result<(u16, u16)> {
    let https = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    for _ in 0..100 {
        let omq = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        if UdpSocket::bind(omq).is_ok() {
            return Ok((https.local_addr()?.port(), omq.port()));
        }
    }
    bail!("no port is free for both TCP and UDP")
}

/// Tells its ports on standard output, reads everybody's from standard input, serves until that ends.
pub(crate) fn serve(serve: &Serve) -> Result<()> {
    run_on(&serve.cpus)?;
    let mut config = NodeConfig::new(&serve.dir);
    (config.https_port, config.omq_port) = free_ports()?;
    config.bind_ip = Ipv4Addr::LOCALHOST.into();
    config.worker_threads = serve.worker_threads;
    config.quic_between_nodes = !serve.omq;
    config.max_store_bytes = STORE_BYTES;
    config.connections_per_address = 16_384;
    // One address is all the load there is.
    config.rate_limits.exempt.push((Ipv4Addr::LOCALHOST.into(), 8));
    let mut node = Node::start(&config, identity(serve.number))?;
    println!("{} {}", config.https_port, config.omq_port);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let ports: Vec<(u16, u16)> = serde_json::from_str(&line)?;
    let infos = ports.into_iter().enumerate().map(|(number, (https_port, omq_port))| {
        let identity = identity(number);
        NodeInfo {
            legacy: identity.legacy,
            ed25519: identity.ed25519.public(),
            x25519: identity.x25519.public(),
            ip: Ipv4Addr::LOCALHOST,
            https_port,
            omq_port,
            swarm: SwarmId(0),
            version: [2, 8, 0],
            requested_unlock_height: 0,
        }
    });
    node.set_network(Snapshot::new(1, String::new(), [19, 4], infos.collect()));
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    node.shutdown();
    Ok(())
}

/// Threads begun from now on run on these processors.
fn run_on(cpus: &[usize]) -> Result<()> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = CpuSet::new();
    for &cpu in cpus {
        ensure!(cpu < CpuSet::MAX_CPU, "no processor has the number {cpu}");
        set.set(cpu);
    }
    sched_setaffinity(None, &set).with_context(|| format!("processors {cpus:?} cannot be had"))?;
    Ok(())
}

/// Puts `count` messages into the store of a node that does not run.
pub(crate) fn fill(dir: &Path, count: u64, bytes: usize) -> Result<()> {
    let config = StoreConfig { max_bytes: STORE_BYTES, ..StoreConfig::new(dir) };
    let store = Store::open(config, Clock::default())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut random = Random::new()?;
    let mut left = count;
    while left > 0 {
        let now = Millis(now_ms()?);
        let some = left.min(BATCH as u64);
        let messages = (0..some).map(|_| {
            let account = AccountId(account(random.next()));
            let mut data = vec![0; bytes];
            random.fill(&mut data);
            let (namespace, expiry) = (Namespace(0), now.plus(86_400_000));
            let hash = MessageHash::of(&account, namespace, &data);
            NewMessage { account, namespace, hash, timestamp: now, expiry, stored: now, changed: now, data }
        });
        runtime.block_on(store.receive(messages.collect()))?;
        left -= some;
        eprint!("\rfilling: {left} left      ");
    }
    eprint!("\r{:<40}\r", "");
    store.close();
    Ok(())
}

/// The same for very many, in the order of their keys: [`FEW`] for each of as many accounts as that takes.
pub(crate) fn fill_in_order(dir: &Path, count: u64, bytes: usize) -> Result<()> {
    let config = StoreConfig { max_bytes: STORE_BYTES, ..StoreConfig::new(dir) };
    let mut random = Random::new()?;
    let now = Millis(now_ms()?);
    let (namespace, expiry) = (Namespace(0), now.plus(86_400_000));
    let accounts = count.div_ceil(FEW);
    let step = u64::MAX / accounts.max(1);
    let of_account = (0..accounts).map(|number| {
        let mut account = [5; 33];
        random.fill(&mut account[9..]);
        account[1..9].copy_from_slice(&(number * step).to_be_bytes());
        let account = AccountId(account);
        let messages = (0..FEW.min(count - number * FEW)).map(|_| {
            let (mut hash, mut data) = (MessageHash([0; 32]), vec![0; bytes]);
            random.fill(&mut hash.0);
            random.fill(&mut data);
            NewMessage { account, namespace, hash, timestamp: now, expiry, stored: now, changed: now, data }
        });
        (account, messages.collect())
    });
    fill_store_in_order(&config, of_account)?;
    Ok(())
}

/// A node from outside.
pub(crate) struct Measured {
    pub(crate) https: SocketAddr,
    pub(crate) quic: SocketAddr,
    pub(crate) hop: Hop,
    /// Whose CPU time and memory count.
    pid: Option<u32>,
    process: Option<Child>,
    dir: Option<PathBuf>,
}

/// Nodes that know each other.
pub(crate) struct Network {
    nodes: Vec<Measured>,
}

impl Network {
    /// Starts `count` nodes; the data directories stand in `directory`.
    pub(crate) fn start(directory: &Path, count: usize, table: &Table, quic: bool) -> Result<Self> {
        let mut started: Vec<(Child, BufReader<ChildStdout>, PathBuf)> = Vec::new();
        let mut ports: Vec<(u16, u16)> = Vec::new();
        for number in 0..count {
            let dir = directory.join(number.to_string());
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("serve").arg(&dir).arg(number.to_string());
            command.arg("--worker-threads").arg(table.worker_threads.to_string());
            if !quic {
                command.arg("--omq");
            }
            if !table.cpus.is_empty() {
                let cpus: Vec<String> = table.cpus.iter().map(ToString::to_string).collect();
                command.arg("--cpus").arg(cpus.join(","));
            }
            let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let mut output = BufReader::new(process.stdout.take().context("no output of a node")?);
            let line = line(&mut output)?;
            let (https, omq) = line.split_once(' ').context("a node did not start")?;
            ports.push((https.parse()?, omq.parse()?));
            started.push((process, output, dir));
        }
        let told = json!(ports).to_string();
        let mut nodes = Vec::new();
        for (number, (mut process, mut output, dir)) in started.into_iter().enumerate() {
            writeln!(process.stdin.as_mut().context("no input of a node")?, "{told}")?;
            ensure!(line(&mut output)? == "ready", "a node did not become ready");
            let identity = identity(number);
            let (https, omq) = ports[number];
            nodes.push(Measured {
                https: (Ipv4Addr::LOCALHOST, https).into(),
                quic: (Ipv4Addr::LOCALHOST, omq).into(),
                hop: Hop { ed25519: identity.ed25519.public(), x25519: identity.x25519.public() },
                pid: Some(process.id()),
                process: Some(process),
                dir: Some(dir),
            });
        }
        Ok(Self { nodes })
    }

    /// A node that somebody else runs, asked for its keys.
    pub(crate) fn target(url: &str, pid: Option<u32>) -> Result<Self> {
        let address = url.strip_prefix("https://").context("the target has to be https://…")?.trim_end_matches('/');
        let address = address.to_socket_addrs()?.next().context("the target has no address")?;
        let account = hex::encode(account(1));
        let answer = ask_once(address, &json!({"method": "get_swarm", "params": {"pubkey": account}}))?;
        let own = |snode: &&Value| snode["port_https"] == json!(address.port());
        let snodes = answer["snodes"].as_array().context("no snodes in the answer to get_swarm")?;
        let snode = snodes.iter().find(own).context("the target is not in the swarm that it names")?;
        let key = |name: &str| snode[name].as_str().context("a key is missing in the answer to get_swarm");
        let hop = Hop { ed25519: key("pubkey_ed25519")?.parse()?, x25519: key("pubkey_x25519")?.parse()? };
        let quic = SocketAddr::new(address.ip(), u16::try_from(snode["port_quic"].as_u64().unwrap_or(0))?);
        Ok(Self { nodes: vec![Measured { https: address, quic, hop, pid, process: None, dir: None }] })
    }

    /// Ends the nodes as a crash does.
    pub(crate) fn kill(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            if let Some(mut process) = node.process.take() {
                process.kill()?;
                process.wait()?;
            }
        }
        Ok(())
    }

    pub(crate) fn nodes(&self) -> &[Measured] {
        &self.nodes
    }

    /// Of the first node, and of all of them.
    pub(crate) fn cpu_times(&self) -> Result<(Duration, Duration)> {
        let times = self.nodes.iter().map(Measured::cpu_time).collect::<Result<Vec<_>>>()?;
        Ok((times.first().copied().unwrap_or_default(), times.iter().sum()))
    }
}

impl Measured {
    /// User and system time so far.
    fn cpu_time(&self) -> Result<Duration> {
        let Some(pid) = self.pid else { return Ok(Duration::ZERO) };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field is a name in brackets; utime and stime are fields 14 and 15.
        let rest = stat.rsplit(") ").next().context("no such process")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        ensure!(fields.len() > 12, "an unknown form of /proc/PID/stat");
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // SAFETY: no precondition.
        let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) })?;
        Ok(Duration::from_secs(ticks) / u32::try_from(per_second)?)
    }

    /// Resident memory: all of it, and without pages of files (of which the store's map is the most).
    pub(crate) fn resident(&self) -> Result<Option<(u64, u64)>> {
        let Some(pid) = self.pid else { return Ok(None) };
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such figure")?;
            Ok(line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>()? << 10)
        };
        Ok(Some((kib("VmRSS")?, kib("RssAnon")?)))
    }

    /// What its store takes on disk.
    pub(crate) fn disk_bytes(&self) -> Result<Option<u64>> {
        let Some(dir) = &self.dir else { return Ok(None) };
        Ok(Some(fs::metadata(dir.join("data.mdb"))?.blocks() * 512))
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}

fn line(output: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    output.read_line(&mut line)?;
    Ok(line.trim().to_owned())
}
