"""A function as it is written for Pulsar; the same file runs in Pulsar's own Python instance."""

import json

from pulsar import Function


class CountWords(Function):
    def process(self, input, context):
        word = json.loads(input)["word"]
        context.incr_counter(word, 1)
        count = context.get_counter(word)
        if count % context.get_user_config_value("every") != 0:
            return None
        context.get_logger().info("%s %s: %d", context.get_user_config_value("greeting"), word, count)
        return json.dumps({"word": word, "count": count})
