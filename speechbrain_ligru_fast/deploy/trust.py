"""Which YAML files are loaded: those that our own exports could be.

HyperPyYAML imports and calls whatever a file names. Of a folder that somebody
else has made that is anybody's code.
"""

import re
from pathlib import Path

import ruamel.yaml
from hyperpyyaml import resolve_references

_FAST, _STOCK = "speechbrain_ligru_fast", "speechbrain"
# What exports name. Names are compared whole: what follows a module's name
# may be what that module has imported.
_NAMES = {
    f"{module}.{name}"
    for module, names in {
        _FAST: "LiGRU SLiGRU lobe.CRDNN",
        f"{_FAST}.asr.sincnet": "SincNet FrontEnd",  # in earlier versions
        f"{_FAST}.lobe.sincnet": "SincNet FrontEnd",
        **{
            f"{_FAST}.{room}.{module}": names
            for room in ("recognition", "asr")  # the latter in earlier versions
            for module, names in {
                "padded": "LSTM GRU",
                "features": "Fbank",
                "encoding": "Encoder",
                "search": "BeamSearcher GreedySearcher",
                "decoding": "build_scorer limit_shift",
                "tokenizer": "phone_tokenizer",
            }.items()
        },
        f"{_STOCK}.nnet.RNN": "LSTM GRU RNN LiGRU SLiGRU QuasiRNN "
        "AttentionalRNNDecoder",
        f"{_STOCK}.nnet": "containers.LengthsCapableSequential "
        "embedding.Embedding linear.Linear",
        f"{_STOCK}.lobes": "features.Fbank models.RNNLM.RNNLM",
        f"{_STOCK}.processing.features": "InputNormalization",
        f"{_STOCK}.decoders": "S2SRNNBeamSearcher S2SRNNGreedySearcher",
        f"{_STOCK}.dataio.preprocess": "AudioNormalizer",
        f"{_STOCK}.utils.parameter_transfer": "Pretrainer",
        "sentencepiece": "SentencePieceProcessor",
    }.items()
    for name in names.split()
}
# Activations and the like: classes, whose names begin so
_TORCH = re.compile(r"torch\.nn\.[A-Z]\w*")
_NAMING = re.compile(r"!(?:new|name|apply):(.+)")
_TYPES = {"null", "bool", "int", "float", "str", "seq", "map", "merge"}
_PLAIN = {"!ref", "!copy", "!tuple"} | {
    f"tag:yaml.org,2002:{t}" for t in _TYPES
}
# It could be told to load files from elsewhere.
_ARGUMENTS = {f"{_STOCK}.utils.parameter_transfer.Pretrainer": {"loadables"}}


def check_yaml(path, way_on):
    """Refuse a YAML file that names what no export of ours does.

    Arguments
    ---------
    path : path-like
        HyperPyYAML.
    way_on : str
        What one does who trusts it.

    Raises
    ------
    ValueError
        Naming what it names. Nothing of it was run or imported.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.yaml"
    >>> _ = path.write_text("a: 1\\nb: !name:torch.nn.ReLU\\nc: !ref <a>\\n")
    >>> check_yaml(path, "")
    """
    text = Path(path).read_text("utf-8")
    # The second time as it is loaded: references may move things.
    found = _strange(text) or _strange(resolve_references(text).read())
    if found:
        raise ValueError(
            f"{path} names {', '.join(sorted(found))}, which no export does: "
            f"loading it would run that. {way_on}"
        )


def _strange(text):
    """The names in a document that no export has, of every node."""
    found, seen, waiting = set(), set(), [ruamel.yaml.YAML().compose(text)]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        found |= _strange_node(node)
        for item in node.value if not isinstance(node.value, str) else ():
            waiting += item if isinstance(item, tuple) else [item]
    return found


def _strange_node(node):
    tag = str(node.tag or "")
    named = _NAMING.fullmatch(tag)
    if not named:
        return {tag} - _PLAIN - {""}
    name = named[1]
    if name not in _NAMES and not _TORCH.fullmatch(name):
        return {name}
    if name in _ARGUMENTS:
        if not isinstance(node, ruamel.yaml.MappingNode):
            return {f"{name} without its names"}
        given = {key.value for key, _ in node.value}
        return {f"{name}'s {key}" for key in given - _ARGUMENTS[name]}
    return set()
