"""What the comparisons share: the made-up rows, the contestants' turns, and the table of ratios.

Every round runs each contestant once, one after another, so that a noisy minute hits all of them. Printed are medians
as ratios to Vitrina's, and each one's peak memory.
"""

import os
import pathlib
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import uuid
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
WORK = TARGET / "compare"

COLUMNS = """
  id INTEGER PRIMARY KEY, happened_at TEXT NOT NULL, manager_id INTEGER NOT NULL, client_id INTEGER NOT NULL,
  action TEXT NOT NULL, region TEXT NOT NULL, amount REAL, paid INTEGER NOT NULL, comment TEXT, day TEXT NOT NULL
"""

ROWS = """
INSERT INTO actions
WITH RECURSIVE n(i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {stop})
SELECT i + 1,
       strftime('%Y-%m-%dT%H:%M:%fZ', 1767225600 + i * 0.5, 'unixepoch'),
       (i * 7919) % 120 + 1, (i * 104729) % 50000 + 1,
       CASE i % 4 WHEN 0 THEN 'call' WHEN 1 THEN 'meeting' WHEN 2 THEN 'offer' ELSE 'lead' END,
       CASE i % 3 WHEN 0 THEN 'Центр' WHEN 1 THEN 'Северо-Запад' ELSE 'Волга' END,
       CASE WHEN i % 5 = 0 THEN NULL ELSE ((i * 31) % 250000) / 100.0 END,
       i % 2,
       CASE WHEN i % 3 = 0 THEN NULL ELSE 'комментарий ' || (i % 1000) END,
       strftime('%Y-%m-%d', 1767225600 + i * 0.5, 'unixepoch')
FROM n
"""

# The contract of those rows, as a pipeline writes it.
CONTRACT = """
[source.columns]
id = "int64"
happened_at = "timestamp(ms, UTC)"
manager_id = "int64"
client_id = "int64"
action = "text"
region = "text"
amount = { type = "float64", nullable = true }
paid = "bool"
comment = { type = "text", nullable = true }
day = "date"
"""

# The same rows as a table of PostgreSQL.
POSTGRES_COLUMNS = """
  id bigint NOT NULL, happened_at timestamptz NOT NULL, manager_id bigint NOT NULL, client_id bigint NOT NULL,
  action text NOT NULL, region text NOT NULL, amount double precision, paid boolean NOT NULL, comment text, day date NOT NULL
"""


def make_database(rows):
    """A SQLite file of so many rows; kept for the next time."""
    path = WORK / f"actions-{rows}.db"
    if path.exists():
        return path
    WORK.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    database = sqlite3.connect(part)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"CREATE TABLE actions ({COLUMNS})")
    for start in range(0, rows, 500_000):
        database.execute(ROWS.format(start=start, stop=min(start + 500_000, rows)))
        database.commit()
    database.close()
    part.rename(path)
    return path


def environment(*packages):
    """The Python of a virtual environment below the target folder that has these packages."""
    folder = WORK / "venv"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    known = folder / "installed"
    have = known.read_text().split() if known.exists() else []
    if set(packages) - set(have):
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        known.write_text("\n".join(sorted({*have, *packages})))
    return python


def binary():
    """Vitrina, built for release; or the program that VITRINA_PROGRAM names, to try a script at a small size."""
    if program := os.environ.get("VITRINA_PROGRAM"):
        return pathlib.Path(program)
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    return TARGET / "release" / "vitrina"


def services(*names):
    """Starts real servers on loopback; what `scripts/services up` prints becomes this process's environment."""
    output = subprocess.run([ROOT / "scripts" / "services", "up", *names], check=True, capture_output=True, text=True)
    for name, value in re.findall(r"^export (\w+)=(.*)$", output.stdout, re.MULTILINE):
        os.environ[name] = value
    for ours, theirs in {"HOST": "HOST", "PORT": "PORT", "DATABASE": "DATABASE", "USER": "USER", "PASSWORD": "PASSWORD"}.items():
        if value := os.environ.get(f"VITRINA_POSTGRES_{ours}"):
            os.environ[f"PG{theirs}"] = value


def fresh(name):
    """A name that no earlier round took."""
    return f"{name}_{uuid.uuid4().hex[:8]}"


KAFKA = """
[connections.stream]
kind = "kafka"
brokers = [{ env = "VITRINA_KAFKA_BROKERS" }]
"""

POSTGRES = """
[connections.warehouse]
kind = "postgres"
host = { env = "VITRINA_POSTGRES_HOST" }
port = { env = "VITRINA_POSTGRES_PORT" }
database = { env = "VITRINA_POSTGRES_DATABASE" }
user = { env = "VITRINA_POSTGRES_USER" }
password = { env = "VITRINA_POSTGRES_PASSWORD" }
"""


CLICKHOUSE = """
[connections.analytics]
kind = "clickhouse"
url = { env = "VITRINA_CLICKHOUSE_URL" }
database = { env = "VITRINA_CLICKHOUSE_DATABASE" }
user = { env = "VITRINA_CLICKHOUSE_USER" }
password = { env = "VITRINA_CLICKHOUSE_PASSWORD" }
"""

# The same rows as a table of ClickHouse.
CLICKHOUSE_COLUMNS = """
  id Int64, happened_at DateTime64(3, 'UTC'), manager_id Int64, client_id Int64, action String, region String, amount Nullable(Float64), paid Bool,
  comment Nullable(String), day Date32
"""

