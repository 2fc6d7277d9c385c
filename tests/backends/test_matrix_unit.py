"""Who has a matrix unit: flags, a system that knows them, and its leave."""

import pytest

from speechbrain_ligru_fast.backends import matrix_unit


@pytest.mark.parametrize(
    "system, machine, flags, answer, available",
    [
        ("linux", "x86_64", "amx_tile amx_bf16 avx512f", 0, True),
        # The kernel refuses.
        ("linux", "x86_64", "amx_tile amx_bf16 avx512f", -1, False),
        ("linux", "x86_64", "amx_tile avx512f", 0, False),
        ("linux", "aarch64", "amx_tile amx_bf16 avx512f", 0, False),
        ("darwin", "x86_64", "amx_tile amx_bf16 avx512f", 0, False),
    ],
    ids=str,
)
def test_who_has_one(system, machine, flags, answer, available, monkeypatch):
    class Library:
        def syscall(self, *arguments):
            assert [a.value for a in arguments] == [158, 0x1023, 18]
            return answer

    monkeypatch.setattr(matrix_unit.sys, "platform", system)
    monkeypatch.setattr(matrix_unit.platform, "machine", lambda: machine)
    monkeypatch.setattr(matrix_unit, "_flags", lambda: set(flags.split()))
    monkeypatch.setattr(matrix_unit.ctypes, "CDLL", lambda name: Library())
    assert matrix_unit.available.__wrapped__() is available


@pytest.mark.parametrize(
    "system, flags, dots",
    [
        ("linux", "avx512f avx512_bf16", True),
        ("linux", "avx512f avx512_vnni", False),
        ("linux", "avx_bf16 avx2", False),
        ("darwin", "avx512f avx512_bf16", False),
    ],
    ids=str,
)
def test_who_multiplies_vectors(system, flags, dots, monkeypatch):
    monkeypatch.setattr(matrix_unit.sys, "platform", system)
    monkeypatch.setattr(matrix_unit.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(matrix_unit, "_flags", lambda: set(flags.split()))
    assert matrix_unit.dots.__wrapped__() is dots


def test_the_file_of_the_processors_is_not_there(monkeypatch):
    def missing():
        raise FileNotFoundError

    monkeypatch.setattr(matrix_unit, "_flags", missing)
    assert matrix_unit.available.__wrapped__() is False
    assert matrix_unit.dots.__wrapped__() is False
