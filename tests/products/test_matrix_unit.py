"""Who has a matrix unit: flags, a system that knows them, and its leave."""

import pytest

from speechbrain_ligru_fast.products import matrix_unit

AMX = "amx_tile amx_bf16 avx512f"


def missing():
    raise FileNotFoundError


@pytest.mark.parametrize(
    "system, machine, flags, answer, available, dots",
    [
        ("linux", "x86_64", AMX, 0, True, False),
        # The kernel refuses.
        ("linux", "x86_64", AMX, -1, False, False),
        ("linux", "x86_64", "amx_tile avx512f", 0, False, False),
        ("linux", "aarch64", AMX, 0, False, False),
        ("darwin", "x86_64", AMX, 0, False, False),
        ("linux", "x86_64", "avx512f avx512_bf16", -1, False, True),
        ("linux", "x86_64", "avx512f avx512_vnni", -1, False, False),
        ("linux", "x86_64", "avx_bf16 avx2", -1, False, False),
        ("darwin", "x86_64", "avx512f avx512_bf16", -1, False, False),
        # No file of the processors.
        ("linux", "x86_64", None, 0, False, False),
    ],
    ids=str,
)
def test_who_has_one(system, machine, flags, answer, available, dots, put):
    class Library:
        def syscall(self, *arguments):
            assert [a.value for a in arguments] == [158, 0x1023, 18]
            return answer

    put(matrix_unit, _flags=lambda: set(flags.split()) if flags else missing())
    put(matrix_unit.sys, platform=system)
    put(matrix_unit.platform, machine=lambda: machine)
    put(matrix_unit.ctypes, CDLL=lambda name: Library())
    assert matrix_unit.available.__wrapped__() is available
    assert matrix_unit.dots.__wrapped__() is dots
