"""The recipes' systems in a size for seconds of audio, as YAML files."""

import atexit
import functools
import io
import shutil
import tempfile
from pathlib import Path

import ruamel.yaml

HPARAMS = Path(__file__).parent.parent / "hparams"

_SIZES = """
batch_size: 4
cnn_channels: (4, 4)
rnn_layers: 1
rnn_neurons: 16
dnn_neurons: 16
emb_size: 8
dec_neurons: 16
attn_dim: 8
"""
_TIMIT = """
corpus: tiny
dev_speakers: [FDEV0]
test_speakers: [MTST0]
number_of_epochs: 2
number_of_ctc_only_epochs: 1
beam_size: 2
"""
# Without statistics of the batch and without randomness: how the utterances
# are spread over processes and steps makes no difference.
_EVEN = """
number_of_ctc_only_epochs: 0
norm_type: sentence
wav_augment: null
sorting: ascending
rnn_class: !name:speechbrain_ligru_fast.LiGRU
   normalization: layernorm
dnn_blocks: 0
dnn_neurons: 32 # both directions' units
dropout: 0.0
dec_dropout: 0.0
lr: 0.05
opt_class: !name:torch.optim.SGD
   lr: !ref <lr>
"""
_LIBRISPEECH = """
corpus: tiny
train_splits: [train-tiny]
dev_splits: [dev-tiny]
test_splits: [test-tiny]
number_of_epochs: 2
avg_checkpoints: 2
output_neurons: 20
beam_size: 3
test_dataloader_opts:
   batch_size: 1
"""
_LM = """
number_of_epochs: 1
output_neurons: 20
rnn_neurons: 16
dnn_neurons: 16
emb_size: 8
"""
_HYBRID = """
batch_size: 4
cnn_channels: (4,)
rnn_layers: 1
rnn_neurons: 32
dnn_neurons: 32
corpus: tiny
train_splits: [train-tiny]
dev_splits: [dev-tiny]
test_splits: [test-tiny]
dynamic_batching: False
number_of_epochs: 24
realign_after: [16]
mmi_epochs: 4
wav_augment: null
dropout: 0.0
step_schedule: null
gmm_iterations: 6
gmm_gaussians: 60
ngram_order: 2
phones_file: null
output_neurons: 48 # silence and 15 letters
phone_neurons: 16
avg_checkpoints: 2
acoustic_scales: [0.3, 1.0]
word_penalties: [0.0, 1.0]
lr: 0.01
"""
_HYBRID_TIMIT = """
batch_size: 4
rnn_layers: 1
rnn_neurons: 16
dnn_neurons: 16
corpus: tiny
dev_speakers: [FDEV0]
test_speakers: [MTST0]
number_of_epochs: 40
realign_after: [30]
lr_annealing: null
gmm_iterations: 2
gmm_gaussians: 120
dynamic_batching: False
wav_augment: null
dropout: 0.0
lr: 0.01
avg_checkpoints: 1
acoustic_scales: [0.3, 1.0]
word_penalties: [0.0]
"""
_SYSTEMS = {
    "tiny_timit.yaml": ("timit/small.yaml", _SIZES, _TIMIT),
    "even_timit.yaml": ("timit/small.yaml", _SIZES, _TIMIT, _EVEN),
    "tiny_librispeech.yaml": ("librispeech/small.yaml", _SIZES, _LIBRISPEECH),
    "tiny_hybrid.yaml": ("hybrid/an4_hybrid_ligru.yaml", _HYBRID),
    "tiny_timit_hybrid.yaml": (
        "hybrid/timit_hybrid_ligru.yaml",
        _HYBRID_TIMIT,
    ),
    "tiny_lm.yaml": ("librispeech/lm_small.yaml", _LM),
}


@functools.cache
def tiny(name):
    """The path of one of them; of any other YAML the path itself."""
    if name not in _SYSTEMS:
        return name
    system, *changes = _SYSTEMS[name]
    yaml = ruamel.yaml.YAML()
    tree = yaml.load((HPARAMS / system).read_text())
    for change in map(yaml.load, changes):
        assert change.keys() <= tree.keys()
        for key, value in change.items():
            tree[key] = value
    text = io.StringIO()
    yaml.dump(tree, text)
    path = _folder() / name
    path.write_text(text.getvalue())
    return path


@functools.cache
def _folder():
    folder = Path(tempfile.mkdtemp(prefix="tiny-systems-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
