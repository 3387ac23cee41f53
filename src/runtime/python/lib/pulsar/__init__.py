"""What a function written for Pulsar imports, without Pulsar's client: Function, Context and the SerDes.

This package answers where the package pulsar-client is not installed; where it is, functions get that one.
"""

from pulsar.functions.context import Context
from pulsar.functions.function import Function
from pulsar.functions.serde import IdentitySerDe, PickleSerDe, SerDe
from pulsar.message_id import MessageId

__all__ = ["Context", "Function", "IdentitySerDe", "MessageId", "PickleSerDe", "SerDe"]
