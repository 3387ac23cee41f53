"""Writes numbered records into a topic, or reads a topic until it has seen each of them; run by an interpreter with Pulsar's own client.

  pulsar_records.py write URL TOPIC COUNT PER_SECOND    each until the broker has it, whatever happens meanwhile
  pulsar_records.py read URL TOPIC COUNT                prints a line of JSON a second: found, again, others, missing (at most 20), example

A record's number is what its payload begins with; payloads that begin otherwise are "others".
"""

import json
import re
import sys
import time

import pulsar

LIMIT_S = 600  # this ends by itself


def write(client, topic, count, per_second):
    producer = client.create_producer(topic, send_timeout_millis=0, block_if_queue_full=True, batching_enabled=False)
    start = time.monotonic()
    for number in range(count):
        producer.send(str(number).encode())
        time.sleep(max(0.0, start + (number + 1) / per_second - time.monotonic()))
    print(f"wrote {count}", flush=True)


def read(client, topic, count):
    reader = client.create_reader(topic, pulsar.MessageId.earliest)
    found, again, others, example = set(), 0, 0, ""
    start = said = time.monotonic()
    while time.monotonic() - start < LIMIT_S:
        try:
            payload = reader.read_next(timeout_millis=1000).data().decode(errors="replace")
        except pulsar.Timeout:
            payload = None
        if payload is not None and (number := re.match(r"(\d+)", payload)):
            again += int(number[1]) in found
            found.add(int(number[1]))
            example = payload
        elif payload is not None:
            others += 1
        if time.monotonic() - said >= 1 or (payload is None and len(found) >= count):
            said = time.monotonic()
            missing = [number for number in range(count) if number not in found]
            print(json.dumps({"found": len(found), "again": again, "others": others, "missing": missing[:20], "example": example}), flush=True)


def main():
    verb, url, topic, *numbers = sys.argv[1:]
    client = pulsar.Client(url, operation_timeout_seconds=LIMIT_S, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    {"write": write, "read": read}[verb](client, topic, *map(int, numbers))


if __name__ == "__main__":
    main()
