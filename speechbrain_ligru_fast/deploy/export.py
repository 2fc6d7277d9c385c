"""From a trained experiment to a folder for SpeechBrain's inference."""

import io
import logging
import shutil
from pathlib import Path

import ruamel.yaml
import torch

logger = logging.getLogger(__name__)

_MODULES = ("enc", "emb", "dec", "ctc_lin", "seq_lin")
_KEPT = (
    *("compute_features", "normalize", *_MODULES),
    *("tokenizer", "blank_index", "test_search"),
    # Whether there is a CTC to export
    *("ctc_weight", "number_of_ctc_epochs"),
)

_INTERFACE = """
encoder: !new:speechbrain_ligru_fast.recognition.encoding.Encoder
   compute_features: !ref <compute_features>
   normalize: !ref <normalize>
   enc: !ref <enc>
audio_normalizer: !new:speechbrain.dataio.preprocess.AudioNormalizer
   sample_rate: {sample_rate}
modules:
   encoder: !ref <encoder>
   # Its statistics move to a device with it alone, not with what holds it.
   normalize: !ref <normalize>
   decoder: !ref <test_search>
   ctc_lin: !ref <ctc_lin>
{more_modules}
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
   loadables:
{loadables}
"""


def check_export(hparams):
    """Check, before any work, that the YAML has what an export needs.

    Raises a ValueError that names the key that is missing.
    """
    try:
        _plan(hparams)
    except KeyError as error:
        raise ValueError(
            f"the YAML lacks {error}, without which it can't be exported"
        ) from error


def export(hparams, trained=True):
    """Write the folder that ``EncoderDecoderASR.from_hparams`` reads.

    It holds the weights that the modules have now and needs nothing outside
    itself. It is ``export/`` beside the experiment's YAML, or
    ``export_rnnlm/`` with a language model, so that both may be there.

    Arguments
    ---------
    hparams : dict
        Of the experiment, trained.
    trained : bool
        Whether by this process. A test alone, with another beam say, leaves
        an ``export/`` of other settings as it is.

    Returns
    -------
    pathlib.Path
        The folder.
    """
    name, modules, document = _plan(hparams)
    folder = Path(hparams["record_folder"], name)
    written = folder / "hyperparams.yaml"
    differs = written.is_file() and written.read_text("utf-8") != document
    if differs and name == "export" and not trained:
        logger.info("%s has other settings than this test and stays", folder)
        return folder

    unfinished = folder.with_name("unfinished-export")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    hparams["normalize"]._save(unfinished / "normalize.ckpt")
    if hparams["tokenizer_file"]:
        shutil.copy(hparams["tokenizer_file"], unfinished / "tokenizer.ckpt")
    for name, module in modules.items():
        state = {k: v.cpu() for k, v in module.state_dict().items()}
        torch.save(state, unfinished / f"{name}.ckpt")
    (unfinished / "hyperparams.yaml").write_text(document, encoding="utf-8")

    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)
    return folder


def _plan(hparams):
    """The folder's name, the modules it holds and its YAML."""
    modules = {name: hparams[name] for name in _MODULES}
    tokenizer = ["tokenizer"] if hparams["tokenizer_file"] else []
    folder = "export"
    if hparams["language_model"] is not None:
        modules["language_model"] = hparams["language_model"]
        folder = "export_rnnlm"
    document = _document(hparams, ["normalize", *tokenizer, *modules])
    return folder, modules, document


def _document(hparams, loadables):
    """The experiment's own YAML, resolved, less what inference does not use.

    What the experiment changed on the command line is thus kept, and the
    recipe's file may change later.
    """
    yaml = ruamel.yaml.YAML()
    tree = yaml.load(hparams["document"])
    kept = {name: tree[name] for name in _KEPT}
    if "language_model" in loadables:
        lm = yaml.load(Path(hparams["lm_folder"], "lm.yaml").read_text("utf-8"))
        kept = {"language_model": lm["model"], **kept}
    # A node used twice is dumped once, with an alias.
    tree["scorer"]["language_model"] = kept.get("language_model")
    stream = io.StringIO()
    yaml.dump(kept, stream)
    # ruamel keeps the comments, but not where they belong.
    lines = stream.getvalue().splitlines(keepends=True)
    system = "".join(line for line in lines if not line.startswith("#"))
    lm = "language_model" in loadables
    return system + _INTERFACE.format(
        sample_rate=hparams["sample_rate"],
        more_modules="   language_model: !ref <language_model>\n" if lm else "",
        loadables="\n".join(f"      {x}: !ref <{x}>" for x in loadables) + "\n",
    )
