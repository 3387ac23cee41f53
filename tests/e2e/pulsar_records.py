"""Writes numbered records into a topic, or reads a topic until it has seen each of them; run by an interpreter with Pulsar's own client.

  pulsar_records.py write URL TOPIC COUNT PER_SECOND [KEYS]    each until the broker has it, whatever happens meanwhile
  pulsar_records.py read URL TOPIC COUNT                       prints a line of JSON a second: found, again, others, early, missing (at most 20), example

A record's number is what its payload begins with; payloads that begin otherwise are "others". With KEYS a record's key is its number modulo
KEYS; "early" counts numbers that were seen before a smaller one of their key. PULSAR_TOKEN and PULSAR_CA_FILE say who it is and whom it trusts.
"""

import json
import os
import re
import sys
import time

import pulsar

LIMIT_S = 600  # this ends by itself


def write(client, topic, count, per_second, keys=0):
    producer = client.create_producer(topic, send_timeout_millis=0, block_if_queue_full=True, batching_enabled=False)
    start = time.monotonic()
    for number in range(count):
        producer.send(str(number).encode(), partition_key=str(number % keys) if keys else None)
        time.sleep(max(0.0, start + (number + 1) / per_second - time.monotonic()))
    print(f"wrote {count}", flush=True)


def read(client, topic, count):
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    found, again, others, early, example, newest = set(), 0, 0, 0, "", {}
    start = said = time.monotonic()
    while time.monotonic() - start < LIMIT_S:
        try:
            record = reader.read_next(timeout_millis=1000)
            payload = record.data().decode(errors="replace")
        except pulsar.Timeout:
            payload = None
        if payload is not None and (number := re.match(r"(\d+)", payload)):
            number, key = int(number[1]), record.partition_key()
            again += number in found
            if key and number not in found:
                early += newest.get(key, -1) > number
                newest[key] = max(number, newest.get(key, -1))
            found.add(number)
            example = payload
        elif payload is not None:
            others += 1
        if time.monotonic() - said >= 1 or (payload is None and len(found) >= count):
            said = time.monotonic()
            missing = [number for number in range(count) if number not in found]
            print(json.dumps({"found": len(found), "again": again, "others": others, "early": early, "missing": missing[:20], "example": example}), flush=True)


def main():
    verb, url, topic, *numbers = sys.argv[1:]
    token, trust = os.environ.get("PULSAR_TOKEN"), os.environ.get("PULSAR_CA_FILE")
    client = pulsar.Client(url, operation_timeout_seconds=LIMIT_S, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error),
                           authentication=pulsar.AuthenticationToken(token) if token else None, tls_trust_certs_file_path=trust)
    {"write": write, "read": read}[verb](client, topic, *map(int, numbers))


if __name__ == "__main__":
    main()
