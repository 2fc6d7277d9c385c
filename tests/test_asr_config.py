"""YAML on top of YAML, and the recipes' own files."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml, resolve_references

from speechbrain_ligru_fast.asr.config import load_experiment, parse
from speechbrain_ligru_fast.asr.overrides import overrides
from speechbrain_ligru_fast.asr.yaml_files import compose, resolved
from speechbrain_ligru_fast.deploy.export import export

ROOT = Path(__file__).parent.parent
HPARAMS = ROOT / "hparams"
SYSTEMS = sorted(
    path.relative_to(HPARAMS).as_posix()
    for path in HPARAMS.glob("*/*.yaml")
    if path.parent.name != "common" and not path.stem.startswith("lm")
)


def load(name, **overrides):
    overrides = {"data_folder": "x", "output_folder": "x"} | overrides
    stream = resolve_references(compose(HPARAMS / name), overrides)
    # Without what would be built: the tags are not YAML's.
    return {
        line.split(":")[0]: re.sub(
            "&id[0-9]+ | #.*", "", line.partition(":")[2]
        ).strip()
        for line in stream.read().splitlines()
        if line[:1].isalpha()
    }


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_kept_can_be_read_again(name):
    overrides = {"data_folder": "x", "output_folder": "y", "seed": 7}
    # As in a training: from then on "(1, 2)" is a tuple.
    load_hyperpyyaml("a: (1, 2)")
    kept = resolved(compose(HPARAMS / name), overrides)
    assert "!ref" not in kept and "seed: 7" in kept
    # Where nothing was loaded, "(1, 2)" is a string, and strings with anchors
    # are what goes wrong.
    assert not re.search(r"[&*]id\d+ \(", kept)
    assert resolve_references(kept).read() == kept


def test_new_keys_stand_before_their_successor(tmp_path):
    # A reference to a reference resolves from top to bottom only.
    path = write(
        tmp_path,
        full="a: 2\nuse: !ref <a>\nlast: !ref <use>\n",
        small="--- !include:full.yaml\nb: !ref <a> * 3\nuse: !ref <b>\nz: 1\n",
    )
    hparams = load_hyperpyyaml(compose(path))
    assert hparams == {"a": 2, "b": 6, "use": 6, "last": 6, "z": 1}


def test_chain_and_override(tmp_path):
    path = write(
        tmp_path,
        a="x: 1\ny: 1\nz: 1\n",
        b="--- !include:a.yaml\ny: 2\nz: 2\n",
        c="--- !include:b.yaml\nz: 3\n",
    )
    assert load_hyperpyyaml(compose(path)) == {"x": 1, "y": 2, "z": 3}


def test_several_files_at_once(tmp_path):
    path = write(
        tmp_path,
        full="a: 2\nuse: !ref <a>\nlast: !ref <use>\n",
        one="b: !ref <a> * 3\nuse: !ref <b>\n",
        two="last: 7\nz: 1\n",
        both="--- !include:full.yaml+one.yaml+two.yaml\nz: 2\n",
    )
    hparams = load_hyperpyyaml(compose(path))
    assert hparams == {"a": 2, "b": 6, "use": 6, "last": 7, "z": 2}


def test_missing_and_circular(tmp_path):
    path = write(tmp_path, a="--- !include:none.yaml\nx: 1\n")
    with pytest.raises(FileNotFoundError, match="none.yaml, included by .*a."):
        compose(path)
    path = write(tmp_path, a="--- !include:a.yaml\nx: 1\n")
    with pytest.raises(ValueError, match="includes itself"):
        compose(path)
    path = write(tmp_path, a="- 1\n")
    with pytest.raises(ValueError, match="not a YAML mapping"):
        compose(path)


@pytest.mark.parametrize(
    "given, nearest",
    [
        (["--batch_sizes", "3"], "--batch_sizes: .* --batch_size?"),
        # argparse would take these for what they abbreviate.
        (["--precis", "bf16"], "--precis: .* --precision?"),
        (["--precis=bf16"], "--precis: .* --precision?"),
        (["--ckpt_interval_minute=3"], "mean --ckpt_interval_minutes?"),
        (["--noprog"], "mean --noprogressbar?"),
        (["--dynamic_batch={num_buckets: 3}"], "mean --dynamic_batching?"),
    ],
)
def test_options_in_full_only(tmp_path, given, nearest):
    folder = tmp_path / "out"
    command = [str(ROOT / "tests/hparams/tiny_timit.yaml"), *given]
    command += ["--data_folder", "x", "--output_folder", str(folder)]
    for read in (load_experiment, parse):
        with pytest.raises(ValueError, match=nearest.replace("?", r"\?")):
            read(command)
    assert not folder.exists()


@pytest.mark.parametrize(
    "given, words",
    [
        (["--corpus", "x", "lr=1"], "--corpus: got x lr=1, expected one"),
        (["--corpus", "x", "-lr", "1"], "--corpus: got x -lr 1, expected one"),
        (["--lr", "--seed", "2"], "--lr: got none, expected one value"),
        (["--jit", "yes"], "--jit: got yes, expected no value"),
        # Also keys of the YAML.
        (["--compile_using_dynamic_shape_tracing", "True"], "no value"),
        (["--lr=1", "--lr", "2"], "--lr is given twice"),
        (["--lr", "1 # fast"], "--lr: got '1 # fast', of which YAML reads a"),
        (["--lr", "1\nseed: 2"], "of which YAML reads a part only"),
        (["--optimizer_step_limit", "two"], "got two, expected a positive int"),
        (["--optimizer_step_limit=0"], "got 0, expected a positive integer"),
        (
            ["--ckpt_interval_steps=1", "--ckpt_interval_minutes=1"],
            "got both, expected one of them",
        ),
        (["--cnn_channels", "(8,", "8)"], "a value with spaces stands in"),
    ],
)
def test_a_value_each(given, words):
    yaml = str(ROOT / "tests/hparams/tiny_timit.yaml")
    with pytest.raises(ValueError, match=words):
        parse([yaml, "--data_folder", "x", *given])
    parse(["--device", "cpu", yaml, "--data_folder=x", "--lr="])
    more = ["--compile", "--compile_using_dynamic_shape_tracing"]
    more += ["--jit_module_keys", "enc", "dec", "--cnn_channels", "(8, 8)"]
    parse([yaml, "--data_folder", "x", *more, "--compile_module_keys"])


TINY = str(ROOT / "tests/hparams/tiny_timit.yaml")


NAMED = ("output_folder", "tokenizer_file", "results_csv", "corpus")


@pytest.mark.parametrize(
    "name",
    ["run #2", "a: b", "007", "1e3", "true", "2026-11-29", "a=b", "(1, 2)"]
    + [
        "*a",
        "&a",
        "x,y",
        "100%",
        "- a",
        " a ",
        "o'k",
        "Ünï",
        "{x",
        "[x",
        "\\b",
    ],
)
def test_names_are_what_was_given(tmp_path, name):
    path = write(tmp_path, a="".join(f"{key}: null\n" for key in NAMED))
    words = [word for key in NAMED[:2] for word in (f"--{key}", name)]
    words += [f"--{key}={name}" for key in NAMED[2:]]
    _, document, _, changes = parse([str(path), *words])
    assert load_hyperpyyaml(document, changes) == dict.fromkeys(NAMED, name)


def test_folders_at_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    path = write(tmp_path, a="data_folder: ~/d # here\nlm_folder: ~\nb: ~/x\n")
    for given, want in (
        ([], ["/home/me/d", None, "~/x"]),
        (["--data_folder=~", "--lm_folder", "~/l"], ["/home/me", "/home/me/l"]),
        (["--data_folder", "null", "--lm_folder="], [None, None]),
        (["--data_folder", "!ref <b>/y"], ["~/x/y"]),
    ):
        _, document, _, changes = parse([str(path), *given])
        found = load_hyperpyyaml(document, changes or None)
        assert list(found.values())[: len(want)] == want


def test_run_options_are_of_their_type():
    _, _, run_opts, _ = parse([TINY, "--optimizer_step_limit", "2"])
    assert run_opts["optimizer_step_limit"] == 2
    _, _, run_opts, _ = parse([TINY, "--ckpt_interval_steps", "3"])
    assert run_opts["ckpt_interval_steps"] == 3
    # The YAML has minutes.
    assert run_opts["ckpt_interval_minutes"] == 0
    assert "ckpt_interval_minutes" in run_opts.overridden_args


def test_what_is_kept_begins_another_training(quiet, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    command = ["--data_folder", "x", "--lr", "0.5", "--output_folder"]
    first, _ = load_experiment([TINY, *command, str(old)])
    kept = str(old / "hyperparams.yaml")
    again, _ = load_experiment([kept, "--output_folder", str(new)])
    assert again["settings"] == first["settings"]
    assert again["lr"] == 0.5 and again["data_folder"] == "x"
    paths = ("save_folder", "results_csv", "train_annotation")
    assert all(Path(again[key]).is_relative_to(new) for key in paths)
    assert (new / "hyperparams.yaml").read_text().count(str(old)) == 0


@pytest.mark.parametrize(
    "content, words",
    [
        (b"wer,cer\n1,2,3\n", "rows.csv, line 2: 3 cells for 2 columns"),
        (b"\x89PNG\r\n\x1a\n", "rows.csv is no CSV: .*can't decode"),
        (b'"a' + b"b" * 200000, "rows.csv is no CSV: field larger"),
    ],
    ids=["cells", "binary", "long"],
)
def test_a_damaged_result_file_is_found_at_the_start(tmp_path, content, words):
    path, folder = tmp_path / "rows.csv", tmp_path / "out"
    path.write_bytes(content)
    command = [str(ROOT / "tests/hparams/tiny_timit.yaml")]
    command += ["--data_folder", "x", "--output_folder", str(folder)]
    with pytest.raises(ValueError, match=words):
        load_experiment([*command, "--results_csv", str(path)])
    assert not (folder / "hyperparams.yaml").exists()
    assert path.read_bytes() == content


@pytest.fixture
def quiet(monkeypatch):
    # SpeechBrain replaces the hook for the rest of the process.
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.fixture
def trained(quiet, tmp_path):
    """The command line and folder of a training with a checkpoint."""
    folder = tmp_path / "out"
    command = [str(ROOT / "tests/hparams/tiny_timit.yaml")]
    command += ["--data_folder", "x", "--output_folder", str(folder)]
    hparams, _ = load_experiment(command)
    (folder / "save" / "CKPT+1").mkdir()
    export(hparams)
    return command, folder


def kept(folder):
    """What a training leaves for others."""
    names = ["hyperparams.yaml", *(folder / "export").glob("*")]
    return {str(name): (folder / name).read_bytes() for name in names}


@pytest.mark.parametrize(
    "given, names",
    [
        (["--norm_type", "sentence", "--n_fft", "512"], "n_fft, norm_type"),
        (["--seed", "7"], "seed"),
        (["--max_grad_norm", "1"], "--max_grad_norm"),
        (["--rnn_class=!name:speechbrain.nnet.RNN.LSTM"], "rnn_class"),
    ],
)
def test_a_test_claims_what_was_trained(trained, given, names):
    command, folder = trained
    before = kept(folder)
    with pytest.raises(ValueError, match=f"training with other {names}. Give"):
        load_experiment([*command, *given, "--test_only"])
    assert kept(folder) == before


def test_what_belongs_to_the_test_may_differ(trained):
    command, folder = trained
    before = kept(folder)
    given = ["--beam_size", "5", "--ctc_weight_decode", "0.2", "--jit"]
    given += ["--backend", "reference", "--batch_size", "2"]
    given += ["--number_of_epochs", "9", "--eval_precision", "bf16"]
    given += ["--test_speakers=[MTST1]", "--results_csv", str(folder / "r.csv")]
    hparams, _ = load_experiment([*command, *given, "--test_only"])
    export(hparams, trained=False)
    assert kept(folder) == before
    # The same settings' export is written anew.
    hparams, _ = load_experiment([*command, "--test_only"])
    (folder / "export" / "enc.ckpt").unlink()
    export(hparams, trained=False)
    assert set(kept(folder)) == set(before)


def test_a_training_from_before_origins_is_tested(trained):
    command, folder = trained
    origin = folder / "save" / "origin.json"
    # A key that the YAML has got since.
    begun = json.loads(origin.read_text())
    del begun["max_duration"]
    origin.write_text(json.dumps(begun))
    load_experiment([*command, "--test_only"])
    origin.unlink()
    load_experiment([*command, "--test_only", "--lr", "9"])
    assert not origin.exists()


def test_a_language_model_is_looked_for_at_the_start(tmp_path):
    folder = tmp_path / "out"
    command = [str(ROOT / "tests/hparams/tiny_timit.yaml")]
    command += ["--data_folder", "x", "--output_folder", str(folder)]
    words = "holds no trained language model: looked for .*lm.yaml"
    with pytest.raises(FileNotFoundError, match=words):
        load_experiment([*command, "--lm_folder", str(tmp_path / "none")])
    assert not folder.exists()


HOLD = """\
import sys, time
from speechbrain_ligru_fast.asr.lock import lock_folder
lock_folder(sys.argv[1])
print("held", flush=True)
if sys.argv[2:]:
    import os
    os.fork()  # as data loading does: both go on
