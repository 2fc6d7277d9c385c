"""What a training is: its settings and its data, kept in every checkpoint.

A training goes on, and is tested, as what it began as. Of its settings

- most decide the model (sizes, losses, optimiser, seed, and the manifests of
  its data): others are refused, unless ``allow_changes`` is True;
- some decide how the same training is computed and fed (batches, precision,
  processes, backend): they may change on the way, which result rows tell;
- some say what is tested, and how long is trained: they may change.
"""

import hashlib
import json
from pathlib import Path

import ruamel.yaml
from speechbrain.utils.checkpoints import (
    Checkpointer,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.run_opts import RunOptions

from speechbrain_ligru_fast.training.process_group import count_processes

# Where things are, and what changes no result
_LEFT_OUT = set(
    "__set_seed data_folder output_folder save_folder results_csv skip_prep "
    "num_workers ckpt_interval_minutes ckpt_interval_steps allow_changes "
    "train_annotation valid_annotation test_annotation "
    "test_annotations".split()
)
_RUN_OPTIONS = (
    "jit compile precision max_grad_norm grad_accumulation_factor "
    "optimizer_step_limit remove_vector_weight_decay debug eval_precision "
    "auto_mix_prec bfloat16_mix_prec skip_nonfinite_grads nonfinite_patience"
).split()
# What is trained was in asr. By their names of then settings stay the same:
# a training begun before may go on, and rows of before are of one system.
_MOVED = "speechbrain_ligru_fast.recognition.", "speechbrain_ligru_fast.asr."
_DATA = {"train_manifest", "valid_manifest"}
# What is not known at once
_LATER = _DATA | {"lexicon"}
# How the same training is computed, and its batches are made
_COMPUTING = set(
    "batch_size dynamic_batching max_batch_length dynamic_batch_sampler "
    "train_dataloader_opts valid_dataloader_opts test_dataloader_opts "
    "backend sync_batch_norm processes jit_module_keys compile_module_keys "
    "compile_using_dynamic_shape_tracing --jit --compile --precision "
    "--eval_precision --auto_mix_prec --bfloat16_mix_prec "
    "--grad_accumulation_factor --skip_nonfinite_grads "
    "--nonfinite_patience".split()
)
# What a test of the same weights may have its own of
_TESTING = set(
    "beam_size ctc_weight_decode coverage_penalty temperature "
    "max_decode_ratio using_eos_threshold eos_threshold "
    "using_max_attn_shift max_attn_shift scorer test_search "
    "language_model lm_folder lm_weight lm_temperature "
    "uppercase dev_speakers number_of_epochs number_of_ctc_epochs "
    # Of a hybrid's search
    "beam lattice_beam acoustic_scale word_penalty acoustic_scales "
    "word_penalties ngram_order arpa_file".split()
)
_FREE = set(
    "test_splits test_speakers train_logger avg_checkpoints max_bad_fraction "
    "--optimizer_step_limit".split()
)
_WAY_ON = {
    False: "Give another output_folder to train with these, or --test_only to "
    "test what is trained. A manifest differs where its utterances, "
    "transcripts or durations do.",
    True: "Give those that it was trained with: only what belongs to the test "
    "may differ (search, language model, test sets, batch_size, backend, "
    "precision).",
}


def read_settings(document, run_opts=None):
    """What decides a result: the YAML's keys and SpeechBrain's options.

    Comments, the order of keys, and where data and output are do not count.

    Example
    -------
    >>> read_settings("lr: 0.1 # high\\nenc: !new:A {n: !ref <lr>}\\n")
    {'lr': '0.1', 'enc': '{"!new:A": {"n": "!ref <lr>"}}', 'processes': '1'}
    """
    nodes = ruamel.yaml.YAML().compose(document).value
    values = {key.value: _plain(node) for key, node in nodes}
    found = {
        key: x if isinstance(x, str) else json.dumps(x, sort_keys=True)
        for key, x in values.items()
        if key not in _LEFT_OUT
    }
    default, processes = RunOptions(), count_processes()
    if processes == 1:
        found.pop("sync_batch_norm", None)  # no use for it
    for name in _RUN_OPTIONS if run_opts else ():
        if run_opts[name] != default[name]:
            found[f"--{name}"] = str(run_opts[name])
    return found | {"processes": str(processes)}


def _plain(node):
    if isinstance(node, ruamel.yaml.MappingNode):
        value = {key.value: _plain(x) for key, x in node.value}
    elif isinstance(node, ruamel.yaml.SequenceNode):
        value = [_plain(x) for x in node.value]
    else:
        value = node.value
    # Whether "(1, 2)" is a string or HyperPyYAML's !tuple depends on whether
    # HyperPyYAML has loaded something in this process.
    tag = str(node.tag or "").replace(*_MOVED)
    if not tag.startswith("!") or tag == "!tuple":
        return value
    return f"{tag} {value}".strip() if isinstance(value, str) else {tag: value}


def name_settings(settings, changes=""):
    """Eight digits, equal for two runs that differ in their seed at most."""
    # Other cells of a result row have these.
    cells = {"seed", "lm_folder", *_DATA}
    named = sorted(x for x in settings.items() if x[0] not in cells)
    return digits(json.dumps([named, changes]))


def digits(text):
    """Eight digits for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@register_checkpoint_hooks
class Fingerprint:
    """Settings and data of this run, compared with those of its training.

    Arguments
    ---------
    settings : dict
        See `read_settings`; the data's are added once its manifests are there.
    commit : str
        What runs.

    Attributes
    ----------
    changes : str
        In words, what has changed since the training began.
    first_commit : str
        What it began with.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> begun = Fingerprint({"lr": "0.1", "batch_size": "8"})
    >>> _ = Checkpointer(folder, {"fingerprint": begun}).save_checkpoint()
    >>> again = Fingerprint({"lr": "0.1", "batch_size": "4"})
    >>> again.compare(folder)
    >>> again.changes
    'batch_size: 8 to 4 from epoch 1'
    """

    def __init__(self, settings, commit="unknown"):
        self.settings, self.changes = dict(settings), ""
        self.first_commit = self.commit = commit

    @property
    def name(self):
        """The cell ``settings`` of a result row."""
        return name_settings(self.settings, self.changes)

    def compare(self, save_folder, testing=False, longer=True, allow=False):
        """Refuse to go on with, or to test, another training.

        Arguments
        ---------
        save_folder : path-like
            Where the training's checkpoints are, if it has any.
        testing : bool
            Whether it is only tested.
        longer : bool
            Whether it may go on for another number of epochs.
        allow : bool
            Go on with whatever differs.
        """
        last = Checkpointer(save_folder).find_checkpoint()
        if last is None:
            return
        if "fingerprint" not in last.paramfiles:
            raise ValueError(
                f"{save_folder} holds checkpoints of an earlier version or of "
                "another program, whose settings and data nobody knows. Give "
                "another output_folder; an export beside them still transcribes"
            )
        then = json.loads(last.paramfiles["fingerprint"].read_text("utf-8"))
        before, now = then["settings"], self.settings
        self.first_commit = then["commit"]
        if testing:
            now.update({k: before[k] for k in _LATER & before.keys()})
        free = _FREE | ({"number_of_epochs"} if longer else set())
        if testing:
            free = free | _TESTING | _COMPUTING
        changed = {
            name: f"{_shown(name, before)} to {_shown(name, now)}"
            for name in sorted((before.keys() | now.keys()) - free)
            if before.get(name) != now.get(name)
            # A key that a later version has added had no other value.
            and (name in before or name.startswith("--"))
            and (name in now or name not in _LATER)
        }
        wrong = [name for name in changed if name not in _COMPUTING]
        listed = ", ".join(f"{k}: {changed[k]}" for k in wrong)
        if wrong and not allow:
            raise ValueError(
                f"{save_folder} holds a training with other "
                f"{', '.join(wrong)}. {_WAY_ON[testing]} --allow_changes True "
                f"goes on all the same, which the result rows tell ({listed})"
            )
        said = ", ".join(f"{name}: {x}" for name, x in changed.items())
        if said:
            said += " in the test" if testing else f" from epoch {_next(last)}"
        self.changes = "; ".join(filter(None, [then["changes"], said]))

    @mark_as_saver
    def save(self, path):
        """Write what was compared last."""
        state = {"commit": self.first_commit, "changes": self.changes}
        state["settings"] = self.settings
        Path(path).write_text(json.dumps(state, indent=1), encoding="utf-8")

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Nothing: `compare` has read the newest, which this may not be."""


def _next(checkpoint):
    """The epoch that a checkpoint is gone on with."""
    counter = checkpoint.paramfiles.get("counter")
    if counter is None:
        return 1
    return int(counter.read_text()) + bool(checkpoint.meta["end-of-epoch"])


def _shown(name, settings):
    """A setting as the YAML has it, if it is short."""
    text = settings.get(name, "none") or "none"
    return text if len(text) <= 60 else "another"
