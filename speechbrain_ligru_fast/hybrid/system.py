"""Everything of a hybrid recogniser but its network."""

import hashlib
import json
import logging
import time
from pathlib import Path

from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.alignment import (
    check_aligned,
    load_alignments,
    save_alignments,
)
from speechbrain_ligru_fast.hybrid.data import (
    frames_at,
    gmm_features,
    read_utterances,
)
from speechbrain_ligru_fast.hybrid.gmm import flat_start, train_gmm
from speechbrain_ligru_fast.hybrid.graphs import decoding_graph, training_graphs
from speechbrain_ligru_fast.hybrid.hmm import STATES, Hmm
from speechbrain_ligru_fast.hybrid.language_model import check_arpa, make_arpa
from speechbrain_ligru_fast.hybrid.lexicon import phone_lexicon, read_lexicon
from speechbrain_ligru_fast.training.process_group import count_processes

logger = logging.getLogger(__name__)


def load_lexicon(hparams):
    """The experiment's Lexicon; what it is becomes one of its settings."""
    packages.require()
    if count_processes() > 1:
        raise ValueError("a hybrid is trained by one process: leave torchrun")
    if hparams["lexicon_file"]:
        lexicon = read_lexicon(
            hparams["lexicon_file"], hparams["silence"],
            hparams["phones_file"], hparams.get("stress", True),
        )  # fmt: skip
    elif "phn_set" in hparams:
        lexicon = phone_lexicon(hparams["phn_set"])
    else:
        raise ValueError("lexicon_file: got none, expected a file's name")
    if hparams["hand_labels"] and hparams["lexicon_file"]:
        raise ValueError(
            "hand_labels: True with a lexicon_file: labels are of phones that "
            "are words, those of phn_set; give lexicon_file: null"
        )
    wanted = STATES * len(lexicon.phones)
    if hparams["output_neurons"] != wanted:
        raise ValueError(
            f"output_neurons={hparams['output_neurons']}: the lexicon has "
            f"{len(lexicon.phones)} phones of {STATES} states, give {wanted}"
        )
    digits = _digits(lexicon.pronunciations, lexicon.silence)
    hparams["fingerprint"].settings["lexicon"] = digits
    return lexicon


class System:
    """All but the network: HMM, lexicon, graphs, and the alignments so far.

    Attributes
    ----------
    states : dict
        ``train`` and ``valid`` -> utterance id -> torch.LongTensor of
        (frames,), the pdf of each.
    graph : kaldifst.StdVectorFst
        HCLG.
    """

    def __init__(self, hparams, lexicon):
        self.hparams, self.lexicon = hparams, lexicon
        self.hmm = Hmm(len(lexicon.phones))
        self.folder = Path(hparams["save_folder"])
        self.utterances = {
            name: read_utterances(
                hparams[f"{name}_annotation"], hparams, lexicon
            )
            for name in ("train", "valid")
        }
        texts = [item["said"] for item in self.utterances["train"].values()]
        self.arpa = hparams["arpa_file"]
        if self.arpa:
            check_arpa(self.arpa, lexicon.words)
        else:
            self.arpa = self.folder / "words.arpa"
            make_arpa(texts, lexicon.words, hparams["ngram_order"], self.arpa)
        self.states = {"train": {}, "valid": {}}
        self.graph, self.gmm_s, self._turn = None, "", None
        # Whether it can be built is known at once.
        self._build_graph()

    def _build_graph(self):
        self.graph = decoding_graph(
            self.hmm, self.lexicon, self.arpa, self.folder
        )

    def _texts(self, name):
        return {k: x["said"] for k, x in self.utterances[name].items()}

    def _made_of(self):
        # What the network is, its checkpoints say.
        settings = self.hparams["fingerprint"].settings
        names = "lexicon train_manifest valid_manifest gmm_iterations "
        names += "gmm_gaussians gmm_features hand_labels max_bad_fraction"
        return _digits({name: settings.get(name) for name in names.split()})

    def take(self, turn, make):
        """Read the alignments of a turn, or make and keep them."""
        if turn == self._turn:
            return
        paths = {
            name: self.folder / f"alignment_{turn}_{name}.npz"
            for name in self.states
        }
        made_of = self._made_of()
        found = {k: load_alignments(path, made_of) for k, path in paths.items()}
        if None in found.values():
            found = {name: self._align(name, turn, make) for name in paths}
            for name, path in paths.items():
                save_alignments(path, found[name], made_of)
        for name, alignments in found.items():
            # In place: the datasets read them there. What can't be aligned
            # any more keeps its states of before.
            self.states[name].update(
                {k: self.hmm.pdfs[a - 1] for k, a in alignments.items()}
            )
        self.hmm.estimate(found["train"].values())
        self._turn = turn
        self._build_graph()

    def _align(self, name, turn, make):
        utterances = self.utterances[name]
        graphs = training_graphs(self.hmm, self.lexicon, self._texts(name))
        found = make(graphs, utterances)
        allowed = self.hparams["max_bad_fraction"]
        what = f"{name} set, alignment {turn}"
        check_aligned(utterances, found, allowed, what)
        logger.info("Made: %s", what)
        return found

    def take_last(self):
        """Read the newest alignments."""
        turns = [
            turn
            for turn in range(len(self.hparams["realign_after"]) + 1)
            if (self.folder / f"alignment_{turn}_valid.npz").is_file()
        ]
        self.take(max(turns), None)

    def align_by_gmm(self, graphs, utterances):
        """Train Gaussian mixtures on the training set, or align by them."""
        start = time.perf_counter()
        features = gmm_features(utterances, self.hparams)
        if utterances is self.utterances["train"]:
            first = self._first(features)
            self._aligned = train_gmm(
                self.hmm,
                graphs,
                features,
                first,
                self.hparams["gmm_iterations"],
                self.hparams["gmm_gaussians"],
                self.hparams["max_bad_fraction"],
            )
        found = self._aligned(graphs, features)
        self.gmm_s = round((self.gmm_s or 0.0) + time.perf_counter() - start, 1)
        return found

    def _first(self, features):
        if self.hparams["hand_labels"]:
            return self._labelled(features)
        edges = training_graphs(
            self.hmm, self.lexicon, self._texts("train"), edges=True
        )
        return flat_start(edges, features)

    def _labelled(self, features):
        hop = self.hparams["feats_hop_size"] * self.hparams["sample_rate"]
        found = {}
        for key, item in self.utterances["train"].items():
            phones = [self.lexicon.phone_ids[p] for p in item["phn"].split()]
            ends = map(int, item["ground_truth_phn_ends"].split())
            ends = frames_at(list(ends), len(features[key]), hop)
            found[key] = self.hmm.spread(phones, ends)
        return found


def _digits(*parts):
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
