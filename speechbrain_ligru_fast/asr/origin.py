"""What a training began with, so that no other one goes on with it."""

import json
from pathlib import Path

_EPOCHS = "number_of_epochs"


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
    changed = sorted(
        name for name in {*now, *begun} if now.get(name) != begun.get(name)
    )
    if changed:
        raise ValueError(
            f"{path.parent} holds a training with other {', '.join(changed)}. "
            "Give another output_folder to train with these, or --test_only "
            f"to test what is trained. To go on all the same, delete {path}"
        )
