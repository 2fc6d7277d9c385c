"""Tests of chance that have known answers."""

import pytest

from benchmarks import stats


def test_seeds_that_differ_by_noise():
    difference, p = stats.compare_seeds([10, 11, 12, 13], [10.5, 11.5, 12, 12])
    assert difference == 0 and p == 1


def test_systems_that_differ_on_the_same_speakers():
    ours = {f"u{i}": (i % 3, 10) for i in range(60)}
    # Worse by one word in ten on all of them: chance changes nothing.
    worse = {name: (wrong + 1, words) for name, (wrong, words) in ours.items()}
    assert stats.compare_texts(worse, ours, 200) == pytest.approx((10, 10, 10))
    # As good, better here and worse there
    mixed = {f"u{i}": ((i + 1) % 3, 10) for i in range(60)}
    difference, low, high = stats.compare_texts(ours, mixed, 200)
    assert difference == 0 and -4 < low < -1 < 1 < high < 4


def test_two_files(tmp_path, capsys):
    paths = [tmp_path / name for name in "ab"]
    for path, heard in zip(paths, ("one", "two")):
        rows = f"1-2-0001,one,{heard}", "1-2-0002,a b,b", "FADG0_SI1,a,a"
        path.write_text("\n".join(["id,reference,hypothesis", *rows]))
    assert stats.read_texts(paths[1]) == {"1": (2, 3), "FADG0": (0, 1)}
    assert stats.main([*map(str, paths)]) == 0
    assert capsys.readouterr().out.startswith("-25.00 % of the words")
    paths[1].write_text("id,reference,hypothesis\n1-1,one,one\n3-1,a,a\n")
    assert stats.main([*map(str, paths)]) == 1
    assert "not of the same texts" in capsys.readouterr().err
    assert stats.main([str(paths[0]), str(tmp_path / "none")]) == 1
