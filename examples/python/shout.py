"""A function without a class: what process() returns is written to the output stream."""

import json


def process(input):
    return json.dumps({"word": json.loads(input)["word"].upper()})
