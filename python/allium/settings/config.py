"""What an operator may set for a node: a TOML file, overridden by `ALLIUM_*` environment variables."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ByteSize,
    Field,
    IPvAnyAddress,
    IPvAnyNetwork,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from allium.base import urls
from allium.base.complaint import denied, expanded
from allium.base.endpoint import Endpoint
from allium.base.log import Format, Level
from allium.errors import SetupError

ENVIRONMENT_PREFIX = "ALLIUM_"
#: Ports of a node of the test network (`spec/transports` §0).
_TESTNET_PORTS = {"https_port": 38155, "omq_port": 38154}
#: The seeds' daemons (`spec/swarms` §7.5).
_SEEDS = [
    "storage.seed1.loki.network:22027/63089194d7ed97c9bb9c1112501b09be1b4b8ff026ceeb339532ce240da03178",
    "public-eu.optf.ngo:22027/3c157ed3c675f56280dc5d8b2f00b327b5865c127bf2c6c42becc3ca73d9132b",
    "imaginary.stream:22027/c0cab39382531e5b6c6325c0f980e9ffb79b20a4c82bb96571f1ffdc3ee76d58",
]
_TESTNET_SEEDS = [
    "storage.seed2.loki.network:38161/9c5201e30957cd44e3dcc8ad7f94f48e6914deef77390f77a439a2d7e7f4cb5c",
]
#: An IPv4 address and a port.
_PLACE = r"^[0-9.]+:[0-9]{1,5}$"
#: What the file being loaded says.
_FILE: ContextVar[dict[str, Any]] = ContextVar("_FILE")


def _usable(url: str) -> str:
    urls.check(url)
    return url


_Url = Annotated[str, AfterValidator(_usable)]


class ConfigError(SetupError, ValueError):
    """A setting that the operator must change; the text names it and says to what."""


class NodeConfig(BaseSettings):
    """The settings of one node. Sizes are bytes, ports are TCP (and UDP where QUIC shares the number)."""

    # Lists are decoded below: pydantic's own reader takes nothing but JSON.
    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, enable_decoding=False)

    data_dir: Path = Field(description="Directory of the node's keys and messages. Relative to this file.")
    network_file: Path | None = Field(
        default=None,
        description="JSON file with the nodes of the network; read again when it changes. Relative to this file.",
    )
    oxend_rpc: Annotated[str, Field(pattern="^(ipc|tcp)://.")] | None = Field(
        default=None,
        description="Instead of network_file: OMQ address of the live network's daemon, which also gives the keys.",
    )
    testnet: bool = Field(default=False, description="The daemon is one of the test network. Other ports and seeds.")
    bootstrap_seeds: list[str] | None = Field(
        default=None,
        description="Daemons to ask how far the network is, as host:port/X25519 key. None: those of the network.",
    )
    chain_file: Path | None = Field(
        default=None,
        description="JSON file with the chain to take the list of nodes from; network_file then has their addresses. "
        "Relative to this file.",
    )
    feed_port: int | None = Field(
        default=None, ge=1, le=65535, description="TCP port at which others may follow the chain through this node."
    )
    l2_rpc: list[_Url] = Field(
        default=[],
        description="URLs of JSON-RPC providers of the EVM chain that chain_file names, the preferred first. The "
        "sequencer needs one; any other node with some compares what the sequencer says with what it sees itself.",
    )
    l2_quorum: int | None = Field(
        default=None,
        ge=1,
        description="How many of l2_rpc have to say the same. None: more than half. Two by themselves cannot be used "
        "when one is down; three can.",
    )
    l2_depth: int | None = Field(
        default=None,
        ge=0,
        description="How many blocks deep is final, where providers do not say which are. None: as they say.",
    )
    l2_log_blocks: int = Field(
        default=1000, ge=1, le=100_000, description="Blocks of logs that a provider is asked for at once, at most."
    )
    cometbft_port: int = Field(
        default=26656, ge=1, le=65535, description="TCP port for other nodes' CometBFT, where chain_file asks for it."
    )
    cometbft_rpc: Annotated[str, Field(pattern=_PLACE)] = Field(
        default="127.0.0.1:26657",
        description="Address and port of CometBFT's RPC. Newcomers verify snapshots by it, where they can reach it.",
    )
    cometbft: Path | None = Field(
        default=None,
        description="The program. Relative to this file. None: on the PATH, or beside Python (`make cometbft`).",
    )
    cometbft_sync: list[_Url] = Field(
        default=[],
        description="RPC URLs of other nodes' CometBFT: a node that has nothing yet begins at one of their snapshots.",
    )
    cometbft_trust: Annotated[str, Field(pattern="^[0-9]+:[0-9a-fA-F]{64}$")] | None = Field(
        default=None,
        description="HEIGHT:HASH of a header to verify that snapshot from. None: what all of cometbft_sync say.",
    )
    bind_ip: IPvAnyAddress = Field(
        default="0.0.0.0",
        validate_default=True,
        description="Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 address.",
    )
    https_port: int = Field(default=22021, ge=1, le=65535, description="TCP port for clients over HTTPS.")
    omq_port: int = Field(
        default=22020, ge=1, le=65535, description="Port for other nodes: TCP for OMQ, UDP of the same number for QUIC."
    )
    max_store_bytes: ByteSize = Field(
        default=ByteSize(3_758_096_384),
        ge=1 << 20,
        description='How large the message store may grow: bytes, or text such as "3.5GiB".',
    )
    account_max_bytes: ByteSize = Field(
        default=ByteSize(134_217_728), ge=1 << 20, description="How much of the store one account may take."
    )
    account_max_messages: int = Field(
        default=100_000,
        ge=100,
        description="How many messages one account may have in its public inboxes, and as many again elsewhere.",
    )
    max_missed: int = Field(
        default=1_048_576,
        ge=0,
        description="Messages and commands that are kept for members of the swarm that cannot be reached, at most.",
    )
    durability: Literal["sync", "async"] = Field(
        default="sync",
        description="sync: what is acknowledged is on disk. async: it is given to the operating system, which writes "
        "every second; a crash of the machine loses the last two seconds at most.",
    )
    worker_threads: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)),
        ge=1,
        le=1024,
        description="Threads that serve requests. One per core that the node may use.",
    )
    pin_threads: bool = Field(
        default=False,
        description="Each of these threads stays on one core, in turn. For machines that do little else.",
    )
    queue: int = Field(
        default=1000, ge=1, le=1_000_000, description="Requests of clients under way at once over HTTPS."
    )
    rate_limit_burst: int = Field(
        default=600, ge=1, le=1_000_000, description="Requests that one address may send at once, on all transports."
    )
    rate_limit_per_second: int = Field(
        default=300, ge=1, le=1_000_000, description="Requests per second that one address may send in the long run."
    )
    rate_limit_exempt: list[IPvAnyNetwork] = Field(
        default=[], description='Networks that are not limited, such as ["192.0.2.0/24", "2001:db8::/32"].'
    )
    connections_per_address: int = Field(
        default=512,
        ge=1,
        le=16_384,
        description="Connections that one address may have open, on all transports together.",
    )
    memory_limit: ByteSize | None = Field(
        default=None,
        ge=256 * 2**20,
        description="Memory that may be held for others: requests under way, and answers until they are read. By"
        " default a quarter of what the machine or the control group has, from 256 MiB to 4 GiB.",
    )
    handshake_seconds: float = Field(
        default=10, gt=0, le=3600, description="How long an HTTPS client may take for its TLS handshake."
    )
    header_seconds: float = Field(
        default=60,
        gt=0,
        le=3600,
        description="How long it may take for the head of a request, and between two requests.",
    )
    body_seconds: float = Field(default=60, gt=0, le=3600, description="How long it may take for a request's body.")
    stats_access_keys: list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        default=[], description="X25519 keys (64 hex digits) that may ask for service.get_stats over OMQ."
    )
    allow_private_servers: bool = Field(
        default=False,
        description="Relay onion requests to servers at private addresses too. Only for networks on one machine.",
    )
    metrics_ip: IPvAnyAddress = Field(
        default="127.0.0.1",
        validate_default=True,
        description="Address at which Prometheus is answered. What it is told is nobody else's business.",
    )
    metrics_port: int | None = Field(
        default=22029, ge=1, le=65535, description='TCP port at which Prometheus is answered. "": nowhere.'
    )
    levers_file: Path | None = Field(
        default=None,
        description="Only for test networks: JSON file that says what to pretend. Relative to this file.",
    )
    reachability_seconds: float = Field(
        default=10,
        gt=0,
        le=3600,
        description="Mean time between two tests of whether another node is reachable. Other than 10 only in tests.",
    )
    uptime_seconds: float = Field(
        default=3600,
        ge=1,
        le=3600,
        description="Time between two proofs to the others, on a chain, that this node is there; how long it may fail "
        "goes by it. The same on all nodes, and other than 3600 only in tests.",
    )
    log_level: Level = Field(default="info", description="debug, info, warning or error.")
    log_format: Format = Field(default="console", description="console for people, json for machines.")

    @field_validator("bootstrap_seeds")
    @classmethod
    def _seeds_are_places(cls, value: list[str] | None) -> list[str] | None:
        for seed in value or []:
            Endpoint.parse_seed(seed)
        return value

    @property
    def seeds(self) -> list[Endpoint]:
        """The daemons to ask how far the network is."""
        seeds = (_TESTNET_SEEDS if self.testnet else _SEEDS) if self.bootstrap_seeds is None else self.bootstrap_seeds
        return [Endpoint.parse_seed(seed) for seed in seeds]

    @field_validator(
        "bootstrap_seeds", "l2_rpc", "cometbft_sync", "rate_limit_exempt", "stats_access_keys", mode="before"
    )
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """A list in one line, as a variable has it: with commas, or as JSON. Empty is none."""
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError:
                raise ValueError("it is no list in JSON; values with commas between them do as well") from None
        return [part for each in value.split(",") if (part := each.strip())]

    @field_validator("data_dir", "network_file", "chain_file", "cometbft", "levers_file", mode="before")
    @classmethod
    def _without_tilde(cls, value: Any) -> Any:
        try:
            return expanded(Path(value)) if isinstance(value, str | Path) else value
        except SetupError as error:
            raise ValueError(str(error)) from None

    # The last of them is the first to see a value.
    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any, info: ValidationInfo) -> Any:
        """TOML has no word for none."""
        default = cls.model_fields[info.field_name or ""].default
        return None if value == "" and (default is None or info.field_name == "metrics_port") else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The command line wins over the environment, and that over the file."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _FILE.get({}))

    @classmethod
    def load(cls, path: Path | None, options: Mapping[str, Any] | None = None) -> NodeConfig:
        """The settings in force with the TOML file `path` (`None`: from the environment alone) and the command line's.

        Raises `ConfigError` for a file that cannot be read, a name that does not exist and a value that is refused.
        """
        where = "the environment" if path is None else str(path)
        values = {} if path is None else _read(path)
        _refuse_unknown(values, where)
        _refuse_misspelt(os.environ)
        if path is not None:
            for name in ("data_dir", "network_file", "chain_file", "cometbft", "levers_file"):
                value = values.get(name)
                if isinstance(value, str) and value and not value.startswith("~"):
                    values[name] = _directory(path) / value
        token = _FILE.set(values)
        try:
            config = cls(**(options or {}))
        except ValidationError as error:
            raise ConfigError(
                "\n".join(_complaint(detail, where, options or {}) for detail in error.errors())
            ) from None
        finally:
            _FILE.reset(token)
        if (config.network_file is None) == (config.oxend_rpc is None):
            raise ConfigError(
                f"{where}: set one of network_file (a file with the nodes of the network) and oxend_rpc (the live "
                f"network's daemon, such as ipc:///var/lib/oxen/oxend.sock)"
            )
        if config.chain_file is not None and config.network_file is None:
            raise ConfigError(f"{where}: chain_file goes with network_file, which has the nodes' addresses")
        if config.l2_rpc and config.chain_file is None:
            raise ConfigError(f"{where}: l2_rpc goes with chain_file, which names the chain and its contracts")
        if config.l2_quorum is not None and config.l2_quorum > len(config.l2_rpc):
            raise ConfigError(f"{where}: l2_quorum is more than there are providers in l2_rpc")
        if config.testnet:
            ports = {name: port for name, port in _TESTNET_PORTS.items() if name not in config.model_fields_set}
            return config.model_copy(update=ports)
        return config


#: What a setting may be in a file.
Setting = str | int | float | bool | list[str]


def commented_toml(**values: Setting) -> str:
    """A configuration file that names every setting; those in `values` are set, the others show their default."""
    _refuse_unknown(values, "commented_toml")
    lines = ["# Settings of an Allium node. A line that starts with # shows the default.", ""]
    for name, field in NodeConfig.model_fields.items():
        lines.append(f"# {field.description}")
        if name in values:
            lines.append(f"{name} = {_toml(values[name])}")
        elif field.is_required():
            lines.append(f"#{name} = (required)")
        else:
            default = field.get_default(call_default_factory=True)
            lines.append(f"#{name} = {_toml('' if default is None else default)}")
        lines.append("")
    return "\n".join(lines)


def _toml(value: Setting) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int):
        return str(int(value))
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise ConfigError(f"{value!r} has a control character; use a name without one")
    return f'"{escaped}"'


def _directory(path: Path) -> Path:
    """What names in the file `path` are relative to."""
    try:
        return path.resolve().parent
    except (OSError, RuntimeError) as error:  # its directory was deleted, or it is a link to itself
        raise ConfigError(f"{path}: {error}; name the file by its full path") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; `allium node init` writes one") from None
    except PermissionError:
        raise ConfigError(f"the configuration cannot be read: {denied(path)}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply to be settings") from None


def _refuse_unknown(values: Mapping[str, Any], where: str) -> None:
    known = list(NodeConfig.model_fields)
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(known)}"
            raise ConfigError(f"{where}: there is no setting {name!r}; {hint}")


def _refuse_misspelt(environment: Mapping[str, str]) -> None:
    """Variables of ours that look like a setting but are none. Others may be some other program's."""
    known = {ENVIRONMENT_PREFIX + name.upper() for name in NodeConfig.model_fields}
    for name in environment:
        if name.upper().startswith(ENVIRONMENT_PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.85)
            if near:
                raise ConfigError(f"environment variable {name} sets nothing; did you mean {near[0]}?")


def _complaint(detail: Any, where: str, options: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    variable = ENVIRONMENT_PREFIX + str(detail["loc"][0]).upper()
    source = f"environment variable {variable}" if variable in os.environ else f"{where}: {name}"
    if detail["loc"] and detail["loc"][0] in options:
        source = f"the command line: {name}"
    if detail["type"] == "missing":
        return f"{source} is not set; add it to the file or set {variable}"
    # Those of a provider's URL that cannot be used are as secret as of one that can.
    value = "" if detail["loc"][0] in ("l2_rpc", "cometbft_sync") else f" = {detail['input']!r}"
    if detail["type"] == "value_error":
        return f"{source}{value}: {detail['ctx']['error']}"
    return f"{source}{value}: {detail['msg'][0].lower()}{detail['msg'][1:]}"
