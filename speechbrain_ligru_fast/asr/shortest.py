"""How short audio may be for a network to read it."""

import torch


@torch.no_grad()
def shortest_input(encode, limit):
    """The fewest samples that an encoder takes.

    Convolutions pad by reflection and poolings halve, so that a few frames
    are too few; how many depends on the whole network. So it is tried.

    Arguments
    ---------
    encode : callable
        (1, N) waveforms to anything; it raises RuntimeError or gives no
        frames where N is too small, and takes all that is longer.
    limit : int
        Samples that must be enough.

    Returns
    -------
    int

    Raises
    ------
    RuntimeError
        Of ``encode``, if not even `limit` samples are enough.

    Example
    -------
    >>> shortest_input(lambda wav: wav.unfold(1, 400, 160), 16000)
    400
    """

    def takes(samples):
        try:
            return encode(torch.zeros(1, samples)).numel() > 0
        except RuntimeError:
            if samples == limit:
                raise
            return False

    high = 1
    while not takes(high) and high < limit:
        high = min(2 * high, limit)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if takes(middle) else (middle, high)
    return high
