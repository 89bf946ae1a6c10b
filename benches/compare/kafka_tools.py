"""Topics for the comparisons, and librdkafka's own measuring program."""

import os
import subprocess
import sys

from contest import CONTRACT, KAFKA, TARGET, WORK, fresh, project, sqlite, timed

INTO_KAFKA = """
[source]
connection = "bot"
table = "actions"
cursor = {{ column = "id" }}
{contract}
[sink]
connection = "stream"
table = "{topic}"
mode = "append"

[sink.kafka]
partitions = 3
"""

TOPIC = """
import sys
from kafka.admin import KafkaAdminClient, NewTopic
KafkaAdminClient(bootstrap_servers=sys.argv[1]).create_topics([NewTopic(sys.argv[2], num_partitions=3, replication_factor=1)])
"""

SIZE = """
import sys
from kafka import KafkaConsumer
consumer = KafkaConsumer(sys.argv[2], bootstrap_servers=sys.argv[1], auto_offset_reset="earliest", consumer_timeout_ms=3000)
sizes = [len(message.value) for message in consumer]
print(sum(sizes) // len(sizes))
"""


def make_topic(python):
    name = fresh("compare")
    subprocess.run([python, "-c", TOPIC, os.environ["VITRINA_KAFKA_BROKERS"], name], check=True, stdout=subprocess.DEVNULL)
    return name


def run_vitrina(vitrina, database, topic):
    """SQLite → Kafka."""
    folder = project([sqlite(database), KAFKA], INTO_KAFKA.format(contract=CONTRACT, topic=topic))
    return timed([vitrina, "--project", folder, "-q", "run", "actions"])


def fill_topic(vitrina, database):
    """A topic of three partitions that holds a database's rows as JSON."""
    topic = fresh("compare")
    run_vitrina(vitrina, database, topic)
    return topic


def message_size(python, topic):
    """Mean bytes of a topic's messages."""
    return int(subprocess.run([python, "-c", SIZE, os.environ["VITRINA_KAFKA_BROKERS"], topic], check=True, capture_output=True, text=True).stdout)


def performance():
    """`rdkafka_performance`, linked with the librdkafka that Vitrina's release build holds."""
    program = WORK / "rdkafka_performance"
    build = TARGET / "release" / "build"

    def newest(pattern):
        found = sorted(build.glob(pattern), key=lambda path: path.stat().st_mtime)
        return found[-1] if found else sys.exit(f"no {pattern} below {build}")

    if not program.exists():
        source = newest("rdkafka-sys-*/out/src/librdkafka.a").parents[1]
        libraries = ["openssl-sys-*/out/**/libssl.a", "openssl-sys-*/out/**/libcrypto.a", "zstd-sys-*/out/libzstd.a", "libz-sys-*/out/**/libz.a"]
        subprocess.run(
            ["cc", "-O2", "-w", "-o", program, f"-I{source}", f"-I{source / 'src'}", source / "examples" / "rdkafka_performance.c",
             source / "src" / "librdkafka.a", *map(newest, libraries), "-lm", "-lpthread", "-ldl", "-lrt"],
            check=True,
        )
    return program
