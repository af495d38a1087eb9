"""Every option, in the order of the help. Times are seconds."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from freelane.settings.option import Option, option

TRANSPORTS = ("auto", "rsgi", "asgi")
LOG_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")
HTTP = ("auto", "1", "2", "h11", "httptools", "zttp")
LOOPS = ("auto", "none", "asyncio", "uvloop", "zuvloop")
WEBSOCKETS = ("auto", "none", "websockets", "websockets-sansio", "wsproto")
SWITCH = ("on", "off")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How to serve an app. Made by ``resolve``; raises ConfigError for a value that cannot be used."""

    # fmt: off
    factory: bool = option(False, "the target is a function that returns the app", "app", common=True, uvicorn="")
    app_dir: str | None = option(None, "directory to import the app from", "app", uvicorn="", metavar="DIR")
    interface: str = option("auto", "what the app speaks; wsgi needs a2wsgi", "app",
        choices=("auto", "asgi3", "asgi2", "wsgi"), uvicorn="wsgi through a2wsgi, which uvicorn recommends as well")
    lifespan: str = option("auto", "run the app's lifespan; on: fail without", "app", choices=("auto", "on", "off"),
        uvicorn="")
    root_path: str = option("", "path prefix that a proxy strips (ASGI root_path)", "app", uvicorn="", metavar="PATH")
    env_file: str | None = option(None, "file of environment variables, for the app and for options", "app",
        uvicorn="", metavar="FILE")
    reset_contextvars: bool = option(False, "hide context variables set in the lifespan from requests", "app",
        uvicorn="")
    compiled: bool = option(False, "import what `freelane build` compiled, where it is of exactly this source", "app")
    alias: str | None = option(None, "module name that stands for freelane.adapters.pyre: pyreframework", "app", metavar="NAME")

    host: str = option("127.0.0.1", "address to listen on", "address", common=True, uvicorn="")
    port: int = option(8000, "port to listen on; 0 takes a free one", "address", minimum=0, common=True,
        uvicorn="also read from PORT", environment=("PORT",))
    uds: str | None = option(None, "Unix socket to listen on instead", "address", common=True,
        uvicorn="", metavar="PATH")
    fd: int | None = option(None, "listening socket that this process was started with", "address", minimum=0,
        uvicorn="TCP or Unix, one worker process or several; LISTEN_FDS of systemd is seen by itself")
    backlog: int = option(2048, "connections that may wait in the socket", "address", minimum=1, uvicorn="")

    workers: int = option(1, "processes, each with the whole app", "workers", minimum=1, common=True, uvicorn="",
        environment=("WEB_CONCURRENCY",))
    loops: int = option(1, "event loops in each process, each on a thread of its own", "workers", minimum=1)
    loop: str = option("auto", "event loop, or module:factory", "workers", choices=LOOPS, open=True,
        uvicorn="asyncio's loop unless `module:factory` is given", heeded=("none", "asyncio", ":"),
        inert="asyncio's loop is used: the sockets, which {value} would make quicker, are Granian's here")
    threads: int = option(40, "`def` endpoints that may run at once, per worker", "workers", minimum=1, common=True)
    threads_backlog: int = option(1000, "`def` calls that may wait for a thread before 503", "workers", minimum=0)
    batch: bool = option(True, "run under SCHED_BATCH while under load, where the system has it", "workers")

    limit_concurrency: int | None = option(None, "requests at once before 503", "limits", minimum=0,
        uvicorn="counts requests and WebSockets, not idle connections")
    limit_max_requests: int | None = option(None, "requests after which a new process takes over", "limits", minimum=1,
        uvicorn="a new process takes over the socket before the old one ends")
    limit_max_requests_jitter: int = option(0, "at most so many more, by chance", "limits", minimum=0, uvicorn="")
    limit_max_rss: int | None = option(None, "memory, in MiB, at which a new process takes over", "limits", minimum=1)
    request_timeout: float | None = option(None, "seconds until a request is answered 504", "limits", minimum=0.001)
    timeout_keep_alive: int | None = option(None, "seconds a connection may be idle (default: 30)", "limits", minimum=0,
        uvicorn="the time for a request's head, too; 30 unless given, 60 at most; 0 closes after each answer")
    timeout_graceful_shutdown: int | None = option(None, "uvicorn's name for --shutdown-timeout", "limits", minimum=0,
        uvicorn="the same as `--shutdown-timeout`, which is 30")
    timeout_worker_healthcheck: int = option(5, "uvicorn's; processes are watched by their end", "limits", minimum=0,
        uvicorn="workers are watched by their end, not asked",
        inert="worker processes are watched by their end, and need no health check")
    shutdown_timeout: int = option(30, "seconds that running requests get on shutdown", "limits", minimum=0, common=True)
    drain_delay: float = option(0.0, "seconds to go on serving after SIGTERM, --health-path answering 503", "limits",
        minimum=0)
    health_path: str | None = option(None, "answer liveness and readiness there, without the app", "limits", metavar="PATH")

    reload: bool = option(False, "start again when a file changes (`freelane dev` does)", "reload", common=True,
        uvicorn="")
    reload_dirs: list[str] = option([], "directory to watch (repeatable)", "reload", name="reload-dir",
        uvicorn="", metavar="DIR")
    reload_includes: list[str] = option([], "pattern of files to watch (repeatable; default: *.py)", "reload",
        name="reload-include", uvicorn="", metavar="GLOB")
    reload_excludes: list[str] = option([], "pattern of files not to watch (repeatable)", "reload",
        name="reload-exclude", uvicorn="", metavar="GLOB")
    reload_delay: float = option(0.25, "seconds between two looks at the files", "reload", minimum=0, uvicorn="")

    log_level: str = option("info", "least level to log", "logs", choices=LOG_LEVELS, common=True,
        uvicorn="trace is debug here")
    log_config: str | None = option(None, "logging configuration: .json, .yaml or .ini", "logs",
        uvicorn="`uvicorn.error` and `uvicorn.access` in it are freelane's loggers", metavar="FILE")
    log_format: str = option("text", "form of every line", "logs", choices=("text", "json"))
    access_log: bool = option(False, "log every request", "logs", common=True,
        uvicorn="off unless given; on with `freelane dev`")
    access_log_format: str | None = option(None, "its form: %(client_addr)s %(request_line)s %(status_code)s ...", "logs",
        metavar="FORMAT")
    use_colors: bool | None = option(None, "colours in the log (default: at a terminal)", "logs", uvicorn="")
    show_lanes: bool = option(False, "answer with freelane-lane, -thread and -gil headers", "logs")
    metrics_port: int | None = option(None, "port of the Prometheus page, on --host", "logs", minimum=0)

    proxy_headers: bool = option(True, "believe X-Forwarded-For and -Proto of trusted proxies", "proxy", uvicorn="")
    forwarded_allow_ips: str = option("127.0.0.1,::1", "proxies to trust: addresses, networks, the --uds path or *", "proxy",
        uvicorn="the path of `--uds` trusts who connects there", environment=("FORWARDED_ALLOW_IPS",), metavar="LIST")
    headers: list[str] = option([], "header of every response, NAME:VALUE (repeatable)", "proxy", name="header",
        uvicorn="", separator="\n", metavar="NAME:VALUE")
    server_header: bool = option(True, "name the server in a header", "proxy",
        uvicorn="Granian always sends one: without it, it is empty",
        inert="Granian always sends a Server header: it is empty")
    date_header: bool = option(True, "the date in a header", "proxy", uvicorn="Granian, in hyper, always sends one",
        inert="Granian, in hyper, always sends the header")

    ssl_certfile: str | None = option(None, "TLS certificate chain, PEM", "tls", common=True,
        uvicorn="", metavar="FILE")
    ssl_keyfile: str | None = option(None, "TLS private key, PEM (default: in the certificate's file)", "tls", common=True,
        uvicorn="PKCS#8; other forms need `freelane[standard]`", metavar="FILE")
    ssl_keyfile_password: str | None = option(None, "password of the key", "tls", uvicorn="")
    ssl_ca_certs: str | None = option(None, "CA certificates that clients are checked against, PEM", "tls",
        uvicorn="", metavar="FILE")
    ssl_client_verify: bool = option(False, "require client certificates", "tls")
    ssl_cert_reqs: int = option(0, "client certificates: 1 is checked where there is one, 2 required", "tls",
        choices=("0", "1", "2"), uvicorn="against `--ssl-ca-certs`, which 2 needs")
    ssl_version: int = option(17, "uvicorn's: a number of the ssl module", "tls", uvicorn="TLS 1.2 and 1.3 are served",
        inert="TLS 1.2 and 1.3 are served")
    ssl_ciphers: str | None = option(None, "uvicorn's: OpenSSL's list of ciphers", "tls",
        uvicorn="rustls has safe ciphers only", inert="rustls chooses among safe ciphers only")

    transport: str = option("auto", "Granian protocol the app is served through", "protocol", choices=TRANSPORTS)
    http: str = option("auto", "HTTP version: auto, 1 or 2", "protocol", choices=HTTP, open=True,
        uvicorn="Granian's parser in any case; `1` and `2` choose a version", heeded=("1", "2"),
        inert="HTTP is parsed by Granian, in Rust")
    http2: bool = option(False, "uvicorn's; HTTP/2 is served in any case", "protocol",
        uvicorn="HTTP/2 is served in any case, unless `--http 1`", inert="HTTP/2 is served in any case")
    ws: str = option("auto", "WebSockets: auto or none", "protocol", choices=WEBSOCKETS, open=True,
        uvicorn="Granian's implementation in any case; `none` turns them off", heeded=("none",),
        inert="WebSockets are Granian's, in Rust")
    ws_max_size: int = option(16 << 20, "bytes of a WebSocket message before 1009", "protocol", minimum=1, uvicorn="")
    ws_max_queue: int = option(32, "uvicorn's; messages are read as the app takes them", "protocol",
        uvicorn="messages are read as the app takes them", inert="WebSocket messages are read as the app takes them")
    ws_ping_interval: float = option(20.0, "seconds of silence before the kernel looks for the client", "protocol", minimum=0,
        uvicorn="TCP keep-alive finds a client that is gone; no ping frames")
    ws_ping_timeout: float = option(20.0, "seconds it has to answer", "protocol", minimum=0,
        uvicorn="TCP keep-alive, as above")
    ws_per_message_deflate: bool = option(True, "uvicorn's; messages are not compressed", "protocol", valued=True,
        uvicorn="messages are not compressed", inert="WebSocket messages are not compressed here in any case")
    h11_max_incomplete_event_size: int | None = option(None, "bytes of a request's head", "protocol", minimum=1,
        uvicorn="Granian's buffer for a head, 8192 at least")

    gil: list[str] = option([], "for the gil lane: module:function, /path/*, or module:EXTENSION (repeatable)", "gil",
        metavar="NAME")
    gil_auto: str = option("on", "find the endpoints that need the GIL, for the gil lane", "gil", choices=SWITCH)
    gil_workers: int = option(1, "processes of the gil lane", "gil", minimum=1)
    gil_timeout: float = option(30.0, "seconds until a request of the gil lane is answered 504", "gil", minimum=0)
    gil_backlog: int = option(1000, "requests that may wait for the gil lane before 503", "gil", minimum=0)
    gil_max_rss: int | None = option(None, "memory of a gil lane process, in MiB, at which it is ended", "gil", minimum=1)
    gil_max_requests: int | None = option(None, "requests after which a gil lane process is replaced", "gil", minimum=1)
    gil_python: str | None = option(None, "interpreter of the gil lane, for wheels that need one with the GIL", "gil",
        metavar="PYTHON")

    shadow: str | None = option(None, "copy requests to this side and compare its answers", "migration", metavar="SIDE")
    shadow_methods: list[str] = option([], "method to copy as well as GET, HEAD and OPTIONS (repeatable)", "migration",
        name="shadow-method", metavar="METHOD")
    shadow_ignore: list[str] = option([], "not compared: 'header NAME', headers, or $.path of JSON (repeatable)", "migration",
        metavar="PLACE")
    shadow_backlog: int = option(1000, "copies that may wait before more are dropped", "migration", minimum=1)
    canary: str | None = option(None, "let this side answer a share: '5% module:app'", "migration", metavar="'N% SIDE'")
    canary_by: str = option("client", "what keeps to its side: client, header:NAME or cookie:NAME", "migration",
        choices=("client", "header:NAME", "cookie:NAME"), open=True)
    route: list[str] = option([], "side of a path: '[METHODS] /v1/*=SIDE' (repeatable)", "migration", separator="\n",
        metavar="PATH=SIDE")
    strangle: bool = option(False, "serve the paths of [tool.freelane.migration], and all else from the old app", "migration")
    redact: list[str] = option([], "header, cookie, parameter or field that is never written (repeatable)", "migration",
        metavar="NAME")
    side_timeout: float = option(30.0, "seconds that another side has to answer", "migration", minimum=0.001)
    side_errors: float = option(10.0, "percent of a side's last answers that may fail before it is switched off", "migration",
        minimum=0)
    side_retry: float = option(10.0, "seconds until it is tried again", "migration", minimum=0.001)
    migration_file: str | None = option(None,
        "where the way over is kept (default: pyproject.toml, or freelane-migration.toml)", "migration", metavar="FILE")
    migration_page: int | None = option(None, "port of the page that shows the way over, on loopback", "migration", minimum=0)
    # fmt: on

    def __post_init__(self) -> None:
        from freelane.settings import checks

        checks.check(self)

    @property
    def tls(self) -> bool:
        return self.ssl_certfile is not None

    @property
    def http_versions(self) -> str:
        """``auto``, ``1`` or ``2``, as Granian takes it."""
        return self.http if self.http in ("1", "2") else "auto"

    @property
    def loading(self) -> dict[str, Any]:
        """What ``loader.load`` wants of the settings."""
        return {
            "factory": self.factory,
            "app_dir": self.app_dir,
            "alias": self.alias,
            "interface": self.interface,
            "compiled": self.compiled,
        }

    @property
    def logging(self) -> dict[str, Any]:
        """What ``server.logs`` wants of the settings."""
        names = ("log_level", "log_config", "log_format", "use_colors")
        return {name: getattr(self, name) for name in names}

    @property
    def migrates(self) -> bool:
        """Whether another app has a part in answering."""
        return bool(self.shadow or self.canary or self.route or self.strangle)

    @property
    def measured(self) -> bool:
        """Whether somebody wants to know how long requests take."""
        return self.metrics_port is not None or self.access_log and not self.plain_access_log

    @property
    def plain_access_log(self) -> bool:
        """Whether the access log is as uvicorn's."""
        return self.log_format == "text" and self.access_log_format is None

    @property
    def patience(self) -> int:
        """Seconds that running requests get on shutdown."""
        return self.shutdown_timeout if self.timeout_graceful_shutdown is None else self.timeout_graceful_shutdown


@cache
def options() -> dict[str, Option]:
    """What is known of each setting, by its name."""
    return {item.name: item.metadata["option"] for item in fields(Settings)}


@cache
def kinds() -> dict[str, type]:
    """The plain type of each setting: str, int, float, bool, or list for several str."""
    hints = get_type_hints(Settings)
    return {
        name: list if get_origin(hint) is list else next((arg for arg in get_args(hint) if arg is not type(None)), hint)
        for name, hint in hints.items()
    }


def defaults() -> dict[str, Any]:
    return {item.name: item.default if item.default_factory is MISSING else item.default_factory() for item in fields(Settings)}


def flag(name: str) -> str:
    """The option of a setting on the command line."""
    known = options().get(name)
    return "--" + (known.name if known is not None and known.name else name.replace("_", "-"))
