"""The Python functions that bench/run.py measures, written as for Pulsar."""

import json

from pulsar import Function


class Identity(Function):
    def process(self, input, context):
        return input


def change_field(input):
    record = json.loads(input)
    record["count"] += 1
    return json.dumps(record)
