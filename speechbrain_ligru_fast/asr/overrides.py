"""What a recipe's command line changes, as the YAML that HyperPyYAML reads.

SpeechBrain pastes the words behind their keys, and YAML then takes parts of
some for something else: ``run #2`` for ``run`` and a comment, ``007`` for 7,
``~`` for nothing.
"""

import json
import os
import re

import ruamel.yaml

from speechbrain_ligru_fast.asr.options import by_option, run_options

# Keys whose values are names: text, whatever it looks like.
_PATH = re.compile(r"\w+_(?:folder|file|csv|annotation)|extra_text")
_NAME = re.compile(r"corpus|recipe|lm_name")


def overrides(arguments):
    """The keys that options change.

    Arguments
    ---------
    arguments : list of str
        Of a command line without its YAML, see `options.check_options`.

    Returns
    -------
    str
        YAML, a line a key.

    Raises
    ------
    ValueError
        For a key given twice, or a value of which YAML would drop a part.

    Example
    -------
    >>> print(overrides(["--lr", "0.1", "--output_folder=run #2", "--jit"]))
    lr: 0.1
    output_folder: "run #2"
    """
    own, found = run_options(), {}
    for option, values in by_option(arguments):
        if option in own:
            continue
        key = option.removeprefix("--")
        if key in found:
            raise ValueError(f"{option} is given twice")
        found[key] = _value(option, key, values[0])
    return "\n".join(f"{key}: {value}" for key, value in found.items())


def _value(option, key, word):
    # A reference, say, or quotes, are YAML's; so are several manifests.
    path = _PATH.fullmatch(key)
    begins = ("!", '"', "'")
    if key.endswith("_annotation"):
        begins += ("{", "[")
    if path or _NAME.fullmatch(key):
        if word not in ("", "null") and not word.startswith(begins):
            if re.search("<[^<>]+>", word):
                raise ValueError(
                    f"{option}: got {word!r}, where <...> would be taken for "
                    "the value of a key; write '!ref ' before it if it is "
                    "one, and give another name if it isn't"
                )
            word = os.path.expanduser(word) if path else word
            return json.dumps(word, ensure_ascii=False)
    _check(option, word)
    return word


def _check(option, word):
    text = f"key: {word}"
    node = ruamel.yaml.YAML().compose(text)
    ((_, value),) = node.value if len(node.value) == 1 else ((0, None),)
    if value is None or text[value.end_mark.index :].strip():
        raise ValueError(
            f"{option}: got {word!r}, of which YAML reads a part only; put it "
            "in quotes once more"
        )


def at_home(document):
    """The document with ``~`` of its folders and files as the shell's.

    Arguments
    ---------
    document : str
        See speechbrain_ligru_fast.asr.yaml_files.compose.

    Returns
    -------
    str

    Example
    -------
    >>> at_home("text: ~/x\\ndata_folder: ~/x\\n").count("~")
    1
    """
    # "~" alone is YAML's nothing.
    line = re.compile(rf"^((?:{_PATH.pattern}): *)(~[^\s#]+)", re.M)
    return line.sub(
        lambda match: match[1] + os.path.expanduser(match[2]), document
    )
