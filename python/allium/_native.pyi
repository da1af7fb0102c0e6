"""The engine's Python face. Every call that waits releases the interpreter lock."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Final, Literal, NotRequired, Self, TypedDict, final, type_check_only

#: Version of the protocol that the engine speaks, as nodes advertise it.
PROTOCOL_VERSION: Final[tuple[int, int, int]]
#: Bytes that the engine asks the kernel to hold for each direction of a UDP socket.
QUIC_SOCKET_BUFFER: Final[int]

@type_check_only
class NodeEntry(TypedDict):
    """One registered node of a network snapshot. Keys are 64 lower-case hex digits."""

    pubkey_legacy: str
    pubkey_ed25519: str
    pubkey_x25519: str
    ip: str
    https_port: int
    omq_port: int
    #: 2**64 - 1 means "in no swarm".
    swarm_id: int
    version: NotRequired[tuple[int, int, int]]
    requested_unlock_height: NotRequired[int]

@type_check_only
class Network(TypedDict):
    """The network at one height: what `membership` yields."""

    height: int
    #: 64 hex digits, or empty when there is no chain.
    block_hash: str
    hardfork: tuple[int, int]
    nodes: list[NodeEntry]

#: How many values are in each bucket and beyond all, and their sum.
_Histogram = tuple[list[int], float]

@type_check_only
class NodeMetrics(TypedDict):
    """All that a node's engine counts, since its start. Durations add up to seconds."""

    #: The largest value of each bucket: microseconds, or how many were done together. Batches use the first of them.
    bounds: list[int]
    #: How it came, method, status, number.
    requests: list[tuple[str, str, int, int]]
    request_times: list[tuple[str, str, _Histogram]]
    #: Transport, reason, number.
    refusals: list[tuple[str, str, int]]
    traffic: list[tuple[str, str, str, int]]
    #: What was inside, outer status, number.
    onions: list[tuple[str, int, int]]
    onion_times: list[tuple[str, _Histogram]]
    #: Name, how many there are, how many there may be.
    queues: list[tuple[str, int, int]]
    batches: list[tuple[str, _Histogram]]
    #: What is done how in batches: operation, backend, from which size on.
    plan: list[tuple[str, str, int]]
    known_keys: tuple[int, int]
    connections: list[tuple[str, int]]
    #: Messages that other nodes sent, by what became of them.
    arrivals: list[tuple[str, int]]
    #: Memory held for others: what for, bytes in use, bytes that there are, how often there was no room.
    memory: list[tuple[str, int, int, int]]
    commits: _Histogram
    store_refused: list[tuple[str, int]]
    expired: int
    #: Seconds for which the message has been due that should have gone first.
    expiry_lag: float
    unfolded_bytes: int
    #: For how many seconds nothing can be written, and why.
    store_failure: tuple[int, str] | None
    swarms: int
    swarm_members: int
    #: Transport, whether the node was reached, number.
    tests: list[tuple[str, bool, int]]
    unreachable: int
    messages: int
    store_bytes: int
    store_max_bytes: int
    missed: int
    missed_dropped: int
    members_behind: int
    transfers: int
    monitors: int
    quic_peers: int
    compared_given: int
    compared_taken: int
    compared_bytes: int
    nodes: int
    #: Nodes of the list that have a key of one before them.
    nodes_left_out: int
    height: int
    durability: str

@final
class BlsSecretKey:
    """A BLS secret key on BN254. Zeroized when it is dropped; its public key is 64 bytes, `X || Y`."""

    def __new__(cls, secret: bytes) -> Self:
        """From 32 bytes, big-endian, also above the group's order; `ValueError` for others, and for zero."""

    @staticmethod
    def random() -> BlsSecretKey:
        """A fresh key; `OSError` when the system has no randomness."""

    def to_bytes(self) -> bytes:
        """The scalar, 32 bytes big-endian: for the key file."""

    @property
    def public(self) -> bytes:
        """64 bytes."""

