"""errors.py - what can go wrong between a client and a filter."""

from sluice.v1.session_pb2 import Error


class SluiceError(Exception):
    """Any of the below."""


class Timeout(SluiceError):
    """Nobody answered for the time that was given."""


class Refused(SluiceError):
    """The filter refused a request; `code` is the name of the Error's code without CODE_."""

    def __init__(self, text, code="UNSPECIFIED"):
        super().__init__(text)
        self.code = code


class Fenced(Refused):
    """Another producer with the same name took over."""


class OffsetGone(Refused):
    """Retention has deleted what was asked for."""


class LeaseLost(Refused):
    """The range was given to another consumer of the group."""


class Forgotten(SluiceError):
    """The filter does not know samples that it acknowledged: its state was replaced."""


_CLASSES = {"FENCED": Fenced, "OFFSET_GONE": OffsetGone, "LEASE_LOST": LeaseLost}


def code_name(error):
    try:
        return Error.Code.Name(error.code)[len("CODE_"):]
    except ValueError:  # of a newer filter
        return str(error.code)


def of_error(endpoint, error):
    """The exception of an Error that is not to be tried again."""
    name = code_name(error)
    return _CLASSES.get(name, Refused)(f"{endpoint}: {name}: {error.text}", name)
