"""Who computes what: threads share the units of all rows, or the rows.

A team that shares units meets after each step, for everyone multiplies with
the whole state. Threads with rows of their own need not meet, but each reads
all of U, and rows come in whole tiles.
"""

import functools

import torch

from speechbrain_ligru_fast.backends.numba.cpu import arguments, operands, team

# What a meeting costs, in the multiply-adds that a thread could do instead:
# of numbers, and of each kind of words. A team with less than that to do for
# each of its threads is too large.
MEETING = {
    None: 150_000,
    operands.WORD: 300_000,
    operands.TILE: 1_000_000,
}
# Meetings that calling the threads together is worth.
_CALL = 10
# Between two meetings that nobody needs there is work for as many.
_PACE = 20
# Bytes of weights beyond which each thread reads them from memory, not from
# the last cache, at every step: more of it than a few rows take to multiply.
_CACHE = 1 << 24


def plan(words, spec, sizes, panels, packed, lengths, together):
    """How many threads to use, and how the rows are dealt out.

    Arguments
    ---------
    words : type | None
        Kind of words that are multiplied, of operands.py.
    spec : ScanSpec
        Its directions and its LayerNorm, which is one more meeting a step.
    sizes : tuple of int
        B, T and H.
    panels : int
        What a team can share of the units.
    packed : int
        Bytes of the weights.
    lengths : Tensor | None
        (B,) int64, frames of the utterances; T without.
    together : bool
        Whether both rows of an utterance have to be in one share.

    Returns
    -------
    tuple
        Threads, and of each share what `deal` says: one share for a team, or
        as many as threads.

    Example
    -------
    >>> from speechbrain_ligru_fast.backends.spec import ScanSpec
    >>> given = None, ScanSpec(), (1, 100, 32), 2, 8192, None, False
    >>> threads, shares = plan(*given)
    >>> threads, len(shares)
    (1, 1)
    """
    batch, steps, hidden = sizes
    given = lengths, batch, spec.directions, steps
    whole = deal(*given, 1, together)
    row = 2 * hidden * hidden
    rows = batch * spec.directions
    meeting = MEETING[words]
    threads = team.size(min(row * rows // meeting, panels))
    dealt = batch if together else rows
    tile = arguments.padded_rows(1, words)
    count = team.size(min(dealt, rows // tile))
    most = steps * row * arguments.padded_rows(rows, words)
    if count == 1 or packed > _CACHE or most <= _CALL * meeting:
        return threads, whole
    # Multiply-adds of whoever has most, and what meetings are worth.
    parts = deal(*given, count, together)
    own = row * max(_tiles(part["active"], tile) for part in parts)
    alone = row * _tiles(whole[0]["active"], tile)
    units = alone / threads
    if threads > 1:
        units += steps * (1 + spec.layernorm) * meeting
    if own < units and alone - own > _CALL * meeting:
        return count, parts
    return threads, whole


def pace(words, rows, hidden):
    """After how many steps threads with rows of their own wait for each other.

    Example
    -------
    >>> pace(None, 8, 64), pace(None, 8, 512)
    (45, 1)
    """
    return max(1, _PACE * MEETING[words] // (2 * hidden * hidden * rows))


def _tiles(active, tile):
    """Rows times steps that are multiplied: whole tiles of each step's rows."""
    return tile * int(
        active.add(tile - 1).div_(tile, rounding_mode="floor").sum()
    )


def deal(lengths, batch, directions, steps, shares, together):
    """Deals the rows out, so that everyone has long and short ones.

    Arguments
    ---------
    lengths : Tensor | None
        (B,) int64, frames of the utterances; ``steps`` without.
    batch, directions, steps : int
        B, 1 or 2, and T.
    shares : int
        Among how many.
    together : bool
        Whether both rows of an utterance have to be in one share.

    Returns
    -------
    list of dict
        Of each share ``order``, (R,) its rows, the longest first, as direction
        times B plus utterance, and ``active``, (T,) how many of them have a
        frame at each step; both int64.

    Example
    -------
    >>> for own in deal(torch.tensor([2, 0, 3]), 3, 2, 4, 2, True):
    ...     print(own["order"].tolist(), own["active"].tolist())
    [2, 5] [2, 2, 2, 0]
    [0, 3, 1, 4] [2, 2, 0, 0]
    """
    if lengths is None:
        return _full(batch, directions, steps, shares, together)
    lengths = lengths.repeat(directions)
    return _deal(lengths, batch, steps, shares, together)


@functools.lru_cache(64)
def _full(batch, directions, steps, shares, together):
    lengths = torch.full((batch * directions,), steps)
    return _deal(lengths, batch, steps, shares, together)


def _deal(lengths, batch, steps, shares, together):
    order = lengths.argsort(descending=True, stable=True)
    ended = torch.arange(steps).unsqueeze(1) >= lengths
    active = len(lengths) - ended.sum(1)
    if shares == 1:
        return [{"order": order, "active": active}]
    # To and fro: whoever has the longest of one round has the shortest of
    # the next.
    turn = torch.arange(len(lengths)) % (2 * shares)
    whose = torch.minimum(turn, 2 * shares - 1 - turn)
    if together:
        of_utterance = torch.empty(batch, dtype=torch.int64)
        of_utterance[order[order < batch]] = whose[:batch]
        whose = of_utterance[order % batch]
    found = []
    for share in range(shares):
        own = whose == share
        before = torch.nn.functional.pad(own.cumsum(0), (1, 0))
        found.append({"order": order[own], "active": before[active]})
    return found
