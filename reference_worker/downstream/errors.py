class TemporaryDownstreamError(Exception):
    """It may work later; it may also have worked already, which keys and fences make harmless."""


class PermanentDownstreamError(Exception):
    """It was refused for good."""


class FencedOffError(Exception):
    """Somebody with a higher token does this work now."""