time.sleep(600)
"""


@pytest.mark.parametrize("forked", [False, True])
def test_one_process_to_an_output_folder(tmp_path, quiet, forked):
    folder = tmp_path / "out"
    command = [str(ROOT / "tests/hparams/tiny_timit.yaml")]
    command += ["--data_folder", "x", "--output_folder", str(folder)]
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), *["fork"] * forked],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert other.stdout.readline() == b"held\n"
        words = f"output_folder {folder} is in use by process {other.pid} "
        with pytest.raises(RuntimeError, match=re.escape(words)):
            load_experiment(command)
        assert not (folder / "hyperparams.yaml").exists()
        other.kill()
        other.wait()
        load_experiment(command)
        # Its own test afterwards, in the same process or in another.
        load_experiment([*command, "--test_only"])
    finally:
        # With the forked one; without it nobody may be left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(other.pid, signal.SIGKILL)


def test_a_key_within_a_key():
    path = HPARAMS / "librispeech/an4.yaml"
    change = "--dynamic_batch_sampler={num_buckets: 3}"
    _, document, _, overrides = parse([str(path), change])
    tree = resolve_references(document, overrides + "\ndata_folder: x").read()
    assert "num_buckets: 3\n" in tree and "max_batch_ex: 24\n" in tree


@pytest.mark.parametrize("name", SYSTEMS)
def test_variants_change_keys_and_invent_none(name):
    keys = set(load(name))
    full = f"{Path(name).parent}/ligru_fast.yaml"
    if name.startswith("demo/"):
        full = f"{Path(name).stem}/ligru_fast.yaml"
    # A schedule by steps needs to know how many there are; SincNet is a
    # layer more.
    new = {"sincnet", "sinc_kernelsize", "sinc_stride"}
    allowed = {"total_steps"} | (new if "sincnet" in name else set())
    assert keys - set(load(full)) <= allowed


def test_full_size_settings():
    timit = load("timit/ligru_fast.yaml")
    for key, value in {
        "rnn_neurons": "512",
        "rnn_layers": "4",
        "rnn_bidirectional": "true",
        "output_neurons": "42",
        "batch_size": "8",
        "lr": "0.0003",
        "ctc_weight": "0.2",
        "number_of_epochs": "50",
        "beam_size": "16",
        "rnn_class": "!name:speechbrain_ligru_fast.LiGRU",
    }.items():
        assert timit[key] == value, key
    librispeech = load("librispeech/ligru_fast.yaml")
    for key, value in {
        "rnn_neurons": "1024",
        "rnn_layers": "4",
        "rnn_bidirectional": "true",
        "output_neurons": "1000",
        # An epoch's steps at a learning rate are SpeechBrain's.
        "dynamic_batching": "false",
        "batch_size": "24",
        "sorting": "ascending",
        "lr": "1.0",
        "lm_folder": "",
        "beam_size": "80",
        "train_splits": "[train-clean-100, train-clean-360, train-other-500]",
        "test_splits": "[test-clean, test-other]",
    }.items():
        assert librispeech[key] == value, key
    assert librispeech["rnn_class"].endswith(".SLiGRU")


@pytest.mark.parametrize("path", sorted(HPARAMS.rglob("*.yaml")), ids=str)
def test_nothing_is_downloaded(path):
    text = path.read_text()
    assert "http" not in text and "speechbrain/" not in text


@pytest.mark.parametrize(
    ("rnn_class", "lengths_matter"),
    [
        ("speechbrain.nnet.RNN.LSTM", True),
        ("speechbrain.nnet.RNN.GRU", True),
        ("speechbrain.nnet.RNN.LiGRU", False),
        ("speechbrain.nnet.RNN.SLiGRU", False),
        ("speechbrain_ligru_fast.LiGRU", True),
        ("speechbrain_ligru_fast.SLiGRU", True),
    ],
)
def test_one_key_changes_the_layer(tmp_path, rnn_class, lengths_matter):
    path = ROOT / "tests/hparams/tiny_librispeech.yaml"
    _, _, overrides = sb.parse_arguments(
        [
            str(path),
            *["--data_folder", "x", "--output_folder", str(tmp_path)],
            *[f"--rnn_class=!name:{rnn_class}", "--backend", "reference"],
        ]
    )
    hparams = load_hyperpyyaml(compose(path), overrides)
    encoder = hparams["enc"].eval()
    layer = encoder["RNN"]
    assert type(layer).__name__ == rnn_class.rpartition(".")[2]
    assert type(layer).__module__.startswith(rnn_class.partition(".")[0])
    features = torch.randn(2, 20, 40)
    lengths = torch.tensor([1.0, 0.5])
    with torch.no_grad():
        same = torch.equal(encoder(features, lengths), encoder(features))
    assert same != lengths_matter


def test_a_folder_is_not_taken_for_a_reference():
    for folder in ("runs/<seed>", "<a>b"):
        with pytest.raises(ValueError, match="--output_folder: got .* <...> w"):
            overrides(["--output_folder", folder])
    given = overrides(["--output_folder=!ref runs/<seed>", "--data_folder=<b"])
    assert given == 'output_folder: !ref runs/<seed>\ndata_folder: "<b"'
