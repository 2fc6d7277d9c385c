"""What a training began with, so that no other one goes on with it.

And so that no test claims other settings than those that were trained.
"""

import json
from pathlib import Path

_EPOCHS = "number_of_epochs"
# What may differ in a test of what is trained: the search, what is tested,
# and how the same weights are computed.
_OF_A_TEST = (
    "beam_size ctc_weight_decode coverage_penalty temperature "
    "max_decode_ratio using_eos_threshold eos_threshold "
    "using_max_attn_shift max_attn_shift scorer test_search "
    "language_model lm_folder lm_weight lm_temperature "
    "test_splits test_annotation test_speakers uppercase "
    "avg_checkpoints batch_size test_dataloader_opts "
    "number_of_epochs number_of_ctc_epochs "
    "backend sync_batch_norm processes jit_module_keys compile_module_keys "
    "compile_using_dynamic_shape_tracing --jit --compile --precision "
    "--eval_precision --auto_mix_prec --bfloat16_mix_prec"
).split()


def check_origin(save_folder, settings, longer=True):
    """Refuse to go on with a training of other settings.

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

    Raises
    ------
    ValueError
        If the folder's training began with others.

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
    path = Path(save_folder, "origin.json")
    now = {k: v for k, v in settings.items() if k != _EPOCHS or not longer}
    trained = any(path.parent.glob("CKPT*"))
    if not (trained and path.exists()):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(now, indent=1), encoding="utf-8")
        unfinished.rename(path)
        return
    begun = json.loads(path.read_text("utf-8"))
    if _EPOCHS not in begun:  # until 0.1.0 it never was
        now.pop(_EPOCHS, None)
    changed = _changed(begun, now)
    if changed:
        raise ValueError(
            f"{path.parent} holds a training with other {', '.join(changed)}. "
            "Give another output_folder to train with these, or --test_only "
            f"to test what is trained. To go on all the same, delete {path}"
        )


def check_test(save_folder, settings):
    """Refuse a test that would claim what was not trained.

    The search, the test sets and what computes the same weights may differ.
    Nothing is said of a training that is older than ``origin.json``.

    Arguments
    ---------
    save_folder : path-like
        Where the training's checkpoints are.
    settings : dict
        Name -> str.

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
    >>> try:
    ...     check_test(folder, {"n_fft": "512", "beam_size": "9"})
    ... except ValueError as error:
    ...     print("other n_fft. Give" in str(error))
    True
    """
    path = Path(save_folder, "origin.json")
    if not (path.exists() and any(path.parent.glob("CKPT*"))):
        return
    begun = json.loads(path.read_text("utf-8"))
    changed = [
        name
        for name in _changed(begun, settings)
        # A key that there was not yet can't have had another value; a run
        # option that is not there had its default.
        if name not in _OF_A_TEST and (name in begun or name.startswith("--"))
    ]
    if changed:
        raise ValueError(
            f"{path.parent} holds a training with other {', '.join(changed)}. "
            "Give those that it was trained with: only what belongs to the "
            "test may differ (search, language model, test sets, batch_size, "
            "backend, precision). To test with these all the same, delete "
            f"{path}"
        )


def _changed(begun, now):
    return sorted(
        name for name in {*now, *begun} if now.get(name) != begun.get(name)
    )
