"""The other end of a topic, for tests of fmesh's own client; run by an interpreter with Pulsar's client.

  pulsar_peer.py write URL TOKEN_FILE TOPIC PRODUCER    PRODUCER: JSON of create_producer()'s arguments, the compression by name. Each line
                                                        of standard input is a record: {"payload", "key", "properties", "event_time"}
  pulsar_peer.py deal URL TOKEN_FILE TOPIC COUNT        reads them with three Key_Shared consumers of one subscription; lines have "consumer" too
  pulsar_peer.py read URL TOKEN_FILE TOPIC COUNT        prints COUNT records from the earliest on as such lines, with "partition"
"""

import json
import os
import sys

import pulsar

LIMIT_MS = 30_000


def write(client, topic, how):
    how = json.loads(how)
    if "compression" in how:
        how["compression_type"] = getattr(pulsar.CompressionType, how.pop("compression"))
    producer = client.create_producer(topic, block_if_queue_full=True, **how)
    failed = []
    for line in sys.stdin:
        record = json.loads(line)
        producer.send_async(record["payload"].encode(), lambda result, _: result == pulsar.Result.Ok or failed.append(result),
                            partition_key=record.get("key"), properties=record.get("properties"), event_timestamp=record.get("event_time"))  # fmt: skip
    producer.flush()
    producer.close()
    if failed:
        sys.exit(f"{len(failed)} records were not written: {failed[0]}")


def read(client, topic, count):
    consumer = client.subscribe(topic, f"peer-{os.getpid()}", initial_position=pulsar.InitialPosition.Earliest)
    for _ in range(int(count)):
        message = consumer.receive(LIMIT_MS)
        print(json.dumps({"payload": message.data().decode(), "key": message.partition_key() or None, "properties": message.properties(),
                          "event_time": message.event_timestamp(), "partition": message.message_id().partition()}))  # fmt: skip
        consumer.acknowledge(message)
    consumer.unsubscribe()


def deal(client, topic, count):
    consumers = [client.subscribe(topic, "dealt", pulsar.ConsumerType.KeyShared, initial_position=pulsar.InitialPosition.Earliest,
                                  consumer_name=f"dealt-{number}") for number in range(3)]  # fmt: skip
    print("ready", flush=True)
    left, waited_ms = int(count), 0
    while left > 0 and waited_ms < LIMIT_MS:
        for number, consumer in enumerate(consumers):
            try:
                while True:
                    message = consumer.receive(10)
                    consumer.acknowledge(message)
                    print(json.dumps({"consumer": number, "key": message.partition_key() or None, "payload": message.data().decode()}))
                    left, waited_ms = left - 1, 0
            except pulsar.Timeout:
                waited_ms += 10
    for consumer in consumers:
        consumer.close()


def main():
    verb, url, token_file, topic, *rest = sys.argv[1:]
    client = pulsar.Client(url, pulsar.AuthenticationToken(open(token_file).read()), logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    {"write": write, "read": read, "deal": deal}[verb](client, topic, *rest)
    sys.stdout.flush()
    os._exit(0)  # the client may abort when the interpreter ends


if __name__ == "__main__":
    main()