# The made-up rows, by the server itself.
CLICKHOUSE_ROWS = """
INSERT INTO {table} SELECT number + 1, toDateTime64(1767225600 + number * 0.5, 3, 'UTC'), (number * 7919) % 120 + 1, (number * 104729) % 50000 + 1,
  ['call', 'meeting', 'offer', 'lead'][number % 4 + 1], ['Центр', 'Северо-Запад', 'Волга'][number % 3 + 1],
  if(number % 5 = 0, NULL, ((number * 31) % 250000) / 100.0), number % 2 = 1, if(number % 3 = 0, NULL, 'комментарий ' || toString(number % 1000)),
  toDate32('2026-01-01') + intDiv(number, 172800)
FROM numbers({rows})
"""


def sqlite(path):
    return f'[connections.bot]\nkind = "sqlite"\npath = "{path}"\n'


DELTA = '[connections.lake]\nkind = "delta"\npath = "lake"\n'


def project(connections, pipeline):
    """A new project folder with one pipeline, `actions`."""
    folder = WORK / "project"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "pipelines").mkdir(parents=True)
    head = f'[project]\nname = "{fresh("compare")}"\ntime_zone = "Europe/Moscow"\n'
    (folder / "vitrina.toml").write_text("\n".join([head, *connections]))
    (folder / "pipelines" / "actions.toml").write_text(pipeline)
    return folder


def psql(statement):
    subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-c", statement], check=True, stdout=subprocess.DEVNULL)


def clickhouse(statement):
    """The text of its answer."""
    request = urllib.request.Request(clickhouse_url(), data=statement.encode(), headers=clickhouse_headers())
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def clickhouse_url(statement=None):
    """Where the server is asked; with a statement whose rows follow, or whose rows are the answer."""
    settings = {"database": os.environ["VITRINA_CLICKHOUSE_DATABASE"], **({"query": statement} if statement else {})}
    return f"{os.environ['VITRINA_CLICKHOUSE_URL']}/?{urllib.parse.urlencode(settings)}"


def clickhouse_headers():
    return {"X-ClickHouse-User": os.environ["VITRINA_CLICKHOUSE_USER"], "X-ClickHouse-Key": os.environ["VITRINA_CLICKHOUSE_PASSWORD"]}


def curl(statement, *options):
    """A command that asks ClickHouse as bare as can be."""
    headers = [part for name, value in clickhouse_headers().items() for part in ("-H", f"{name}: {value}")]
    return ["curl", "-sS", "--fail", *headers, *options, clickhouse_url(statement)]


def clickhouse_table(rows=0):
    """A new table of so many made-up rows."""
    name = fresh("compare")
    clickhouse(f"CREATE TABLE {name} ({CLICKHOUSE_COLUMNS}) ENGINE = MergeTree ORDER BY id")
    if rows:
        clickhouse(CLICKHOUSE_ROWS.format(table=name, rows=rows))
    return name


def sling(python, **places):
    """sling's program; its places are connections by name, made known by the environment."""
    program = next((python.parents[1] / "lib").glob("python*/site-packages/sling_linux_amd64/**/sling*"))
    program.chmod(0o755)
    os.environ.update(places)
    return program


def sling_postgres():
    places = {name: os.environ[f"PG{name}"] for name in ("USER", "PASSWORD", "HOST", "PORT", "DATABASE")}
    return "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{DATABASE}?sslmode=disable".format(**places)


def sling_clickhouse():
    """As sling has it: by HTTP."""
    user, password, database = (os.environ[f"VITRINA_CLICKHOUSE_{name}"] for name in ("USER", "PASSWORD", "DATABASE"))
    address = os.environ["VITRINA_CLICKHOUSE_URL"].removeprefix("http://")
    return f'{{"type": "clickhouse", "http_url": "http://{user}:{password}@{address}/{database}", "database": "{database}"}}'


def timed(command, quiet=False, **options):
    """Seconds of wall time, and peak resident MiB of the child; a `quiet` one's warnings are not shown."""
    started = time.monotonic()
    hidden = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL if quiet else None}
    child = subprocess.Popen([str(part) for part in command], **hidden, **options)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return seconds, usage.ru_maxrss / 1024


def compete(contestants, rounds, slow=()):
    """Their turns. `slow` ones take minutes: once is enough to see the factor."""
    results = {name: [] for name in contestants}
    for round_ in range(rounds):
        for name, run in contestants.items():
            if name in slow and round_ > 0:
                continue
            results[name].append(run())
            print(f"round {round_ + 1}: {name}: {results[name][-1][0]:.2f} s", file=sys.stderr)
    return results


def report(title, rows, results):
    ours = statistics.median(seconds for seconds, _ in results["vitrina"])
    print(f"{rows:,} rows x 10 columns, {title}, on {os.cpu_count()} cores")
    print(f"{'':34}{'seconds':>9}{'rows/s':>12}{'ratio':>8}{'peak MiB':>10}")
    for name, runs in results.items():
        seconds = statistics.median(seconds for seconds, _ in runs)
        peak = max(peak for _, peak in runs)
        print(f"{name:34}{seconds:9.2f}{rows / seconds:12,.0f}{seconds / ours:8.2f}{peak:10.0f}")
