"""What a training began with, and what it has gone on with since.

So that no other training goes on with it, and no test claims other settings
than those that were trained. There are three kinds of settings:

- What decides the model, such as sizes, losses, optimiser and data: another
  one is refused, unless ``allow_changes`` is True.
- How the same training is computed and fed: batches, precision, processes,
  backend. It may change on the way; which result rows tell.
- What is tested, and how long is trained: it may change.
"""

from speechbrain_ligru_fast.asr import history

_DATA = "{}_manifest"
_SETS = ("train", "valid")
_EPOCHS = "number_of_epochs"
# How the same training is computed, and its batches are made
_OF_COMPUTING = (
    "batch_size dynamic_batching max_batch_length dynamic_batch_sampler "
    "train_dataloader_opts valid_dataloader_opts test_dataloader_opts "
    "backend sync_batch_norm processes jit_module_keys compile_module_keys "
    "compile_using_dynamic_shape_tracing --jit --compile --precision "
    "--eval_precision --auto_mix_prec --bfloat16_mix_prec "
    "--grad_accumulation_factor --skip_nonfinite_grads --nonfinite_patience"
).split()
# Where data is, which its manifests tell, and what is tested
_FREE = (
    "train_annotation valid_annotation test_annotation test_annotations "
    "test_splits test_speakers "
    "train_logger avg_checkpoints max_bad_fraction --optimizer_step_limit"
).split()
# What may differ in a test of what is trained: the search, what is tested,
# and how the same weights are computed.
_OF_A_TEST = (
    "beam_size ctc_weight_decode coverage_penalty temperature "
    "max_decode_ratio using_eos_threshold eos_threshold "
    "using_max_attn_shift max_attn_shift scorer test_search "
    "language_model lm_folder lm_weight lm_temperature "
    "uppercase dev_speakers "
    "number_of_epochs number_of_ctc_epochs"
).split() + [*_OF_COMPUTING, *_FREE]
_GO_ON = (
    "--allow_changes True goes on with these all the same, which the result "
    "rows tell"
)


def check_origin(save_folder, settings, longer=True, allow_changes=False):
    """Refuse to go on with another training; record what differs in this one.

    Its end would be tested, and its row would claim the settings given now.
    Until there is a checkpoint each call keeps its own, in ``origin.json``.

    Arguments
    ---------
    save_folder : path-like
        Where the training's checkpoints are; made if absent.
    settings : dict
        Name -> str.
    longer : bool
        Whether a training may go on for another number of epochs.
    allow_changes : bool
        Go on with whatever differs.

    Raises
    ------
    ValueError
        If the folder's training began with others that decide the model.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> check_origin(folder, {"lr": "0.1", "number_of_epochs": "8"})
    >>> (folder / "CKPT+1").mkdir()
    >>> check_origin(folder, {"lr": "0.1", "number_of_epochs": "9"})
    >>> try:
    ...     check_origin(folder, {"lr": "0.2"})
    ... except ValueError as error:
    ...     print("other lr" in str(error))
    True

    Where it may not:

    >>> folder = folder / "stepwise"
    >>> check_origin(folder, {"number_of_epochs": "8"}, longer=False)
    >>> (folder / "CKPT+1").mkdir()
    >>> check_origin(folder, {"number_of_epochs": "8"}, longer=False)
    >>> try:
    ...     check_origin(folder, {"number_of_epochs": "9"}, longer=False)
    ... except ValueError as error:
    ...     print("other number_of_epochs" in str(error))
    True
    """
    now = {k: v for k, v in settings.items() if k != _EPOCHS or not longer}
    begun = history.state(history.read(save_folder))
    if not (history.is_trained(save_folder) and begun):
        history.write(save_folder, now)
        return
    if _EPOCHS not in begun:  # until 0.1.0 it never was
        now.pop(_EPOCHS, None)
    changed = [
        name
        for name in _changed(begun, now)
        if name not in _FREE and _was(name, begun)
    ]
    refused = [name for name in changed if name not in _OF_COMPUTING]
    if refused and not allow_changes:
        raise ValueError(
            f"{save_folder} holds a training with other {', '.join(refused)}. "
            "Give another output_folder to train with these, or --test_only "
            f"to test what is trained. {_GO_ON} "
            f"({history.describe(_pairs(begun, now, refused))})"
        )
    history.record(save_folder, _pairs(begun, now, changed))


