"""The comparison's HTML report."""

import base64
import re

import pytest
from result_rows import rows_file

from benchmarks import page


def test_page_shows_every_system(tmp_path, monkeypatch):
    """Rows of an older version, and systems that differ in one column."""
    path = rows_file(
        tmp_path / "rows.csv",
        rnn=["LiGRU"] * 4,
        seed=[1, 1, 1, 2],
        threads=["", 1, 2, 2],
        epochs=["", 9, 9, 9],
        wer=[9, 8, 7, 6],
        epoch_s=[4, 3, 2, 2],
    )
    shown = []
    monkeypatch.setattr(page.curves, "epoch_bars", shown.append)
    page.write(path, tmp_path, tmp_path / "report.html")
    (seconds,) = shown
    name = "LiGRU, numba, threads: {}, epochs: {}"
    assert seconds == {
        name.format("unknown", "unknown"): 4,
        name.format("1", "9"): 3,
        name.format("2", "9"): 2,
    }


def test_epochs_without_a_time_leave_the_others(tmp_path, monkeypatch):
    """A test elsewhere than its training has none."""
    path = rows_file(
        tmp_path / "rows.csv",
        rnn=["LiGRU", "LiGRU", "LSTM"],
        seed=[1, 2, 1],
        wer=[9, 8, 7],
        epoch_s=[3, "", ""],
    )
    shown = []
    monkeypatch.setattr(page.curves, "epoch_bars", shown.append)
    page.write(path, tmp_path, tmp_path / "report.html")
    assert shown == [{"LiGRU, numba": 3}]


def test_page_of_trainings_that_logged_nothing(tmp_path):
    command = "python train.py a.yaml --output_folder ../"
    path = rows_file(
        tmp_path / "rows.csv",
        rnn=["LiGRU", "LSTM", "GRU"],
        seed=[1, 1, 1],
        wer=[9, 8, 7],
        epoch_s=[3, 2, 1],
        command=[command + name for name in ("empty", "none", "one")],
    )
    for name in ("empty", "none", "one"):
        (tmp_path / name).mkdir()
    (tmp_path / "empty" / "train_log.txt").write_text("test loss: 1\n")
    (tmp_path / "one" / "train_log.txt").write_text(
        "epoch: 1, lr: 1e-03 - train loss: 3, train s: 6 - valid loss: 2, "
        "valid WER: 95\n"
    )
    out = tmp_path / "report.html"
    page.write(path, tmp_path, out)
    times, _, bars = re.findall(r"base64,([^\"]+)", out.read_text())
    assert b"GRU, numba" in base64.b64decode(times)
    assert b"LSTM" not in base64.b64decode(times)
    assert b"LSTM, numba" in base64.b64decode(bars)


def test_page_of_rows_without_trainings(tmp_path):
    path = rows_file(
        tmp_path / "rows.csv", rnn=["<b>"], seed=[1], wer=[9], epoch_s=[3]
    )
    out = tmp_path / "report.html"
    assert page.main([str(path), str(tmp_path), "--out", str(out)]) == 0
    html = out.read_text()
    assert "&lt;b&gt;" in html and "<b>" not in html
    # Nothing is loaded from anywhere.
    assert not re.findall(r"(?:src|href)=\"(?!data:)", html)
    (image,) = re.findall(r"base64,([^\"]+)", html)
    assert b"seconds an epoch" in base64.b64decode(image)
    assert page.main([str(tmp_path / "none.csv"), str(tmp_path)]) == 1


