"""`python -m dashboard`: the whole product as one process tree, from the database to the page.

    this process ── PostgreSQL (unless DATABASE_URL is set)
                 ├─ gunicorn ── pages
                 ├─ gunicorn ── web processes, which take in readings and hand on everything else to the pages
                 ├─ alerting
                 └─ simulated fleet (with --simulate)

Ctrl-C or SIGTERM ends it in the opposite order of its start. A part that dies is started again. None outlives this process.
"""

import contextlib
import http.client
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError
from rich.console import Console
from rich.logging import RichHandler

import config
from dashboard.children import Child
from db import machine
from db.embedded import BinariesMissing, EmbeddedPostgres, EmbeddedPostgresError, wal_dir
from db.schema import migrate
from edge.headers import tiles_source
from edge.openness import Openness, refusal

READY_WITHIN_S = 90.0
GRACE_S = 8  # what a web process gets to answer what it has begun
WORKER_SILENT_S = 60  # a web process whose main loop hangs this long is replaced
CONNECTIONS = 4000  # open sockets per web process: devices keep theirs open and only threads are scarce
BACKLOG = 2048  # connections that may wait to be taken
WEB_FAILURES = 5  # deaths in a row after which we give up instead of staying half alive
CANNOT_START = 2  # exit code: something outside must be changed first
FAILED = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

log = logging.getLogger("dashboard")
console = Console()


class CannotStart(Exception):
    """One line about what to change; exit code 2."""


class Failed(Exception):
    """A part of the tree does not stay up; exit code 1."""


class StopAsked(BaseException):
    """Someone wants us to end. Not an Exception: nothing on the way may take it for an error."""


@click.command()
@click.option(
    "--simulate", "vehicles", type=click.IntRange(min=1), metavar="N", help="Also run a fleet of N simulated vehicles and meters."
)
def main(vehicles: int | None) -> None:
    """Run Voltledger: its database, its web server and, if asked, a simulated fleet."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=console, show_path=False)])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    sys.exit(run(vehicles))


def run(vehicles: int | None) -> int:
    """Runs until asked to stop. Returns the exit code."""
    for number in STOP_SIGNALS:
        if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):  # started with nohup
            signal.signal(number, _ask_to_stop)
    _raise_file_limit()
    try:
        with contextlib.ExitStack() as tree:
            _grow(tree, load_settings(), vehicles)
    except StopAsked:
        return 0
    except CannotStart as error:
        return _say(str(error), CANNOT_START)
    except Failed as error:
        return _say(str(error), FAILED)


def _ask_to_stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """Once is enough: the end takes a bounded time, and a second Ctrl-C must not leave half of it."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise StopAsked


def _raise_file_limit() -> None:
    """Lets us and our children open as many sockets as the system allows; the usual 1,024 are few for devices."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say(message: str, code: int) -> int:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return code


def _grow(tree: contextlib.ExitStack, settings: config.Settings, vehicles: int | None) -> NoReturn:
    """Starts part after part on `tree`, which ends them in the opposite order, and keeps them running."""
    refuse_what_is_unsafe(settings)
    listener = tree.enter_context(listen(settings.host, settings.port))
    address = address_of(listener)
    database = open_database(settings, tree)
    judging = config.child_environment(settings.model_copy(update={"database_url": database}))
    pages = start_pages(settings, database, tree) if settings.pages_processes else None
    web = tree.enter_context(
        Child(
            "The web server",
            gunicorn_argv(settings, listener, database, pages),
            stop_within_s=GRACE_S + 2,
            pass_fds=[listener.fileno()],
        )
    )
    tree.callback(listener.close)  # before gunicorn ends: nobody shall wait in a queue that is not served any more
    wait_until_ready(web, address)
    if pages:
        wait_until_answered(pages)
    say_welcome(address)
    children = [
        web,
        *([pages.child] if pages else []),
        tree.enter_context(Child("The alerting", [sys.executable, "-m", "alerting"], stop_within_s=GRACE_S, environment=judging)),
    ]
    if vehicles:
        children.append(
            tree.enter_context(Child("The simulated fleet", simulator_argv(address, vehicles), stop_within_s=5, may_finish=True))
        )
    tree.callback(_print, "Stopping …")
    keep_running(children)


def load_settings() -> config.Settings:
    """The settings, or CannotStart naming each wrong one (but not its value, which may be a secret)."""
    try:
        return config.load()
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in error.errors())
        raise CannotStart(f"Settings (see .env.example): {wrong}") from None


def refuse_what_is_unsafe(settings: config.Settings) -> None:
    """Raises CannotStart where strangers would get more than somebody has decided."""
    if line := refusal(Openness.of(settings), settings.database_url, config.debug_asked()):
        raise CannotStart(line)
    try:
        if settings.map_tiles_url:
            tiles_source(settings.map_tiles_url)
    except ValueError as error:
        raise CannotStart(f"VOLTLEDGER_MAP_TILES_URL: {error}") from None


def listen(host: str, port: int) -> socket.socket:
    """The socket we serve on. Ours, not gunicorn's: while the web server is started again, devices wait instead of being refused."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise CannotStart(
            f"Cannot listen on {host} port {port} ({error}): stop what uses it, or set VOLTLEDGER_PORT to another one"
        ) from None


