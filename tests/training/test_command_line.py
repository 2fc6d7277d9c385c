"""Options in full, a value each, and values that mean what was given."""

import re
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml, resolve_references
from tiny_systems import tiny

from speechbrain_ligru_fast.training.command_line import parse

HPARAMS = Path(__file__).parents[2] / "hparams"
NAMED = ("output_folder", "tokenizer_file", "results_csv", "corpus")
# Some of them need quotes, some are two keys' worth, some no text for YAML.
NAMES = ["run #2", "a: b", "007", "1e3", "true", "2026-11-29", "a=b", "(1, 2)"]
NAMES += ["*a", "&a", "x,y", "100%", "- a", " a ", "o'k", "Ünï", "{x", "[x"]
NAMES += ["\\b"]


def write(folder, text):
    (folder / "a.yaml").write_text(text)
    return str(folder / "a.yaml")


@pytest.fixture
def yaml(tmp_path):
    keys = "lr batch_size dynamic_batch_sampler dynamic_batching corpus seed "
    keys += "output_folder ckpt_interval_minutes cnn_channels "
    keys += "compile_using_dynamic_shape_tracing"
    return write(tmp_path, "".join(f"{key}: 1\n" for key in keys.split()))


@pytest.mark.parametrize(
    "given, words",
    [
        (["--batch_sizes", "3"], "--batch_sizes: .* mean --batch_size?"),
        # argparse would take these for what they abbreviate.
        (["--precis", "bf16"], "--precis: .* mean --precision?"),
        (["--precis=bf16"], "--precis: .* mean --precision?"),
        (["--ckpt_interval_minute=3"], "mean --ckpt_interval_minutes?"),
        (["--noprog"], "mean --noprogressbar?"),
        (["--dynamic_batch={num_buckets: 3}"], "mean --dynamic_batching?"),
        (["--corpus", "x", "lr=1"], "lr=1: belongs to no option"),
        (["--corpus", "x", "-lr", "1"], "-lr: belongs to no option"),
        (["--cnn_channels", "(8,", "8)"], "8.: .* a value with spaces stands"),
        (["--lr", "--seed", "2"], "--lr: expected one argument"),
        (["--jit", "yes"], "yes: belongs to no option"),
        (["--jit=yes"], "--jit: ignored explicit argument 'yes'"),
        (["--precision", "bf8"], "--precision: invalid choice: 'bf8'"),
        # Also keys of the YAML.
        (["--compile_using_dynamic_shape_tracing", "True"], "True: belongs"),
        (["--lr=1", "--lr", "2"], "--lr is given twice"),
        (["--lr", "1 # fast"], "--lr: got '1 # fast', of which YAML reads a"),
        (["--lr", "1\nseed: 2"], "of which YAML reads a part only"),
        (["--optimizer_step_limit", "two"], "got two, expected a positive int"),
        (["--optimizer_step_limit=0"], "got 0, expected a positive integer"),
        (
            ["--ckpt_interval_steps=1", "--ckpt_interval_minutes=1"],
            "got both, expected one of them",
        ),
        # A folder is not taken for a reference.
        (
            ["--output_folder", "runs/<seed>"],
            "got 'runs/<seed>', where <...> w",
        ),
        (["--output_folder=<a>b"], "--output_folder: got .* where <...> would"),
    ],
)
def test_what_is_refused(yaml, given, words):
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        parse([yaml, *given])


def test_no_yaml(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such YAML file: none.yaml"):
        parse(["none.yaml"])
    with pytest.raises(ValueError, match="a.yaml is not a YAML mapping"):
        parse([write(tmp_path, "- 1\n")])
    with pytest.raises(ValueError, match="required: param_file"):
        parse(["--jit"])
    with pytest.raises(ValueError, match="begins with !include:b.yaml: Hyper"):
        parse([write(tmp_path, "--- !include:b.yaml\nlr: 1\n")])


def test_what_is_taken(yaml):
    path, document, run_opts, _ = parse(["--device", "cpu", yaml, "--lr="])
    assert (path, run_opts["device"]) == (yaml, "cpu")
    assert document == Path(yaml).read_text()
    more = ["--compile", "--compile_using_dynamic_shape_tracing", "--lr=-1"]
    more += ["--jit_module_keys", "enc", "dec", "--cnn_channels", "(8, 8)"]
    more += ["--seed", "-1", "--compile_module_keys", "--max_grad_norm", "-1"]
    _, _, run_opts, overrides = parse([yaml, *more])
    assert overrides == "lr: -1\ncnn_channels: (8, 8)\nseed: -1"
    assert run_opts["jit_module_keys"] == ["enc", "dec"]
    assert run_opts["compile_module_keys"] == []
    assert run_opts["max_grad_norm"] == -1.0
    assert run_opts["precision"] == "fp32"
    # What is not given leaves the YAML's.
    assert run_opts.overridden_args == {
        *("compile", "compile_using_dynamic_shape_tracing"),
        *("jit_module_keys", "compile_module_keys", "max_grad_norm"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_names_are_what_was_given(tmp_path, name):
    path = write(tmp_path, "".join(f"{key}: null\n" for key in NAMED))
    words = [word for key in NAMED[:2] for word in (f"--{key}", name)]
    words += [f"--{key}={name}" for key in NAMED[2:]]
    _, document, _, overrides = parse([path, *words])
    assert load_hyperpyyaml(document, overrides) == dict.fromkeys(NAMED, name)


def test_a_reference_is_one_if_said_so(yaml):
    given = ["--output_folder=!ref runs/<seed>", "--corpus=<b"]
    _, _, _, overrides = parse([yaml, *given])
    assert overrides == 'output_folder: !ref runs/<seed>\ncorpus: "<b"'


@pytest.mark.parametrize(
    "given, want",
    [
        ([], ["/home/me/d", None, "~/x"]),
        (["--data_folder=~", "--lm_folder", "~/l"], ["/home/me", "/home/me/l"]),
        (["--data_folder", "null", "--lm_folder="], [None, None]),
        (["--data_folder", "!ref <b>/y"], ["~/x/y"]),
    ],
)
def test_folders_at_home(monkeypatch, tmp_path, given, want):
    monkeypatch.setenv("HOME", "/home/me")
    path = write(tmp_path, "data_folder: ~/d # here\nlm_folder: ~\nb: ~/x\n")
    _, document, _, overrides = parse([path, *given])
    found = load_hyperpyyaml(document, overrides or None)
    assert list(found.values())[: len(want)] == want


def test_run_options_are_of_their_type():
    path = str(tiny("tiny_timit.yaml"))
    _, _, run_opts, _ = parse([path, "--optimizer_step_limit", "2"])
    assert run_opts["optimizer_step_limit"] == 2
    _, _, run_opts, _ = parse([path, "--ckpt_interval_steps", "3"])
    assert run_opts["ckpt_interval_steps"] == 3
    # The YAML has minutes.
    assert run_opts["ckpt_interval_minutes"] == 0
    assert "ckpt_interval_minutes" in run_opts.overridden_args


def test_a_key_within_a_key():
    path = HPARAMS / "librispeech/an4.yaml"
    change = "--dynamic_batch_sampler={num_buckets: 3}"
    _, document, _, overrides = parse([str(path), change])
    tree = resolve_references(document, overrides + "\ndata_folder: x").read()
    assert "num_buckets: 3\n" in tree and "max_batch_ex: 24\n" in tree
    assert re.search("^data_folder: x$", tree, re.M)
