"""Kafka and the database refuse whoever has no password, a wrong one, no encryption, or no right."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import probe
import pytest

from millrace import paths
from millrace.access import remote
from millrace.model import secrets

pytestmark = pytest.mark.lab

SECRETS = secrets.read_vault(paths.state_dir() / "vault.yml", paths.vault_password_file())
# An environment on the node that has the client library.
POSTGRES_PYTHON = "/opt/millrace/sensors-relay/venv/bin/python"

# Both scripts read their arguments on standard input, since a password must not be on a command line, and
# print "ok" or the name of the exception.
SEND = """
import json, logging, os, sys, threading
from kafka import KafkaProducer
answers, answered = [], threading.Event()
def answer(text):
    answers.append(text)
    answered.set()
class Log(logging.Handler):
    # The client tries a refused login again until its time is over: only its log knows the reason.
    def emit(self, record):
        if "SaslAuthenticationFailedError" in record.getMessage():
            answer("SaslAuthenticationFailedError")
logging.getLogger("kafka").addHandler(Log())
given = json.load(sys.stdin)
def send():
    try:
        producer = KafkaProducer(acks="all", max_block_ms=15000, request_timeout_ms=10000, **given["client"])
        producer.send(given["topic"], b"{}").get(timeout=30)
        answer("ok")
    except Exception as error:
        answer(type(error).__name__)
threading.Thread(target=send, daemon=True).start()
answered.wait()
print(answers[0], flush=True)
os._exit(0)
"""
CONNECT = """
import json, sys, psycopg2
try:
    connection = psycopg2.connect(connect_timeout=10, **json.load(sys.stdin))
    connection.cursor().execute("SELECT 1")
    print("ok")
except psycopg2.Error as error:
    print(str(error).strip() or type(error).__name__)
"""


def _send(topic: str, **client: object) -> str:
    base = {
        "bootstrap_servers": probe.BROKERS,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "ssl_cafile": "/etc/millrace/pki/ca.crt",
    }
    given = json.dumps({"topic": topic, "client": {**base, **client}})
    return remote.run(probe.APPS, [probe.KAFKA_PYTHON, "-c", SEND], stdin=given).splitlines()[-1]


def _connect(**arguments: object) -> str:
    base = {
        "host": probe.DATABASE,
        "dbname": "sensors",
        "user": "sensors_reader",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/millrace/pki/ca.crt",
    }
    return remote.run(probe.APPS, [POSTGRES_PYTHON, "-c", CONNECT], stdin=json.dumps({**base, **arguments}))


def _relay(password: str) -> dict[str, str]:
    return {"sasl_plain_username": "sensors-relay", "sasl_plain_password": password}


# The client library tries for half a minute, and these tests take any answer but a success.
IMPATIENT = {"bootstrap_timeout_ms": 10000}
REFUSED: dict[str, dict[str, object]] = {
    "a wrong password": {**_relay("wrong")},
    "a client without a password": {**IMPATIENT, "security_protocol": "SSL", "sasl_mechanism": None},
    "plaintext": {
        **IMPATIENT,
        "security_protocol": "PLAINTEXT",
        "sasl_mechanism": None,
        "ssl_cafile": None,
    },
    "a certificate of another authority": {
        **IMPATIENT,
        **_relay(SECRETS["kafka_sensors_relay"]),
        "ssl_cafile": "/etc/ssl/certs/ca-certificates.crt",
    },
}


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    """Return what each refused client got. All at once: the client library takes its time to give up."""
    with ThreadPoolExecutor(max_workers=len(REFUSED)) as pool:
        found = pool.map(lambda client: _send("sensors.anomalies", **client), REFUSED.values())
        return dict(zip(REFUSED, found, strict=True))


@pytest.mark.parametrize("what", REFUSED)
def test_kafka_refuses(answers: dict[str, str], what: str) -> None:
    assert answers[what] not in {"ok", "NameError", "TypeError"}


def test_kafka_says_that_a_password_is_wrong(answers: dict[str, str]) -> None:
    answer = answers["a wrong password"]
    # On a busy machine the connection may be closed before the client library has read why, each time.
    for _ in range(5):
        if answer != "KafkaTimeoutError":
            break
        answer = _send("sensors.anomalies", **REFUSED["a wrong password"])
    assert answer == "SaslAuthenticationFailedError"


def test_kafka_refuses_a_principal_on_a_topic_that_is_not_its_own() -> None:
    answer = _send("sensors.measurements", **_relay(SECRETS["kafka_sensors_relay"]))
    assert answer == "TopicAuthorizationFailedError"


def test_the_database_lets_the_right_password_in() -> None:
    assert _connect(password=SECRETS["postgres_sensors_reader"]).strip() == "ok"


def test_the_database_refuses_a_wrong_password() -> None:
    assert "password authentication failed" in _connect(password="wrong")  # noqa: S106 - that is the test


def test_the_database_refuses_a_client_without_a_password() -> None:
    assert "no password supplied" in _connect()


def test_the_database_refuses_plaintext() -> None:
    answer = _connect(sslmode="disable", password=SECRETS["postgres_sensors_reader"])
    assert "no encryption" in answer


def test_a_client_refuses_a_server_of_another_authority() -> None:
    answer = _connect(
        sslrootcert="/etc/ssl/certs/ca-certificates.crt", password=SECRETS["postgres_sensors_reader"]
    )
    assert "certificate verify failed" in answer


def test_a_reader_may_not_write() -> None:
    script = CONNECT.replace("SELECT 1", "DELETE FROM sensors.outbox")
    given = json.dumps(
        {
            "host": probe.DATABASE,
            "dbname": "sensors",
            "user": "sensors_reader",
            "sslmode": "verify-full",
            "sslrootcert": "/etc/millrace/pki/ca.crt",
            "password": SECRETS["postgres_sensors_reader"],
        }
    )
    assert "permission denied" in remote.run(probe.APPS, [POSTGRES_PYTHON, "-c", script], stdin=given)