def address_of(listener: socket.socket) -> str:
    """The http:// address under which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def open_database(settings: config.Settings, tree: contextlib.ExitStack) -> str:
    """The URL of a database with our tables: DATABASE_URL's, else that of an embedded server, started on `tree`. Raises CannotStart."""
    if settings.database_url:
        check_database(settings.database_url)
        url = settings.database_url
    else:
        try:
            buffers_mb = settings.shared_buffers_mb or machine.shared_buffers_mb(machine.memory_bytes())
            url = tree.enter_context(EmbeddedPostgres(settings.data_dir, shared_buffers_mb=buffers_mb, ballast_mb=settings.ballast_mb)).url
        except (BinariesMissing, EmbeddedPostgresError, OSError) as error:
            raise CannotStart(str(error)) from None
    migrate(url)
    return url


def check_database(url: str) -> None:
    """Raises CannotStart, without the password, when DATABASE_URL cannot be used."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise CannotStart("DATABASE_URL is not of the form postgresql://user:password@host:port/database") from None
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        place = f"{parts.get('host', 'localhost')}, database {parts.get('dbname', 'not named')}, user {parts.get('user', 'not named')}"
        reason = str(error).strip().splitlines()[-1].strip()
        raise CannotStart(f"DATABASE_URL does not answer ({place}): {reason}") from None


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages' process and the Unix socket on which it is asked."""

    child: Child
    socket_path: str


def start_pages(settings: config.Settings, database: str, tree: contextlib.ExitStack) -> Pages:
    """On `tree`. It ends after the web server, which may wait for its answers. Only this user can open the socket: who can is believed."""
    folder = tree.enter_context(tempfile.TemporaryDirectory(prefix="voltledger-"))
    listener = tree.enter_context(socket.socket(socket.AF_UNIX))
    bound, path = str(Path(folder) / "bound"), str(Path(folder) / "pages")
    listener.bind(bound)
    os.link(bound, path)  # gunicorn removes the name it was bound to when it ends, also when it is started again after that
    listener.listen(BACKLOG)
    child = Child("The pages", pages_argv(settings, listener, database), stop_within_s=GRACE_S + 2, pass_fds=[listener.fileno()])
    return Pages(tree.enter_context(child), path)


def gunicorn_argv(settings: config.Settings, listener: socket.socket, database: str, pages: Pages | None) -> list[str]:
    """The web server's command. What it does not say, the application reads from the same settings as we do."""
    own = {
        "--worker-class": "api.worker.TelemetryWorker",
        "--workers": str(settings.web_processes),
        "--worker-connections": str(CONNECTIONS),
    }
    variables = {config.PAGES_SOCKET: pages.socket_path} if pages else {}
    application = "dashboard.front:create_app()" if pages else "dashboard.app:create_app()"
    return _argv(settings, listener, database, own, variables, application)


