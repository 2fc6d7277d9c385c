"""Each YAML is a whole system, and systems differ in what they mean to."""

import re

import pytest
import ruamel.yaml
import torch
from hyperpyyaml import load_hyperpyyaml
from tiny_systems import HPARAMS, tiny

# Where one of a family stands -> what differs from another one of it
SINCNET = "recipe compute_features norm_type n_mels sinc_kernelsize "
SINCNET += "sinc_stride sincnet enc jit_module_keys"
SMALL = "recipe number_of_epochs lr sorting cnn_channels using_2d_pooling "
SMALL += "time_pooling rnn_layers rnn_neurons dnn_blocks dnn_neurons emb_size "
SMALL += "dec_neurons attn_dim attn_kernel_size beam_size ctc_weight_decode "
SMALL += "valid_search lr_annealing "
SPLITS = "corpus recipe train_splits dev_splits test_splits "
SIZES = "batch_size output_neurons dropout rnn_neurons dnn_neurons emb_size"
FAMILIES = {
    "timit/ligru_fast_sincnet": ("timit/ligru_fast", SINCNET),
    "timit/small": (
        "timit/ligru_fast",
        SMALL + "ctc_weight inter_layer_pooling_size dec_dropout",
    ),
    "timit/small_sincnet": ("timit/small", SINCNET),
    "demo/timit": (
        "timit/small",
        "corpus recipe number_of_epochs cnn_channels rnn_neurons",
    ),
    "librispeech/ligru_fast_sincnet": ("librispeech/ligru_fast", SINCNET),
    "librispeech/small": (
        "librispeech/ligru_fast",
        SMALL + "batch_size concat_original num_workers opt_class "
        "output_neurons using_max_attn_shift coverage_penalty temperature",
    ),
    "librispeech/lj": (
        "librispeech/small",
        SPLITS + "number_of_epochs number_of_ctc_only_epochs batch_size "
        "lr_annealing using_2d_pooling cnn_blocks cnn_channels "
        "output_neurons token_type ctc_weight_decode using_eos_threshold "
        "max_decode_ratio",
    ),
    "librispeech/an4": (
        "librispeech/ligru_fast",
        SPLITS + "seed number_of_epochs number_of_ctc_only_epochs batch_size "
        "sorting dynamic_batching max_batch_length dynamic_batch_sampler "
        "concat_original num_workers avg_checkpoints ctc_weight lr opt_class "
        "lr_annealing total_steps step_schedule norm_type speeds cnn_blocks "
        "cnn_channels using_2d_pooling time_pooling_size rnn_neurons "
        "dnn_blocks dnn_neurons dropout emb_size dec_neurons attn_dim "
        "dec_dropout attn_kernel_size output_neurons token_type beam_size "
        "ctc_weight_decode using_eos_threshold valid_search coverage_penalty "
        "temperature using_max_attn_shift test_dataloader_opts",
    ),
    "librispeech/so762": (
        "librispeech/an4",
        SPLITS + "number_of_epochs number_of_ctc_only_epochs rnn_neurons "
        "output_neurons total_steps",
    ),
    # One system on two corpora, with what its corpus needs
    "librispeech/ligru_fast": (
        "timit/ligru_fast",
        SPLITS + "seed test_annotations letter_case uppercase phn_set "
        "dev_speakers test_speakers test_annotation text metric scoring "
        "number_of_epochs batch_size lr ctc_weight concat_original "
        "num_workers opt_class time_pooling_size rnn_class rnn_neurons "
        "rnn_re_init dec_neurons attn_dim dec_dropout output_neurons "
        "token_type tokenizer_file tokenizer beam_size coverage_penalty "
        "temperature using_max_attn_shift max_attn_shift "
        "test_dataloader_opts lm_temperature",
    ),
    "hybrid/timit_hybrid_ligru": (
        "hybrid/an4_hybrid_ligru",
        "seed corpus recipe layout train_splits dev_splits test_splits "
        "test_annotations letter_case uppercase phn_set dev_speakers "
        "test_speakers test_annotation text metric scoring lexicon_file "
        "phones_file silence ngram_order rnn_class output_neurons "
        "phone_neurons number_of_epochs realign_after lr_annealing "
        "number_of_search_epochs total_steps step_schedule mmi_epochs "
        "augmentations drop_chunk dropout lr opt_class cnn_blocks "
        "using_2d_pooling time_pooling frames_per_step rnn_layers",
    ),
    "hybrid/so762_hybrid_ligru": (
        "hybrid/an4_hybrid_ligru",
        SPLITS + "lexicon_file phones_file stress output_neurons phone_neurons "
        "number_of_epochs realign_after number_of_search_epochs mmi_epochs "
        "total_steps",
    ),
    "librispeech/lm_small": ("librispeech/lm", SIZES),
    "librispeech/lm_an4": (
        "librispeech/lm_small",
        "extra_text output_neurons transcript_copies batch_size lr "
        "number_of_epochs",
    ),
}
NAMES = sorted(
    {*FAMILIES, "timit/ligru_fast", "librispeech/lm"}
    | {"hybrid/an4_hybrid_ligru"}
)


