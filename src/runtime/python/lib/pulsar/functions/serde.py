"""How values become bytes and back."""

from abc import abstractmethod


class SerDe:
    """Made without arguments, once per stream that names it."""

    @abstractmethod
    def serialize(self, input):
        """The bytes of a value."""

    @abstractmethod
    def deserialize(self, input_bytes):
        """The value of bytes."""


class PickleSerDe(SerDe):
    """Any value that Python can pickle. For streams that nobody else writes: reading a pickle runs what it says."""

    def serialize(self, input):
        import pickle  # few need it

        return pickle.dumps(input)

    def deserialize(self, input_bytes):
        import pickle

        return pickle.loads(input_bytes)


class IdentitySerDe(SerDe):
    """What Pulsar's SerDe of this name does: bytes that read as a number arrive as that number.

    So b"007" goes out as b"7". Without a SerDe, fmesh keeps every byte.
    """

    def serialize(self, input):
        if type(input) is bytes:
            return input
        if type(input) in (int, float, complex, str):
            return str(input).encode()
        raise TypeError(f"IdentitySerDe takes int, float, complex, str or bytes, found {type(input).__name__}")

    def deserialize(self, input_bytes):
        try:
            text = input_bytes.decode()
        except UnicodeDecodeError:
            return input_bytes
        for kind in (int, float, complex):
            try:
                return kind(text)
            except ValueError:
                pass
        return text