@final
class BlsDomain:
    """What one rewards contract on one chain has signed: the messages, and signing and verifying them.

    Signatures are 128 bytes (x.re, x.im, y.re, y.im), keys 64, addresses 20. `ValueError` for bytes that are no key.
    """

    def __new__(cls, chain_id: int, contract: bytes) -> Self:
        """`contract` is the rewards contract's address."""

    def possession_message(self, key: bytes, operator: bytes, ed25519: bytes) -> bytes:
        """What a new node signs to prove that it has the secret of `key`."""

    def reward_message(self, recipient: bytes, amount: int) -> bytes:
        """What the network signs for a recipient: all that it ever earned, atomic units, below 2**128."""

    def exit_message(self, key: bytes, timestamp: int) -> bytes:
        """What the network signs for a node that may leave; Unix seconds."""

    def liquidation_message(self, key: bytes, timestamp: int) -> bytes:
        """What the network signs for a node that may be liquidated; Unix seconds."""

    def hash_to_g2(self, message: bytes) -> bytes:
        """The point that a message hashes to, written as a signature is."""

    def sign(self, secret: BlsSecretKey, message: bytes) -> bytes:
        """The signature of a message."""

    def faulty(self, message: bytes, signed: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """The places of those (key, signature) whose signature is not theirs; the others verify together."""

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is by `key`; False also for bytes that are no key or no signature."""

@final
class Node:
    """One running node: its sockets, its store and the threads that serve them."""

    def __new__(
        cls,
        *,
        data_dir: str,
        ed25519_seed: bytes,
        legacy_pubkey: bytes,
        bind_ip: str = "0.0.0.0",
        https_port: int = 22021,
        omq_port: int = 22020,
        max_store_bytes: int = 3_758_096_384,
        account_bytes: int = 134_217_728,
        account_messages: int = 100_000,
        max_missed: int = 1_048_576,
        durability: Literal["sync", "async"] = "sync",
        worker_threads: int = 2,
        pin_threads: bool = False,
        queue: int = 1000,
        rate_limit: tuple[int, int] = ...,
        rate_limit_exempt: list[str] = ...,
        connections_per_address: int = 512,
        memory_limit: int | None = None,
        patience: tuple[float, float, float] = ...,
        admins: list[str] = ...,
        oxend_rpc: str | None = None,
        allow_private_servers: bool = False,
        keeps_messages: bool = True,
        answers: tuple[list[str], Callable[[Call], object]] | None = None,
        sockets: Sequence[int] = ...,
    ) -> Self:
        """Opens the store and the sockets and serves at once; `OSError` or `ValueError` says what to change.

        `rate_limit` is how many requests of one address may come at once, and how many per second in the long run (600
        and 300); networks in `rate_limit_exempt` ("192.0.2.0/24") are not limited. `patience` is how many seconds an
        HTTPS client may take for its handshake, the head of a request and its body (10, 60, 60). `durability` says what
        an acknowledged write is: on disk (`sync`), or with the operating system, which writes every second (`async`).
        `admins` are X25519 keys, hex, that may ask for `service.get_stats`. At `oxend_rpc` (`ipc://…`, `tcp://…`) is
        the network's daemon, which clients' questions to it are passed to; without it the snapshot answers them.
        `answers` are methods that are handed over, and what is told of each request for one, on a thread of the
        engine's that may wait.
        """

    def set_network(self, network: Network) -> None:
        """Puts a new snapshot in force; `ValueError` when it is malformed (the old one stays)."""

    def cut_off(self, pubkeys_ed25519: list[str]) -> None:
        """A lever of test networks: from now on exactly these nodes (64 hex digits each) are not reached."""

    def time(self) -> float:
        """Unix time in seconds: the system's, or that of most other nodes where the system's is wrong."""

    def clock_ahead(self) -> float | None:
        """Seconds that the system's clock is ahead of most other nodes'; `None` while too few have told theirs."""

    def set_clock_offset(self, milliseconds: int) -> None:
        """A lever of test networks: the node's clock runs this far ahead of the system's."""

    def test_peer(self, pubkey_ed25519: str) -> tuple[bool, bool | None, bool | None] | None:
        """Whether another node (64 hex digits) is reached over HTTPS, OMQ and QUIC; `None` for what need not be tested.

        Waits for some seconds. `None` for a node that is not in the network in force, or has no address there.
        """

    def onion(self, payload: bytes, done: Callable[[int, bytes], object]) -> None:
        """Answers an onion request: `done` is called with status and body, on a thread of the engine's."""

    def request(self, body: bytes, done: Callable[[int, bytes], object]) -> None:
        """Answers a request in JSON, as `onion` does."""

    def store(self) -> Store | None:
        """Its messages; `None` when it keeps none."""

    def next_question(self) -> Question | None:
        """Waits for the next `bls.*` command that somebody sends; `None` once the node is shut down."""

    def next_tidings(self) -> Question | None:
        """Waits for the next `liveness.*` command that another node sends; `None` once the node is shut down."""

    def ask(
        self, nodes: list[NodeEntry], command: str, parts: list[bytes], timeout: float
    ) -> list[tuple[list[bytes] | None, str]]:
        """Asks many nodes `bls.*` or `liveness.*`, within `timeout` seconds: parts of answers, or `None` and why."""

    def pinged(self) -> dict[str, int]:
        """When somebody last tested whether this node is reached, by transport: Unix time in seconds, 0 for never."""

    def not_ready(self) -> str | None:
        """Why requests are refused, as the refusal words it; `None` when the node serves."""

    def stats(self) -> dict[str, int | str]:
        """Counters and gauges by name, and `durability` as it was set.

        `peel_batches_n` counts how often up to n onion layers were opened together, `verify_batches_n` the same of
        signatures.
        """

    def metrics(self) -> NodeMetrics:
        """All that it counts; `OSError` when the store cannot be read."""

    def hand_over(self) -> list[int]:
        """Sends clients away without refusing a request, finishes, shuts down; its listening sockets, for the caller.

        Whoever connects from then on waits for a node that is started on these `sockets`.
        """

    def threads(self) -> list[tuple[str, int, bool]]:
        """All that is watched: its name, seconds without a sign of life (0: it is well), whether it has ended.

        Takes no lock that what it tells of could hold.
        """

    def pulse(self, name: str, patience: int, place: Callable[[], str]) -> Pulse:
        """Has something watched that this thread does: once it has beaten, it has to again within `patience` seconds.

        `place` says where it is, for the log when it does not; another thread calls it.
        """

    def freeze_thread(self, name: str, seconds: float) -> None:
        """A lever of test networks: one of `threads` does nothing for so long; `OSError` when it cannot be had to."""

    def shutdown(self) -> None:
        """Refuses new requests, finishes those under way, syncs and closes. Idempotent."""

@final
class Pulse:
    """A sign of life of something that is watched."""

    def beat(self) -> None:
        """It goes on."""

    def retire(self) -> None:
        """It ends, and is not missed. Dropped without this, it has ended and is."""

@final
class Question:
    """A command that waits for its answer. Dropped without one, it is refused."""

    @property
    def command(self) -> str:
        """Such as `bls.get_rewards`; `RuntimeError` once it was answered, also of the others."""

    @property
    def sender(self) -> str | None:
        """The node that sent it, by its Ed25519 key, hex; `None` for anybody else."""

    @property
    def source(self) -> int:
        """The address that it came from, as a number that is good for nothing but telling addresses apart."""

    @property
    def parts(self) -> list[bytes]:
        """What came with it."""

    def answer(self, parts: list[bytes]) -> None:
        """Sends the answer."""

@final
class Call:
    """A client's request that waits for its answer. Dropped without one, it is refused."""

    @property
    def method(self) -> str:
        """What is asked for."""

    @property
    def params(self) -> str:
        """With what: a JSON object."""

    def answer(self, status: int, body: str) -> None:
        """Sends an HTTP status and JSON; a JSON string is told as text. `ValueError` for what is no JSON."""

@final
class Cursor:
    """Where a walk through all messages has come to."""

@final
class Store:
    """A message store. Calls wait without the interpreter lock; `OSError` when it cannot be used.

    A message is (account, namespace, timestamp, expiry, data, hash): account 66 hex digits, times in milliseconds.
    """

    def __new__(
        cls,
        path: str | PathLike[str],
        max_bytes: int,
        account_bytes: int,
        account_messages: int,
        durability: Literal["sync", "async"],
    ) -> Self:
        """Opens the store in the directory `path`, which is made when it is not there."""

    def put(
        self, messages: list[tuple[str, int, int, int, bytes]]
    ) -> list[tuple[str, Literal["new", "extended", "exists", "obsolete"], int]]:
        """Stores messages; the hash of each, what became of it, and the expiry in force."""

    def get(self, account: str, hash: str) -> tuple[str, int, int, int, bytes, str] | None:
        """One message."""

    def retrieve(
        self, account: str, namespace: int, after: str | None, max_count: int | None, max_size: int
    ) -> tuple[list[tuple[str, int, int, int, bytes, str]], bool]:
        """Messages after the one with the hash `after`, and whether there are more."""

    def scan(
        self, cursor: Cursor | None, size: int
    ) -> tuple[list[tuple[str, int, int, int, bytes, str]], Cursor | None]:
        """Messages of all accounts, of about `size` bytes together, and where the next begin."""

    def remove(self, account: str, hashes: list[str]) -> list[str]:
        """Removes messages; the hashes of those that were there."""

    def count(self) -> tuple[int, int]:
        """Messages, and bytes charged for them."""

    def close(self) -> None:
        """Writes what is queued and closes; an engine's store stays open."""

@final
class Peeled:
    """What is under an onion layer."""

    @property
    def kind(self) -> Literal["final", "server", "relay", "ciphertext", "json", "url", "malformed"]:
        """`final`: a request for this node; `server`, `relay`: for another. The others say what is wrong.

        `json` and `url` are answered sealed; `ciphertext` (with `Invalid ciphertext`) and `malformed` (with the text in
        `body`) in the clear, all with status 400.
        """

    @property
    def body(self) -> bytes:
        """A request's JSON, a server's POST, or what `sn.onion_request` of the next node takes."""

    @property
    def destination(self) -> bytes | None:
        """The next node's Ed25519 key."""

    @property
    def server(self) -> tuple[bool, str, int, str] | None:
        """HTTPS rather than HTTP, host, port, path."""

    @property
    def json(self) -> bool:
        """Whether the answer's `body` is to be a JSON value rather than text."""

    @property
    def base64(self) -> bool:
        """Whether the answer is to be in base64 rather than raw."""

    def seal(self, plaintext: bytes, base64: bool = True) -> bytes:
        """The answer for whoever sent the layer; `ValueError` when nothing was opened."""

@final
class MlKem768Key:
    """A key pair of ML-KEM-768 (FIPS 203). Its secret stays here, and is zeroized."""

    def __new__(cls, seed: bytes) -> Self:
        """Of a seed of 64 bytes, d and z of FIPS 203 one after the other; `ValueError` for any other length."""

    @property
    def public(self) -> bytes:
        """1184 bytes."""

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The shared secret, 32 bytes, of a ciphertext of 1088 bytes; `ValueError` for any other length.

        Of a ciphertext that was made for another key, 32 bytes that nobody else has (implicit rejection).
        """

def fail(reason: str) -> None:
    """A lever of tests: panics, as the engine would where it fails at something that nobody foresaw."""

def ml_kem_768_encapsulate(public: bytes) -> tuple[bytes, bytes]:
    """A ciphertext (1088 bytes) for a public key, and the fresh secret (32 bytes) in it; `ValueError` for no key."""

@final
class ReplyKey:
    """Opens the one answer to an onion request."""

    def open(self, reply: bytes, base64: bool = True) -> bytes | None:
        """The plaintext, or `None` when it was not sealed for this key."""

@final
class QuicClient:
    """A connection to one node over QUIC, with one request stream. Every call waits, without the interpreter lock."""

    def __new__(cls, ip: str, port: int, pubkey_ed25519: bytes, ed25519_seed: bytes, timeout: float = 10.0) -> Self:
        """Connects as the key of `ed25519_seed`; `TimeoutError`, or `ConnectionError` (another key, nobody there)."""

    def request(self, endpoint: str, body: bytes, timeout: float = 10.0) -> tuple[bool, bytes]:
        """The reply's body and True, or the error's and False; `TimeoutError`, `ConnectionError`."""

    def pipeline(self, requests: Sequence[tuple[str, bytes]], timeout: float = 10.0) -> list[tuple[bool, bytes]]:
        """What `request` gives for each endpoint and body; all are sent, in this order, before any is answered."""

    def notification(self, timeout: float = 10.0) -> bytes | None:
        """The next notification; `None` when none comes in time."""

    def close(self) -> None:
        """Ends the connection."""

@final
class QuicListener:
    """A UDP port at which clients open streams of bytes. `done` is called with an error or `None`, and a value.

    It is called from a thread of the engine's. What failed is a `TimeoutError` or a `ConnectionError`;
    then the value is the code with which the other end gave up, if it did.
    """

    def __new__(
        cls,
        ip: str,
        port: int,
        ed25519_seed: bytes,
        alpn: str,
        connections: int = 256,
        connections_per_address: int = 32,
    ) -> Self:
        """Listens as the key of `ed25519_seed`, for clients that offer `alpn`; `OSError` without the port."""

    @property
    def port(self) -> int:
        """The UDP port, which the system chooses for port 0."""

    def accept(self, done: Callable[[BaseException | None, QuicStream | None], object]) -> None:
        """Gives the next stream; `None` once it is closed."""

    def leave(self) -> None:
        """Accepts nobody any more; connections that stand go on."""

    def close(self) -> None:
        """Ends all connections."""

@final
class QuicConnection:
    """A connection to a server of streams of bytes."""

    def __new__(
        cls, ip: str, port: int, pubkey_ed25519: bytes, ed25519_seed: bytes, alpn: str, timeout: float = 10.0
    ) -> Self:
        """Connects as the key of `ed25519_seed`; `TimeoutError`, or `ConnectionError` (another key, nobody there)."""

    def open(self) -> QuicStream:
        """A new stream, of which the server hears with its first bytes; `ConnectionError`."""

    def close(self) -> None:
        """Ends the connection."""

@final
class QuicStream:
    """A stream of bytes each way. `done` as for `QuicListener`; times in seconds."""

    @property
    def address(self) -> str:
        """The IP address of the other end."""

    @property
    def connection(self) -> int:
        """The number of the listener's connection that it is on."""

    def read(
        self, most: int, timeout: float, done: Callable[[BaseException | None, bytes | int | None], object]
    ) -> None:
        """Gives what has come, up to `most` bytes; nothing at the end."""

    def write(self, data: bytes, timeout: float, done: Callable[[BaseException | None, int | None], object]) -> None:
        """Sends all of it."""

    def finish(self, timeout: float, done: Callable[[BaseException | None, int | None], object]) -> None:
        """Ends what is sent; done when the other end has it all."""

    def reset(self, code: int) -> None:
        """Gives up both ways with this code."""

def bls_aggregate_keys(keys: list[bytes]) -> bytes:
    """The key that signatures of all `keys` together verify against; `ValueError` for bytes that are no key."""

def bls_aggregate_signatures(signatures: list[bytes]) -> bytes:
    """The signature of all signers of one message together; `ValueError` for bytes that are no signature."""

def verify_ed25519(proofs: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """Whether each of (key, message, signature) holds, as libsodium sees it; side by side where the processor can.

    `ValueError` when a key has not 32 bytes, or a signature not 64.
    """

def onion_build(
    path: list[tuple[bytes, bytes]],
    destination: tuple[bytes, bytes],
    body: bytes,
    enc_type: str = "aes-gcm",
) -> tuple[bytes, ReplyKey]:
    """A payload that the first node of `path` peels first and `destination` last.

    Nodes are (Ed25519 key, X25519 key), 32 bytes each. `path` may be empty.
    """

def peel_batch(x25519_secret: bytes, layers: list[tuple[str, bytes, bytes]]) -> list[bytes | None]:
    """What is in onion layers for the node with this secret key, opened together.

    A layer is (cipher, ephemeral X25519 key, ciphertext); `None` for one that does not open. `ValueError` for a cipher
    that is none.
    """

def onion_peel(x25519_secret: bytes, payloads: list[bytes]) -> list[Peeled]:
    """What is under the layers of payloads that clients have posted to the node with this secret, opened together."""

def node_keys(ed25519_seed: bytes) -> tuple[bytes, bytes, bytes]:
    """The Ed25519 key, the X25519 key and the X25519 secret, 32 bytes each, that belong to a seed."""

def service_nodes(network: Network, params: str) -> str:
    """The `result` of `get_n_service_nodes` for JSON `params`, as JSON."""

def swarm_of(account_id: str, swarm_ids: list[int]) -> int | None:
    """The id of the swarm that an Account ID (66 hex digits) maps to; `None` without swarms."""

def curve25519() -> tuple[str | None, list[str], list[tuple[str, str, int]]]:
    """The backend that `ALLIUM_X25519` forces, all that can run, and the `plan` (`NodeMetrics`), which it measures."""

@type_check_only
class StoreSummary(TypedDict):
    """What the message store of a directory holds."""

    format: int
    messages: int
    #: Charged for them.
    bytes: int
    sequence: int
    #: How many messages each account has that has at least two, ascending.
    accounts_with_several: list[int]
    #: Messages by namespace.
    namespaces: dict[int, int]
    used_bytes: int
    file_bytes: int
    #: Entries and bytes by table.
    tables: dict[str, tuple[int, int]]

@type_check_only
class StoreReport(TypedDict):
    """What a walk through a store has found."""

    messages: int
    accounts: int
    bytes: int
    entries: int
    #: Messages whose hash is not that of their content.
    unproven: int
    #: How many things do not agree.
    found: int
    #: What they are, the first thousand of them.
    problems: list[str]

# Each of these raises `OSError` when the store cannot be used; `progress` is called now and then, from another thread,
# with the number of entries so far. What a signal raises ends the work at once, and leaves no part of a file.

def store_format(data_dir: str | PathLike[str]) -> tuple[int, int]:
    """The format of the store, and the one that this version writes; also while a node runs there."""

def store_summary(data_dir: str | PathLike[str]) -> StoreSummary:
    """What the store holds; also while a node runs there."""

def store_verify(data_dir: str | PathLike[str], progress: Callable[[int], object] | None = None) -> StoreReport:
    """Walks every index both ways and computes every hash anew; also while a node runs there."""

def store_compact(data_dir: str | PathLike[str]) -> tuple[int, int]:
    """Writes the store anew without free pages; bytes of the file before and after."""

def store_export(
    data_dir: str | PathLike[str], file: str | PathLike[str], progress: Callable[[int], object] | None = None
) -> tuple[int, int]:
    """Writes all to `file`; messages, and entries of all kinds. Also while a node runs there."""

def store_import(
    data_dir: str | PathLike[str],
    file: str | PathLike[str],
    max_store_bytes: int,
    progress: Callable[[int], object] | None = None,
) -> tuple[int, int, int]:
    """Takes in exports; messages, entries of all kinds, and how many of the messages were new."""

def log_to_stderr(level: Literal["debug", "info", "warning", "error"], format: Literal["console", "json"]) -> None:
    """From now on this process's engines say what they have to say on standard error, ten lines of a kind a minute."""
