"""What a function is told of the record at work and of itself."""

from abc import abstractmethod


class Context:
    """Methods of the record at work may be called within process(), on its thread; the others anywhere."""

    @abstractmethod
    def get_message_id(self):
        """The id of the record at work."""

    @abstractmethod
    def get_message_key(self):
        """Its key, or None."""

    @abstractmethod
    def get_message_eventtime(self):
        """Its event time in milliseconds; 0 if it has none."""

    @abstractmethod
    def get_message_properties(self):
        """Its properties, as a dict of str."""

    @abstractmethod
    def get_current_message_topic_name(self):
        """The full name of the stream it came from."""

    @abstractmethod
    def get_partition_key(self):
        """The same as get_message_key()."""

    @abstractmethod
    def get_function_tenant(self):
        """The tenant of the function."""

    @abstractmethod
    def get_function_namespace(self):
        """The namespace of the function."""

    @abstractmethod
    def get_function_name(self):
        """The name of the function."""

    @abstractmethod
    def get_function_id(self):
        """tenant/namespace/name."""

    @abstractmethod
    def get_instance_id(self):
        """The number of this instance, from 0 on."""

    @abstractmethod
    def get_function_version(self):
        """The version of the function."""

    @abstractmethod
    def get_logger(self):
        """A logger whose lines are shown by `fmesh logs` and go to the log topic."""

    @abstractmethod
    def get_user_config_value(self, key):
        """A value of funcConfig, or None."""

    @abstractmethod
    def get_user_config_map(self):
        """All of funcConfig, as a dict."""

    @abstractmethod
    def get_secret(self, secret_name):
        """A value of secretsMap, or None."""

    @abstractmethod
    def record_metric(self, metric_name, metric_value):
        """Adds a number to a metric of the function's own."""

    @abstractmethod
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
        """Writes to any stream, in the commit of the record at work."""

    @abstractmethod
    def get_input_topics(self):
        """The full names of the streams it reads."""

    @abstractmethod
    def get_output_topic(self):
        """The full name of its output stream, or an empty str."""

    @abstractmethod
    def get_output_serde_class_name(self):
        """The SerDe of the output stream."""

    @abstractmethod
    def ack(self, msgid, topic):
        """Acknowledges a record, where the guarantee is manual."""

    @abstractmethod
    def incr_counter(self, key, amount):
        """Adds to a counter in the state."""

    @abstractmethod
    def get_counter(self, key):
        """The value of a counter; 0 if there is none."""

    @abstractmethod
    def del_counter(self, key):
        """Deletes a counter."""

    @abstractmethod
    def put_state(self, key, value):
        """Keeps a str or bytes under a key; None deletes it."""

    @abstractmethod
    def get_state(self, key):
        """The bytes under a key, or None."""
