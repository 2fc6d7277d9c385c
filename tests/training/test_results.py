"""Result rows are never lost."""

import multiprocessing

import pytest
from full_disk import on_full_disk

from speechbrain_ligru_fast.training.results import (
    append_row,
    name_lm,
    read_rows,
)


def write(path, who):
    for i in range(50):
        # Now and then a column nobody had, which rewrites the file.
        new = {f"{who}{i}": 1} if i % 9 == 0 else {}
        append_row(path, {"who": who, "i": i} | new)


def test_writers_at_once(tmp_path):
    path = tmp_path / "rows.csv"
    processes = multiprocessing.get_context("fork")
    writers = [
        processes.Process(target=write, args=(path, who)) for who in "ab"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    columns, rows = read_rows(path)
    for who in "ab":
        mine = [row for row in rows if row["who"] == who]
        assert [row["i"] for row in mine] == [str(i) for i in range(50)]
        assert [row["i"] for row in mine if row[f"{who}9"]] == ["9"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content, rows, want",
    [
        # A cell with a comma, and columns that are new or are not given
        (
            b'note,wer\n"a, b",9.1\n',
            [{"wer": 8.0, "cer": 2.5}, {"note": "x"}],
            'note,wer,cer\n"a, b",9.1,\n,8.0,2.5\nx,,\n',
        ),
        # Cut before its last newline
        (
            b"wer,seed\n9.1,2",
            [{"wer": 8.7, "seed": 1}],
            "wer,seed\n9.1,2\n8.7,1\n",
        ),
        # By a spreadsheet, whose mark is no column
        (
            "\ufeffwer,seed\r\n9.1,1\r\n".encode(),
            [{"wer": 8.7, "seed": 2}],
            "wer,seed\n9.1,1\n8.7,2\n",
        ),
    ],
)
def test_what_is_there_keeps_its_cells(tmp_path, content, rows, want):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    for row in rows:
        append_row(path, row)
    assert path.read_text() == want


@pytest.mark.parametrize(
    "content, words",
    [
        (b"wer,cer\n1,2,3\n", "line 2: 3 cells for 2 columns"),
        (b"wer,seed,wer\n9.1,1,8.0\n", "more than one column named wer: ren"),
        (b"\x89PNG\r\n\x1a\n", "is no CSV: .*can't decode"),
        (b'"a' + b"b" * 200000, "is no CSV: field larger"),
    ],
    ids=["cells", "columns", "binary", "long"],
)
def test_what_is_no_table_is_left_alone(tmp_path, content, words):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    for row in ({"wer": 7}, {"per": 7}):
        with pytest.raises(ValueError, match=f"rows.csv.* {words}"):
            append_row(path, row)
    assert path.read_bytes() == content


@pytest.mark.parametrize("folder", ["none", "x/none/", "/", "/none"])
def test_a_language_model_is_not_called_none(folder):
    with pytest.raises(ValueError, match="lm_folder=.* no language model"):
        name_lm(folder)


def test_a_failed_rewrite_leaves_nothing_behind(tmp_path):
    append_row(tmp_path / "rows.csv", {"wer": 9.1})
    before = (tmp_path / "rows.csv").read_bytes()
    with pytest.raises(TypeError):
        append_row(tmp_path / "rows.csv", ["a new column", {}])
    assert (tmp_path / "rows.csv").read_bytes() == before
    assert not list(tmp_path.glob(".rows.csv.*"))


def test_a_full_disk_leaves_no_half_row(tmp_path):
    path = tmp_path / "rows.csv"

    def append():
        for row in {"note": "x" * 99}, {"note": "x" * 99, "new": 1}:
            with pytest.raises(OSError, match="File too large"):
                append_row(path, row)

    on_full_disk(append, 9)
    assert not list(tmp_path.iterdir())
    append_row(path, {"wer": 9.1, "note": ""})
    before = path.read_bytes()
    on_full_disk(append, len(before) + 9)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    append_row(path, {"wer": 8.7})
    assert len(read_rows(path)[1]) == 2


def test_a_file_is_replaced_but_a_link_stays_one(tmp_path):
    path = tmp_path / "elsewhere" / "rows.csv"
    path.parent.mkdir()
    (tmp_path / "rows.csv").symlink_to(path)
    append_row(tmp_path / "rows.csv", {"wer": 1})
    path.chmod(0o664)
    with open(path) as reader:
        append_row(tmp_path / "rows.csv", {"wer": 2})
        # Never half of a file
        assert reader.read() == "wer\n1\n"
    assert path.read_text() == "wer\n1\n2\n"
    assert path.stat().st_mode & 0o777 == 0o664
    assert (tmp_path / "rows.csv").is_symlink()
