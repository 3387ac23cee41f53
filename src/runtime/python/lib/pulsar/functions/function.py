"""The interface of a function."""

from abc import abstractmethod


class Function:
    """One instance of the class is made, without arguments; process() is called for each record, by one thread."""

    @abstractmethod
    def process(self, input, context):
        """Returns what is written to the output stream, or None for nothing. An exception fails the record."""
