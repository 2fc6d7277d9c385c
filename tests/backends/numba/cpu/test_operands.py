"""What products read is made as torch makes it."""

import numpy
import pytest
import torch

numba = pytest.importorskip("numba")
pytest.importorskip("speechbrain_ligru_fast.backends.numba.cpu")

from speechbrain_ligru_fast.backends.numba.cpu import operands, vectors  # noqa: E402


@numba.njit
def _store(real, element, target, source):
    operands.store(real, element, target, source)


@numba.njit
def _zero(real, element, target):
    operands.zero(real, element, target)


def test_rounding_is_torchs():
    """Every upper half of a float32, with lower halves around a tie."""
    upper = numpy.arange(1 << 16, dtype=numpy.uint32) << 16
    lower = numpy.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], numpy.uint32)
    numbers = (upper[:, None] + lower).view(numpy.float32).reshape(-1)
    got = numpy.zeros(numbers.size, numpy.uint16)
    lanes = vectors.VECTOR_BYTES // 4
    for i in range(0, numbers.size, lanes):
        _store(
            numpy.float32(0), operands.TILE(0), got[i:].ctypes.data,
            numbers[i:].ctypes.data,
        )  # fmt: skip
    got = torch.from_numpy(got.view(numpy.int16)).view(torch.bfloat16)
    want = torch.from_numpy(numbers).bfloat16()
    assert torch.equal(got.isnan(), want.isnan())
    assert torch.equal(got[~got.isnan()], want[~want.isnan()])


def test_zeros_and_plain_numbers():
    lanes = vectors.VECTOR_BYTES // 4
    numbers = numpy.arange(1, 2 * lanes + 1, dtype=numpy.float32)
    plain, words = numbers.copy(), numbers.copy()
    _zero(numpy.float32(0), numpy.float32(0), plain.ctypes.data)
    assert not plain[:lanes].any() and plain[lanes:].all()
    _zero(numpy.float32(0), operands.TILE(0), words.ctypes.data)
    assert not words[: lanes // 2].any() and words[lanes // 2 :].all()
    _store(
        numpy.float32(0), numpy.float32(0), plain.ctypes.data,
        numbers[lanes:].ctypes.data,
    )  # fmt: skip
    assert (plain[:lanes] == numbers[lanes:]).all()
