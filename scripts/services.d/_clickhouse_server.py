#!/usr/bin/env python3
"""A ClickHouse server for tests, without root, Docker or a package of the distribution.

chDB's C library, from npm, holds the whole engine of ClickHouse, its HTTP server included. Its function `chdb_query_cmdline` is
`clickhouse-local`, which knows SYSTEM START LISTEN: a query opens the listener, another writes down the port and the version, and a last one
reads a FIFO for as long as the server is to live. Nothing of the interface is imitated: every byte on the wire is ClickHouse's.

  _clickhouse_server.py fetch LIBRARIES                  downloads the pinned library once, prints its path
  _clickhouse_server.py serve --library FILE --data DIR  runs a server until SIGTERM

`serve` prints one line of JSON when connections are accepted: {"port": 41233, "version": "26.7.2.1"}. With --stop-on-eof it also ends with its
standard input, so that a test that dies leaves no server behind.

Unlike a server of its own: asynchronous inserts are carried out at once, there is no Keeper and so no replicated table, users are what --user
and --reader say and cannot be made by SQL, and the database `default` is an overlay: tests make their own ENGINE = Atomic.
"""
import argparse
import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path
from xml.sax.saxutils import escape

PACKAGE = "@chdb/lib-linux-x64-gnu"
VERSION = "26.7.3-stable.1"
SHA256 = "c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad"

# What clickhouse-local sets otherwise than a server, put back.
SERVER_DEFAULTS = [("implicit_select", "0"), ("allow_introspection_functions", "0"),
                   ("storage_file_read_method", "pread"), ("output_format_arrow_use_native_writer", "1")]


