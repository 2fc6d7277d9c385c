"""The RNN language model of recipes/LibriSpeech/LM, as a scorer."""

from pathlib import Path

import torch
from hyperpyyaml import load_hyperpyyaml


def load_lm(folder):
    """Load an exported language model, ready to score.

    Arguments
    ---------
    folder : path-like | None
        An output folder of recipes/LibriSpeech/LM/train.py.

    Returns
    -------
    torch.nn.Module | None
        None for no folder.

    Raises
    ------
    FileNotFoundError
        If the folder holds no trained model.

    Example
    -------
    >>> load_lm(None) is None
    True
    """
    if not folder:
        return None
    folder = Path(folder)
    files = [folder / "lm.yaml", folder / "lm.ckpt"]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"lm_folder={str(folder)!r} holds no trained language model: "
            f"looked for {', '.join(missing)}"
        )
    with open(files[0], encoding="utf-8") as file:
        model = load_hyperpyyaml(file)["model"]
    state = torch.load(files[1], map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    model.return_hidden = True
    return model.eval().requires_grad_(False)