def test_page_shows_each_tests_own_utterances(tmp_path):
    path = rows_file(
        tmp_path / "rows.csv",
        **{"rnn": ["LiGRU"] * 3, "seed": [1] * 3, "settings": list("aab")},
        **{"lm": ["none", "rnnlm", "none"], "wer": [9, 8, 7]},
        **{"epochs": [1] * 3, "precision": ["fp32"] * 3, "epoch_s": [3] * 3},
        command=[
            f"python train.py a.yaml --output_folder LiGRU-a-1{more}"
            for more in ("", "", " --beam_size=3")
        ],
    )
    run = tmp_path / "LiGRU-a-1"
    run.mkdir()
    stats = "train loss: 3, train s: 2 - valid loss: 2, valid WER: 9"
    (run / "train_log.txt").write_text(f"epoch: 1, lr: 1 - {stats}\n")
    texts = {"test_a": "tree", "test_rnnlm_a": "tea", "test_b": "thrice"}
    for name, heard in texts.items():
        text = f"id,reference,hypothesis\nu1,three,{heard}\n"
        (run / f"texts_{name}.csv").write_text(text)
    out = tmp_path / "report.html"
    page.write(path, tmp_path, out)
    html = out.read_text()
    assert re.findall("<h2>(.*)</h2>", html) == ["r, AN4, test, CPU"]
    heads = re.findall("<h4>(.*)</h4>", html)
    assert all(head.endswith(": seed 1") for head in heads)
    for head, heard in zip(
        ("lm: none, no options", "lm: rnnlm, no options", "--beam_size=3"),
        texts.values(),
        strict=True,
    ):
        (at,) = (i for i, found in enumerate(heads, 1) if head in found)
        shown = html.split("<h4>")[at]
        assert [word for word in texts.values() if word in shown] == [heard]
    # All three are of one training.
    for image in re.findall(r"base64,([^\"]+)", html):
        labels = re.findall(rb">(LiGRU[^<]*)<", base64.b64decode(image))
        assert len(labels) == 1 and b"no options" not in labels[0]


def test_an_epochs_time_is_the_newest_of_its_training(tmp_path, monkeypatch):
    command = "python train.py a.yaml --output_folder LiGRU-a-1"
    path = rows_file(
        tmp_path / "rows.csv",
        **{"rnn": ["LiGRU"] * 2, "seed": [1, 1], "settings": ["a", "b"]},
        **{"lm": ["none", "lm"], "wer": [9, 8], "epoch_s": [3, 4]},
        command=[command, f"{command} --test_only --lm_folder lm"],
    )
    shown = []
    monkeypatch.setattr(page.curves, "epoch_bars", shown.append)
    page.write(path, tmp_path, tmp_path / "report.html")
    assert shown == [{"LiGRU, numba": 4}]


def test_seeds_of_a_system_in_folders_of_any_name(tmp_path, monkeypatch):
    path = rows_file(
        tmp_path / "rows.csv",
        **{"rnn": ["LiGRU"] * 2, "seed": [1, 2], "settings": ["a", "a"]},
        **{"wer": [9, 8], "epoch_s": [3, 13]},
        command=[f"python train.py --output_folder x/{n}" for n in (1, 2)],
    )
    shown = []
    monkeypatch.setattr(page.curves, "epoch_bars", shown.append)
    page.write(path, tmp_path, tmp_path / "report.html")
    assert shown == [{"LiGRU, numba": 8}]


def test_a_command_that_can_not_be_read(tmp_path, capsys):
    path = rows_file(
        tmp_path / "rows.csv", rnn=["LiGRU"], wer=[9], command=["python 'x"]
    )
    assert page.main([str(path), str(tmp_path)]) == 1
    assert 'command of a row, "python \'x": No clos' in capsys.readouterr().err


def test_options_that_all_have_are_not_in_a_systems_name(tmp_path, monkeypatch):
    path = rows_file(
        tmp_path / "rows.csv",
        **{"rnn": ["LiGRU"] * 2, "seed": [1] * 2, "settings": ["a", "b"]},
        **{"wer": [9, 8], "epoch_s": [3, 13]},
        command=[
            f"python train.py a.yaml --batch_size 4 --lr 0.001{more}"
            for more in ("", " --dropout 0.1")
        ],
    )
    shown = []
    monkeypatch.setattr(page.curves, "epoch_bars", shown.append)
    page.write(path, tmp_path, tmp_path / "report.html")
    alike, other = "LiGRU, numba, no other options", "LiGRU, numba, --dropout"
    assert shown == [{alike: 3, f"{other}=0.1": 13}]


@pytest.mark.filterwarnings("error")
def test_long_names_leave_their_bars_room():
    options = " ".join(f"--an_option_of_the_recipe_{i}=x" for i in range(9))
    image = page.curves.epoch_bars({f"A {options}": 3, f"B {options}": 5})
    svg = base64.b64decode(image.partition("base64,")[2]).decode()
    assert "--an_option_of_the_recipe_8=x" in svg
