"""What a function is given as its context, and where its output goes, on top of the host object of host_object.cc."""

import io
import json
import logging
import sys

LINE_SIZE_MAX = 16 * 1024  # a line that does not end is cut here
VERSION = "0"  # of functions; resources have none on this machine
MESSAGE_OPTIONS = ("properties", "partition_key", "ordering_key", "event_timestamp")


class _Lines(io.RawIOBase):
    """Gives whole lines to the log of the component."""

    def __init__(self, host, level):
        self._host = host
        self._level = level
        self._rest = b""

    def writable(self):
        return True

    def fileno(self):
        return 1

    def write(self, data):
        data = bytes(data)
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest
        if len(rest) > LINE_SIZE_MAX:
            lines.append(rest)
            self._rest = b""
        for line in lines:
            self._give(line)
        return len(data)

    def finish(self):
        """Gives a line that has not ended."""
        self._give(self._rest)
        self._rest = b""

    def _give(self, line):
        if line:
            self._host.log(self._level, line.decode("utf-8", "replace"))


class _LogHandler(logging.Handler):
    LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"))

    def __init__(self, host):
        super().__init__()
        self._host = host

    def emit(self, record):
        level = next((name for number, name in self.LEVELS if record.levelno >= number), "debug")
        try:
            self._host.log(level, self.format(record))
        except Exception:
            self.handleError(record)


def redirect(host):
    """print() and logging go to the log of the component."""
    for name, level in (("stdout", "info"), ("stderr", "warn")):
        setattr(sys, name, io.TextIOWrapper(_Lines(host, level), encoding="utf-8", errors="surrogateescape", write_through=True))
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _LogHandler)]:
        root.removeHandler(handler)
    root.addHandler(_LogHandler(host))
    root.setLevel(logging.INFO)


def restore():
    """What is said after the end goes where the process has its standard output."""
    for name in ("stdout", "stderr"):
        lines = getattr(getattr(sys, name), "buffer", None)
        if isinstance(lines, _Lines):
            lines.finish()
            setattr(sys, name, getattr(sys, f"__{name}__"))


def identity_bytes(value):
    """The bytes of a value without a SerDe, as those of a result."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if type(value) in (str, int, float, complex):
        return str(value).encode()
    raise TypeError(f"a message is bytes, str or a number, found {type(value).__name__}; or name a SerDe")


def _text_dict(what, value):
    if not isinstance(value, dict) or not all(isinstance(one, str) for pair in value.items() for one in pair):
        raise TypeError(f"{what}: expected a dict of str to str")
    return value


class ContextMethods:
    """The methods of pulsar.Context."""

    def __init__(self, host, settings):
        self._host = host
        self._settings = settings
        self._config = {key: value for key, value in json.loads(settings["config"] or "{}").items() if not key.startswith("__")}
        self._logger = logging.getLogger(settings["component"])
        self._serdes = {}

    def get_message_id(self):
        from pulsar import MessageId

        ledger, entry, partition, batch_index = self._host.message_id()
        return MessageId(partition, ledger, entry, batch_index)

    def get_message_key(self):
        return self._host.message_key()

    def get_message_eventtime(self):
        return self._host.event_time_ms()

    def get_message_properties(self):
        return self._host.properties()

    def get_message_sequence_id(self):
        return self._host.sequence_id()

    def get_message_partition_index(self):
        return self._host.message_id()[2]

    def get_current_message_topic_name(self):
        return self._host.topic()

    def get_partition_key(self):
        return self._host.message_key()

    def get_ordering_key(self):
        return self._host.ordering_key()

    def get_redelivery_count(self):
        return self._host.redelivery_count()

    def get_function_tenant(self):
        return self._settings["tenant"]

    def get_function_namespace(self):
        return self._settings["namespace"]

    def get_function_name(self):
        return self._settings["name"]

    def get_function_id(self):
        return "{tenant}/{namespace}/{name}".format(**self._settings)

    def get_instance_id(self):
        return self._settings["instance_id"]

    def get_num_instances(self):
        return self._settings["instance_count"]

    def get_function_version(self):
        return VERSION

    def get_logger(self):
        return self._logger

    def get_user_config_value(self, key):
        return self._config.get(key)

    def get_user_config_map(self):
        return self._config

    def get_secret(self, secret_name):
        return self._settings["secrets"].get(secret_name)

    def record_metric(self, metric_name, metric_value):
        self._host.metric(metric_name, metric_value)

    def get_input_topics(self):
        return list(self._settings["input_topics"])

    def get_output_topic(self):
        return self._settings["output_topic"]

    def get_output_serde_class_name(self):
        return self._settings["output_serde"]

    def publish(
        self,
        topic_name,
        message,
        serde_class_name="serde.IdentitySerDe",
        properties=None,
        compression_type=None,
        callback=None,
        message_conf=None,
    ):
        """It is written together with what else the record causes, so the callback is called at once, with no id."""
        options = dict(message_conf or {})
        unknown = [name for name in options if name not in MESSAGE_OPTIONS]
        if unknown:
            raise ValueError(f"message_conf: fmesh has no {', '.join(unknown)}; there are {', '.join(MESSAGE_OPTIONS)}")
        properties = properties or options.get("properties")
        self._host.publish(
            topic_name,
            self._serialize(message, serde_class_name),
            options.get("partition_key"),
            options.get("ordering_key"),
            None if properties is None else _text_dict("properties", properties),
            options.get("event_timestamp") or 0,
        )
        if callback is not None:
            callback(None, None)

    def _serialize(self, message, serde_class_name):
        if serde_class_name in ("serde.IdentitySerDe", "", None):
            return identity_bytes(message)
        serde = self._serdes.get(serde_class_name)
        if serde is None:
            from fmesh_host import make_serde

            serde = self._serdes[serde_class_name] = make_serde(serde_class_name)
        return serde.serialize(message)

    def ack(self, msgid, topic):
        here = self._host.message_id()
        given = (msgid.ledger_id(), msgid.entry_id(), msgid.partition(), msgid.batch_index())
        if given == here and topic == self._host.topic():
            self._host.ack_current()
        else:
            self._host.ack(topic, *given)

    def incr_counter(self, key, amount):
        self._host.counter_add(key, amount)

    def get_counter(self, key):
        return self._host.counter_add(key, 0)

    def del_counter(self, key):
        self._host.state_put(key, None)

    def put_state(self, key, value):
        self._host.state_put(key, value.encode() if isinstance(value, str) else value)

    def get_state(self, key):
        return self._host.state_get(key)


def make_context(host, settings):
    """The context, which is a pulsar.Context if the function has imported pulsar."""
    interface = getattr(sys.modules.get("pulsar"), "Context", None)
    bases = (ContextMethods, interface) if interface else (ContextMethods,)
    return type("Context", bases, {})(host, settings)