def fetch(libraries):
    """Downloads and unpacks the library (566 MB) unless it is there; half a download leaves nothing under its name."""
    target = libraries / VERSION / "libchdb.so"
    if not target.exists():
        libraries.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=libraries) as scratch:
            subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{VERSION}", "--pack-destination", scratch],
                           check=True, stdout=subprocess.DEVNULL)
            (package,) = Path(scratch).glob("*.tgz")
            with open(package, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != SHA256:
                sys.exit(f"{package.name}: its sha256 is {digest}, not {SHA256}")
            with tarfile.open(package) as tar, open(Path(scratch) / "libchdb.so", "wb") as out:
                shutil.copyfileobj(tar.extractfile("package/libchdb.so"), out)
            target.parent.mkdir(exist_ok=True)
            os.replace(Path(scratch) / "libchdb.so", target)
    return target


def tags(pairs):
    return "".join(f"<{name}>{escape(value)}</{name}>" for name, value in pairs)


def user(name, password, networks, profile, grants=()):
    # Without grants a user may do everything.
    queries = "".join(f"<query>{escape(grant)}</query>" for grant in grants)
    return (f"<{name}><password>{escape(password)}</password><networks>{networks}</networks><profile>{profile}</profile>"
            f"<quota>default</quota>{'<grants>' + queries + '</grants>' if grants else ''}</{name}>")


def configure(run, args):
    """Writes config.xml and users.xml, as small as a test server's may be."""
    server = [("listen_host", args.host), ("http_port", str(args.port)), ("users_config", str(run / "users.xml")),
              ("max_server_memory_usage", str(args.memory_mb << 20)), ("mark_cache_size", str(64 << 20)),
              ("uncompressed_cache_size", "0")]
    (run / "config.xml").write_text(f"<clickhouse><logger><log>{escape(str(run / 'server.log'))}</log></logger>"
                                    f"{tags(server)}</clickhouse>\n")
    # The engine's own session is `default` from 127.0.0.1, without a password.
    users = user("default", "", "<ip>::1</ip><ip>127.0.0.1</ip>", "default")
    for option, profile in ((args.user, "default"), (args.reader, "reader"), (args.strict_reader, "strict_reader")):
        users += "".join(user(*pair.split(":", 1), "<ip>::/0</ip>", profile) for pair in option)
    for granted in args.granted:
        name, password, *grants = granted.split(":")
        users += user(name, password, "<ip>::/0</ip>", "default", grants)
    profiles = "".join(f"<{name}>{tags(SERVER_DEFAULTS + own)}</{name}>" for name, own in
                       (("default", []), ("reader", [("readonly", "2")]), ("strict_reader", [("readonly", "1")])))
    (run / "users.xml").write_text(f"<clickhouse><profiles>{profiles}</profiles><users>{users}</users>"
                                   "<quotas><default/></quotas></clickhouse>\n")


def run_engine(library, argv):
    """clickhouse-local in this process; gives its error, or None."""
    lib = ctypes.CDLL(str(library))
    lib.chdb_query_cmdline.restype = ctypes.c_void_p
    lib.chdb_result_error.restype = ctypes.c_char_p
    lib.chdb_result_error.argtypes = [ctypes.c_void_p]
    c_argv = (ctypes.c_char_p * (len(argv) + 1))(*[os.fsencode(argument) for argument in argv], None)
    result = lib.chdb_query_cmdline(len(argv), c_argv)
    error = lib.chdb_result_error(result) if result else b"no result"
    return error.decode(errors="replace") if error else None


def quoted(path):
    return "'" + str(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


def queries(ready, fifo):
    return "; ".join([
        "SYSTEM START LISTEN HTTP",
        f"INSERT INTO FUNCTION file({quoted(ready)}, 'JSONEachRow') "
        "SELECT getServerPort('http_port') AS port, version() AS version",
        # Blocks for the life of the server; a FIFO cannot be mapped into memory.
        f"SELECT * FROM file({quoted(fifo)}, 'LineAsString', 'line String') FORMAT Null "
        "SETTINGS storage_file_read_method = 'read', max_execution_time = 0, log_queries = 0",
    ])


def wait_until_ready(ready, thread, patience):
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and thread.is_alive():
        text = ready.read_text() if ready.exists() else ""
        if text.endswith("\n"):
            return json.loads(text)
        time.sleep(0.01)
    return None


def serve(args):
    run = Path(tempfile.mkdtemp(prefix="clickhouse-test-"))
    args.data.mkdir(parents=True, exist_ok=True)
    configure(run, args)
    ready, fifo = run / "ready", run / "stop"
    os.mkfifo(fifo)
    # Read and write: opening does not wait, and the engine's read waits for us.
    stop = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
    argv = ["clickhouse", "--config-file", str(run / "config.xml"), "--path", str(args.data), "--log-level", "warning",
            "--query", queries(ready, fifo)]

    # Signals are blocked in every thread, the engine's included, and taken by sigwait below.
    stops = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    # The engine talks on standard output, which is for the line of JSON alone.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    outcome = []

    def engine():
        try:
            outcome.append(run_engine(args.library, argv))
        except Exception as error:  # for example: not a shared library
            outcome.append(repr(error))
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=engine, daemon=True)
    thread.start()
    started = wait_until_ready(ready, thread, args.start_timeout)
    if started is None:
        thread.join(0.2)
        why = outcome[0] if outcome else f"not ready after {args.start_timeout} s"
        print(f"ClickHouse does not start: {why} (see {run})", file=sys.stderr, flush=True)
        os._exit(1)
    print(json.dumps(started), file=out, flush=True)
    if args.stop_on_eof:
        threading.Thread(target=stop_on_eof, daemon=True).start()

    signal.sigwait(stops)
    os.close(stop)  # the end of the last query's input: listeners stop, tables are flushed
    thread.join(30)
    clean = not thread.is_alive() and outcome == [None]
    if clean:
        shutil.rmtree(run, ignore_errors=True)
    else:
        print(f"ClickHouse ended badly: {outcome or 'still running'} (see {run})", file=sys.stderr, flush=True)
    os._exit(0 if clean else 1)  # without the library's destructors


def stop_on_eof():
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fetch")
    one.add_argument("libraries", type=Path)
    one = commands.add_parser("serve")
    one.add_argument("--library", type=Path, required=True)
    one.add_argument("--data", type=Path, required=True, help="where tables lie; stays")
    one.add_argument("--host", default="127.0.0.1")
    one.add_argument("--port", type=int, default=0, help="0: any free one")
    one.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD")
    one.add_argument("--reader", action="append", default=[], metavar="NAME:PASSWORD", help="readonly = 2")
    one.add_argument("--strict-reader", action="append", default=[], metavar="NAME:PASSWORD", help="readonly = 1")
    one.add_argument("--granted", action="append", default=[], metavar="NAME:PASSWORD:GRANT…",
                     help="with these rights alone: GRANT SELECT ON a.b")
    one.add_argument("--memory-mb", type=int, default=2048)
    one.add_argument("--start-timeout", type=float, default=60)
    one.add_argument("--stop-on-eof", action="store_true")
    args = parser.parse_args()
    if args.command == "fetch":
        print(fetch(args.libraries))
    else:
        serve(args)


if __name__ == "__main__":
    main()