def pages_argv(settings: config.Settings, listener: socket.socket, database: str) -> list[str]:
    """The command of the pages' server."""
    own = {"--worker-class": "gthread", "--workers": str(settings.pages_processes)}
    return _argv(settings, listener, database, own, {}, "dashboard.app:create_pages()")


def _argv(
    settings: config.Settings,
    listener: socket.socket,
    database: str,
    own: Mapping[str, str],
    variables: Mapping[str, str],
    application: str,
) -> list[str]:
    options = {
        "--bind": f"fd://{listener.fileno()}",
        **own,
        "--threads": str(settings.web_threads),
        "--timeout": str(WORKER_SILENT_S),
        "--graceful-timeout": str(GRACE_S),
        "--keep-alive": "75",  # longer than a minute: a device that reports every minute keeps its connection
        "--log-level": "warning",
    }
    if not settings.database_url:  # only the embedded server's URL, which holds no secret: other users can see a command's arguments
        variables = {**variables, "DATABASE_URL": database}
        if settings.wal_dir is None:
            variables["VOLTLEDGER_WAL_DIR"] = str(wal_dir(settings.data_dir))
    flat = [part for option in options.items() for part in option]
    flat += [part for name, value in variables.items() for part in ("--env", f"{name}={value}")]
    # A control socket of a fixed name would be taken over by a second instance.
    return [sys.executable, "-m", "gunicorn", *flat, "--no-control-socket", application]


def simulator_argv(address: str, vehicles: int) -> list[str]:
    """The command of the simulated fleet."""
    return [sys.executable, "-m", "simulator", "run", "--url", address, "--vehicles", str(vehicles)]


def wait_until_ready(web: Child, address: str) -> None:
    """Returns when the web server says it is ready. Raises Failed when it dies first or takes too long."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not is_ready(address):
        if not web.alive:
            raise Failed("The web server ended while it was starting; the reason stands above")
        if time.monotonic() > deadline:
            raise Failed(f"The web server is not ready after {READY_WITHIN_S:.0f} s: see {address}/readyz")
        time.sleep(0.1)


def wait_until_answered(pages: Pages) -> None:
    """Returns when the pages' server answers; the web server is there already. Raises Failed when it dies first or takes too long."""
    deadline = time.monotonic() + READY_WITHIN_S
    while not is_answered(pages.socket_path):
        if not pages.child.alive:
            raise Failed("The pages' server ended while it was starting; the reason stands above")
        if time.monotonic() > deadline:
            raise Failed(f"The pages' server does not answer after {READY_WITHIN_S:.0f} s")
        time.sleep(0.1)


def is_answered(path: str) -> bool:
    """Whether whoever listens on the Unix socket answers /healthz."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(2)
            line.connect(path)
            line.sendall(b"GET /healthz HTTP/1.1\r\nHost: pages\r\nConnection: close\r\n\r\n")
            return line.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def is_ready(address: str) -> bool:
    """Whether /readyz answers 200, asked directly and never through a proxy."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{address}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def say_welcome(address: str) -> None:
    """Prints where to look and a command that can be copied as it stands."""
    reading = '{"vehicleId":"my-van","soc":54.2,"kwhDeliveredDc":0.82,"batteryTemp":31.5,"timestamp":"\'$(date -u +%Y-%m-%dT%H:%M:%SZ)\'"}'
    _print(f"\nVoltledger is ready: {address}\n", style="bold green")
    _print("Send a reading:")
    _print(f"curl {address}/v1/telemetry/vehicle -H 'Content-Type: application/json' -d '{reading}'\n", style="cyan")
    _print("Ctrl-C stops everything.")


def _print(text: str, style: str | None = None) -> None:
    """Prints the text as it is, on one line however narrow the terminal. A terminal that was closed is no reason to fail."""
    with contextlib.suppress(OSError):
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def keep_running(children: list[Child]) -> NoReturn:
    """Tends the children until asked to stop. Raises Failed when the first one, the web server, does not stay up."""
    while True:
        for child in children:
            child.tend()
        if children[0].failures >= WEB_FAILURES:
            raise Failed(f"The web server ended {WEB_FAILURES} times in a row; the reasons stand above")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
