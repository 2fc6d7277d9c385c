"""Who computes what: threads share the units of all rows, or the rows.

A team that shares units meets after each step, for everyone multiplies with
the whole state. Threads with rows of their own never meet, but each reads all
of U, and rows come in whole tiles.
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


def plan(words, spec, batch, steps, hidden, panels, together):
    """How many threads to use, and among how many to deal the rows out.

    Arguments
    ---------
    words : type | None
        Kind of words that are multiplied, of operands.py.
    spec : ScanSpec
        Its directions and its LayerNorm, which is one more meeting a step.
    batch, steps, hidden : int
        B, T and H.
    panels : int
        What a team can share of the units.
    together : bool
        Whether both rows of an utterance have to be in one share.

    Returns
    -------
    tuple of int
        Threads and shares: one share for a team, else as many as threads.

    Example
    -------
    >>> from speechbrain_ligru_fast.backends.spec import ScanSpec
    >>> plan(None, ScanSpec(), 1, 100, 32, 2, False)
    (1, 1)
    """
    row = 2 * hidden * hidden
    rows = batch * spec.directions
    meeting = MEETING[words]

    def padded(rows):
        return row * arguments.padded_rows(rows, words)

    # A step's multiply-adds of whoever has most, and the meetings' worth.
    alone = padded(rows)
    threads = team.size(min(row * rows // meeting, panels))
    meetings = (1 + spec.layernorm) * meeting if threads > 1 else 0
    units = alone // threads + meetings
    dealt = batch if together else rows
    shares = team.size(min(dealt, rows // arguments.padded_rows(1, words)))
    own = padded(-(-dealt // shares) * (rows // dealt))
    if own < units and (alone - own) * steps > _CALL * meeting:
        return shares, shares
    return threads, 1


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
    [2, 5, 1, 4] [2, 2, 2, 0]
    [0, 3] [2, 2, 0, 0]
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
