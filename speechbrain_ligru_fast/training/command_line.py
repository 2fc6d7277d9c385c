"""A recipe's command line, without the guesses of SpeechBrain's parser.

That one takes ``--precis`` for ``--precision`` and then ignores it, adds a
word without dashes to the value before it, and leaves values to YAML, which
reads ``run #2`` as ``run`` and a comment, ``007`` as 7.
"""

import argparse
import dataclasses
import difflib
import json
import os
import re
from pathlib import Path

import ruamel.yaml
from speechbrain.utils.run_opts import RunOptions

_INTERVALS = ("ckpt_interval_minutes", "ckpt_interval_steps")
# Keys whose values are names: text, whatever it looks like.
_PATH = re.compile(r"\w+_(?:folder|file|csv|annotation)|extra_text")
_NAME = re.compile(r"corpus|recipe|lm_name")


def parse(arguments):
    """Read a command line and the YAML it names.

    Returns
    -------
    path, document : str
        The YAML and what it says.
    run_opts : speechbrain.utils.run_opts.RunOptions
    overrides : str
        For HyperPyYAML, a line a key.

    Raises
    ------
    ValueError
        If an option is neither SpeechBrain's nor a key of the YAML, has not
        one value, or one that YAML would take for something else.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.yaml"
    >>> _ = path.write_text("lr: 1.0\\noutput_folder: here\\n")
    >>> words = ["--jit", "--lr", "0.1", "--output_folder=run #2"]
    >>> _, _, run_opts, overrides = parse([str(path), *words])
    >>> print(overrides)
    lr: 0.1
    output_folder: "run #2"
    >>> run_opts["jit"]
    True
    """
    path = _parser().parse_known_args(arguments)[0].param_file
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no such YAML file: {path}")
    document = Path(path).read_text("utf-8")
    tree = ruamel.yaml.YAML().load(document)
    if not isinstance(tree, dict):
        raise ValueError(f"{path} is not a YAML mapping")
    if (tree.tag.value or "").startswith("!include:"):
        raise ValueError(
            f"{path} begins with {tree.tag.value}: HyperPyYAML does not lay "
            "one file over another. Copy the other one and change its keys"
        )
    parser = _parser(tree)
    found, unknown = parser.parse_known_args(arguments)
    given = vars(found)
    if unknown:
        raise ValueError(_unknown(unknown[0], parser))
    del given["param_file"]
    options = {k: given.pop(k) for k in RunOptions().keys() if k in given}
    run_opts = RunOptions.from_dictionary(_settle_intervals(options, tree))
    run_opts = dataclasses.replace(run_opts, param_file=path)
    values = {key: _as_yaml(key, word) for key, word in given.items()}
    for key, value in tree.items():
        if key not in given and _is_at_home(key, value):
            values[key] = json.dumps(os.path.expanduser(value))
    lines = (f"{key}: {value}" for key, value in values.items())
    return path, document, run_opts, "\n".join(lines)


def as_list(value):
    """The names in an option: a list or, from a command line, one string.

    Example
    -------
    >>> as_list("FALR0, MAEB0"), as_list(104), as_list(None)
    (['FALR0', 'MAEB0'], ['104'], [])
    """
    if value is None:
        return []
    if isinstance(value, (str, int)):
        value = str(value).split(",")
    names = [str(name).strip() for name in value]
    return [name for name in names if name]


class _Once(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        if hasattr(namespace, self.dest):
            raise ValueError(f"{option_string} is given twice")
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(
            f"{message.removeprefix('argument ')}. Options begin with --, a "
            "value with spaces stands in quotes"
        )


def _parser(keys=()):
    """SpeechBrain's parser with the YAML's keys and without defaults."""
    parser = RunOptions._create_parser()
    parser.__class__ = _Parser
    parser.allow_abbrev = False
    for action in parser._actions:
        action.default = argparse.SUPPRESS
        if action.dest == "optimizer_step_limit":
            action.type = _positive
    # A key of both is SpeechBrain's option first.
    for key in keys:
        if f"--{key}" not in parser._option_string_actions:
            parser.add_argument(
                f"--{key}", action=_Once, default=argparse.SUPPRESS
            )
    return parser


def _positive(word):
    if not re.fullmatch("0*[1-9][0-9]*", word):
        raise argparse.ArgumentTypeError(
            f"got {word}, expected a positive integer"
        )
    return int(word)


def _unknown(word, parser):
    if not word.startswith("--"):
        return (
            f"{word}: belongs to no option. Options begin with --, a value "
            "with spaces stands in quotes"
        )
    option, allowed = (
        word.partition("=")[0],
        list(parser._option_string_actions),
    )
    longer = [name for name in allowed if name.startswith(option)]
    (nearest,) = difflib.get_close_matches(
        option, sorted(longer or allowed), n=1, cutoff=0
    )
    return (
        f"{option}: no such option, did you mean {nearest}? Allowed are the "
        "YAML's keys and SpeechBrain's run options (--help lists them), in "
        "full"
    )


def _settle_intervals(options, keys):
    """An interval that is asked for takes the place of the YAML's other."""
    asked = [name for name in _INTERVALS if options.get(name, 0) > 0]
    if len(asked) == 2:
        raise ValueError(
            f"--{asked[0]} and --{asked[1]}: got both, expected one of them; "
            "0 turns one off"
        )
    others = [x for x in _INTERVALS if asked and x not in asked and x in keys]
    return options | dict.fromkeys(others, 0)


def _is_at_home(key, value):
    """Whether the YAML itself has a shell's ``~`` in a folder's name."""
    is_text = isinstance(value, str) and value.startswith("~")
    return is_text and _PATH.fullmatch(key)


def _as_yaml(key, word):
    """A word as the YAML that means it."""
    # A reference, say, or quotes, are YAML's; so are several manifests.
    begins = ("!", '"', "'")
    if key.endswith("_annotation"):
        begins += ("{", "[")
    path = _PATH.fullmatch(key)
    if (path or _NAME.fullmatch(key)) and not word.startswith(begins):
        if word not in ("", "null"):
            if re.search("<[^<>]+>", word):
                raise ValueError(
                    f"--{key}: got {word!r}, where <...> would be taken for "
                    "the value of a key; write '!ref ' before it if it is "
                    "one, and give another name if it isn't"
                )
            word = os.path.expanduser(word) if path else word
            return json.dumps(word, ensure_ascii=False)
    text = f"key: {word}"
    node = ruamel.yaml.YAML().compose(text)
    ((_, value),) = node.value if len(node.value) == 1 else ((0, None),)
    if value is None or text[value.end_mark.index :].strip():
        raise ValueError(
            f"--{key}: got {word!r}, of which YAML reads a part only; put it "
            "in quotes once more"
        )
    return word