def test_none_is_left_out():
    found = {path.relative_to(HPARAMS) for path in HPARAMS.rglob("*.yaml")}
    assert sorted(str(path.with_suffix("")) for path in found) == NAMES


def keys_of(name):
    """Each key's text: its node as it is written, references too."""
    text = (HPARAMS / f"{name}.yaml").read_text()
    nodes = ruamel.yaml.YAML().compose(text).value
    return {key.value: plain(node) for key, node in nodes}


def plain(node):
    value = node.value
    if isinstance(node, ruamel.yaml.MappingNode):
        value = sorted((key.value, plain(x)) for key, x in value)
    elif isinstance(node, ruamel.yaml.SequenceNode):
        value = [plain(x) for x in value]
    return str(node.tag), value


@pytest.mark.parametrize("name", FAMILIES)
def test_what_differs_in_a_family(name):
    other, differs = FAMILIES[name]
    mine, theirs = keys_of(name), keys_of(other)
    found = {k for k in {*mine, *theirs} if mine.get(k) != theirs.get(k)}
    assert found == set(differs.split())


@pytest.mark.parametrize("name", NAMES)
def test_hyperpyyaml_alone_loads_it(name, tmp_path):
    path = HPARAMS / f"{name}.yaml"
    text = path.read_text()
    assert "!include" not in text and "--- " not in text
    # Nothing is downloaded.
    assert "http" not in text and "speechbrain/" not in text
    overrides = {"output_folder": str(tmp_path)}
    for key in ("data_folder", "asr_folder", "extra_text"):
        if re.search(f"^{key}: *!PLACEHOLDER", text, re.MULTILINE):
            overrides[key] = str(tmp_path)
    # What takes memory; a reference to it is followed.
    for key in ("rnn_neurons", "dec_neurons", "attn_dim", "dnn_neurons"):
        if re.search(f"^{key}:", text, re.MULTILINE):
            overrides[key] = 16
    with open(path) as file:
        hparams = load_hyperpyyaml(file, overrides)
    assert hparams["checkpointer"].checkpoints_dir == tmp_path / "save"
    assert sum(p.numel() for p in hparams["model"].parameters()) > 0
    assert all(hparams["modules"].values())
    if "enc" in hparams:
        features = hparams["compute_features"](torch.randn(1, 8000))
        assert hparams["enc"].eval()(features).isfinite().all()


@pytest.mark.parametrize(
    "name, want",
    [
        (
            "timit/ligru_fast",
            "rnn_neurons: 512, rnn_layers: 4, rnn_bidirectional: True, "
            "output_neurons: 42, batch_size: 8, lr: 0.0003, ctc_weight: 0.2, "
            "number_of_epochs: 50, beam_size: 16, "
            "rnn_class: !name:speechbrain_ligru_fast.LiGRU",
        ),
        (
            "librispeech/ligru_fast",
            # An epoch's steps at a learning rate are SpeechBrain's.
            "rnn_neurons: 1024, rnn_layers: 4, rnn_bidirectional: True, "
            "output_neurons: 1000, dynamic_batching: False, batch_size: 24, "
            "sorting: ascending, lr: 1.0, lm_folder: null, beam_size: 80, "
            "rnn_class: !name:speechbrain_ligru_fast.SLiGRU",
        ),
    ],
)
def test_full_size_settings(name, want):
    lines = (HPARAMS / f"{name}.yaml").read_text().splitlines()
    lines = {line.partition(" #")[0] for line in lines}
    assert not set(want.split(", ")) - lines


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
    text = tiny("tiny_librispeech.yaml").read_text()
    overrides = f"data_folder: x\noutput_folder: {tmp_path}\n"
    overrides += f"rnn_class: !name:{rnn_class}\nbackend: reference"
    encoder = load_hyperpyyaml(text, overrides)["enc"].eval()
    layer = encoder["RNN"]
    assert type(layer).__name__ == rnn_class.rpartition(".")[2]
    assert type(layer).__module__.startswith(rnn_class.partition(".")[0])
    features = torch.randn(2, 20, 40)
    lengths = torch.tensor([1.0, 0.5])
    with torch.no_grad():
        same = torch.equal(encoder(features, lengths), encoder(features))
    assert same != lengths_matter


@pytest.mark.parametrize(
    "name, corpus",
    [
        ("an4", "an4-librispeech"),
        ("lj", "ljspeech-sample-librispeech"),
        ("so762", "so762-librispeech"),
    ],
)
def test_characters_have_a_piece_each(name, corpus):
    """And <unk>, which is the blank, <s> and </s>."""
    folder = HPARAMS.parent.parent / "shared" / "data" / corpus
    if not folder.is_dir():
        pytest.skip(f"{corpus} is not at ../shared/data")
    texts = [
        line.partition(" ")[2]
        for path in folder.glob("train-*/*/*/*.trans.txt")
        for line in path.read_text().splitlines()
    ]
    yaml = (HPARAMS / "librispeech" / f"{name}.yaml").read_text()
    (pieces,) = re.findall(r"^output_neurons: (\d+)", yaml, re.MULTILINE)
    assert len(set("".join(texts))) + 3 == int(pieces)