def check_data(save_folder, hashes, allow_changes=False):
    """Refuse to go on with a training on other data.

    A training that is older than the record of its data takes this for it.

    Arguments
    ---------
    save_folder : path-like
        Where the training's checkpoints are.
    hashes : dict
        ``train`` and ``valid`` -> the manifest's, see `manifest_hash`.
    allow_changes : bool
        Go on with other data.

    Raises
    ------
    ValueError
        Naming the manifests that differ.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> check_origin(folder, {})
    >>> check_data(folder, {"train": "a", "valid": "b"})
    >>> (folder / "CKPT+1").mkdir()
    >>> try:
    ...     check_data(folder, {"train": "a", "valid": "c"})
    ... except ValueError as error:
    ...     print("other data: its valid manifest (b" in str(error))
    True
    """
    origin, begun = history.read(save_folder), read_data(save_folder)
    if not (history.is_trained(save_folder) and begun):
        named = {_DATA.format(name): x for name, x in hashes.items()}
        history.write(save_folder, origin | named)
        return
    other = {k: [begun[k], x] for k, x in hashes.items() if begun[k] != x}
    if other and not allow_changes:
        raise ValueError(
            f"{save_folder} holds a training on other data: its "
            + ", its ".join(
                f"{name} manifest ({then}, now {now})"
                for name, (then, now) in other.items()
            )
            + " has other utterances, transcripts or durations. Give another "
            "output_folder to train on these, or --test_only to test on them. "
            + _GO_ON
        )
    named = {_DATA.format(name): pair for name, pair in other.items()}
    history.record(save_folder, named)


def read_data(save_folder):
    """The hashes of what a training in a folder is on, as far as known.

    Arguments
    ---------
    save_folder : path-like

    Returns
    -------
    dict
        ``train`` and ``valid`` -> str; empty if nobody knows.
    """
    state = history.state(history.read(save_folder))
    found = {name: state.get(_DATA.format(name)) for name in _SETS}
    return found if all(found.values()) else {}


def check_test(save_folder, settings, allow_changes=False):
    """Refuse a test that would claim what was not trained.

    The search, the test sets and what computes the same weights may differ.
    Nothing is said of a training that is older than ``origin.json``.

    Arguments
    ---------
    save_folder : path-like
        Where the training's checkpoints are.
    settings : dict
        Name -> str.
    allow_changes : bool
        Test with whatever differs.

    Returns
    -------
    str
        What differs though it should not, in words.

    Raises
    ------
    ValueError
        If the folder's training began with others.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> check_origin(folder, {"n_fft": "400", "beam_size": "8"})
    >>> (folder / "CKPT+1").mkdir()
    >>> check_test(folder, {"n_fft": "400", "beam_size": "9"})
    ''
    >>> try:
    ...     check_test(folder, {"n_fft": "512", "beam_size": "9"})
    ... except ValueError as error:
    ...     print("other n_fft. Give" in str(error))
    True
    """
    begun = history.state(history.read(save_folder))
    if not (history.is_trained(save_folder) and begun):
        return ""
    changed = [
        name
        for name in _changed(begun, settings)
        if name not in _OF_A_TEST and _was(name, begun)
    ]
    listed = history.describe(_pairs(begun, settings, changed))
    if changed and not allow_changes:
        raise ValueError(
            f"{save_folder} holds a training with other {', '.join(changed)}. "
            "Give those that it was trained with: only what belongs to the "
            "test may differ (search, language model, test sets, batch_size, "
            "backend, precision). --allow_changes True tests with these all "
            f"the same, which the result rows tell ({listed})"
        )
    return f"{listed} in the test" if changed else ""


def _was(name, begun):
    """Whether a setting had a value that may have been another one.

    A key that there was not yet had none; a run option that is not there had
    its default, and a language model was none.
    """
    return name in begun or name.startswith("--") or name == "lm_folder"


def _changed(begun, now):
    names = {*now, *begun} - {_DATA.format(name) for name in _SETS}
    return sorted(n for n in names if now.get(n) != begun.get(n))


def _pairs(begun, now, names):
    return {name: [begun.get(name), now.get(name)] for name in names}
