"""Where a record lies in its stream."""

import functools


def _varint(value):
    value &= (1 << 64) - 1  # negative numbers take ten bytes, as in protobuf
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@functools.total_ordering
class MessageId:
    """Ledger, entry, partition (-1: none) and index in the batch (-1: none)."""

    __slots__ = ("_parts",)

    def __init__(self, partition=-1, ledger_id=-1, entry_id=-1, batch_index=-1):
        self._parts = (ledger_id, entry_id, partition, batch_index)

    def ledger_id(self):
        return self._parts[0]

    def entry_id(self):
        return self._parts[1]

    def partition(self):
        return self._parts[2]

    def batch_index(self):
        return self._parts[3]

    def serialize(self):
        """The bytes that Pulsar's clients read: MessageIdData of its protocol."""
        ledger, entry, partition, batch_index = self._parts
        out = b"\x08" + _varint(ledger) + b"\x10" + _varint(entry)
        if partition >= 0:
            out += b"\x18" + _varint(partition)
        if batch_index >= 0:
            out += b"\x20" + _varint(batch_index)
        return out

    def __eq__(self, other):
        return self._parts == other._parts if isinstance(other, MessageId) else NotImplemented

    def __lt__(self, other):
        return self._parts < other._parts if isinstance(other, MessageId) else NotImplemented

    def __hash__(self):
        return hash(self._parts)

    def __str__(self):
        return "({},{},{},{})".format(*self._parts)

    __repr__ = __str__
