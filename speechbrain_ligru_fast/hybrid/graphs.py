"""Finite-state transducers: of the lexicon, the words, and all together.

H, C, L and G of Mohri, Pereira and Riley, "Weighted finite-state transducers in
speech recognition", 2002, as Kaldi builds them.
"""

import math

from speechbrain_ligru_fast.hybrid import packages
from speechbrain_ligru_fast.hybrid.lexicon import BACKOFF, EPSILON

# Of a path's cost, that of staying in states counts little, as in Kaldi.
_SELF_LOOPS = 0.1


def symbols(lexicon):
    """The ids of words and of phones, with those that graphs need.

    Returns
    -------
    words, phones : dict
        ``<eps>`` is 0; the last words are ``#0``, of a language model's
        backing off, ``<s>`` and ``</s>``; the last phones are ``#0``, one for
        each pronunciation to be told apart, and one for silence.
    """
    words = {EPSILON: 0} | lexicon.word_ids
    words |= {x: len(words) + i for i, x in enumerate((BACKOFF, "<s>", "</s>"))}
    most = max(number for *_, number in lexicon.told_apart())
    phones = {EPSILON: 0} | lexicon.phone_ids
    first = len(phones)
    phones |= {f"#{i}": first + i for i in range(most + 2)}
    return words, phones


def lexicon_fst(lexicon, disambiguated, silence=0.5, edges=False):
    """L, from phones to words, as a kaldifst.StdVectorFst.

    Arguments
    ---------
    lexicon : Lexicon
    disambiguated : bool
        With the symbols of `Lexicon.told_apart`, to be made deterministic.
    silence : float
        The probability of silence between words, if the lexicon has one.
    edges : bool
        Whether there must be silence before the first and after the last word.
    """
    fst = packages.kaldifst.StdVectorFst()
    words, phones = symbols(lexicon)
    start = loop = fst.add_state()
    fst.start = start
    ways = [(0.0, loop)]
    if lexicon.silence is not None:
        loop, quiet = fst.add_state(), fst.add_state()
        ways = [(-math.log(1 - silence), loop), (-math.log(silence), quiet)]
        for cost, state in ways[edges:]:
            _add(fst, start, 0, 0, cost, state)
        heard = phones[lexicon.silence]
        if disambiguated:
            after = fst.add_state()
            _add(fst, quiet, heard, 0, 0.0, after)
            _add(fst, after, max(phones.values()), 0, 0.0, loop)
        else:
            _add(fst, quiet, heard, 0, 0.0, loop)
    end = loop
    if edges and lexicon.silence is not None:
        end = fst.add_state()
        _add(fst, quiet, heard, 0, 0.0, end)
    fst.set_final(state=end, weight=0)
    for word, pronunciation, number in lexicon.told_apart():
        labels = [phones[phone] for phone in pronunciation]
        if disambiguated and number:
            labels.append(phones[f"#{number}"])
        state, said = loop, words[word]
        for label in labels[:-1]:
            following = fst.add_state()
            _add(fst, state, label, said, 0.0, following)
            state, said = following, 0
        for cost, following in ways:
            _add(fst, state, labels[-1], said, cost, following)
    if disambiguated:
        _add(fst, loop, phones[BACKOFF], words[BACKOFF], 0.0, loop)
    packages.kaldifst.arcsort(fst, sort_type="olabel")
    return fst


def _add(fst, state, ilabel, olabel, weight, following):
    arc = packages.kaldifst.StdArc(ilabel, olabel, weight, following)
    fst.add_arc(state=state, arc=arc)


def training_graphs(hmm, lexicon, texts, edges=False):
    """The graph of each transcript, without transition probabilities.

    Arguments
    ---------
    hmm : Hmm
    lexicon : Lexicon
    texts : dict
        Utterance id -> transcript.
    edges : bool
        See `lexicon_fst`.
    """
    khg = packages.khg
    compiler = khg.TrainingGraphCompiler(
        trans_model=hmm.transitions,
        ctx_dep=hmm.tree,
        lex_fst=lexicon_fst(lexicon, False, edges=edges),
        disambig_syms=[],
        opts=khg.TrainingGraphCompilerOptions(0.0, 0.0),
    )
    return {
        key: compiler.compile_graph_from_text(
            [lexicon.word_ids[word] for word in text.split()]
        )
        for key, text in texts.items()
    }


def add_transitions(hmm, graph):
    """A training graph with the transition probabilities of now."""
    graph = graph.copy()
    packages.khg.add_transition_probs(
        trans_model=hmm.transitions,
        transition_scale=1.0,
        self_loop_scale=_SELF_LOOPS,
        fst=graph,
    )
    return graph


def decoding_graph(hmm, lexicon, arpa, folder):
    """HCLG, from transition ids to words.

    Arguments
    ---------
    hmm : Hmm
    lexicon : Lexicon
    arpa : path-like
        The language model.
    folder : path-like
        Where to write the words' ids, which kaldilm reads.
    """
    khg, kaldifst = packages.khg, packages.kaldifst
    words, phones = symbols(lexicon)
    told = [i for phone, i in phones.items() if phone[0] == "#"]
    graph = kaldifst.compose(
        lexicon_fst(lexicon, disambiguated=True),
        _grammar(arpa, words, folder / "words.txt"),
    )
    kaldifst.determinize_star(graph, use_log=True)
    kaldifst.minimize_encoded(graph)
    graph, windows = kaldifst.compose_context(
        disambig_syms=told,
        context_width=hmm.tree.context_width,
        central_position=hmm.tree.central_position,
        ifst=graph,
    )
    kaldifst.arcsort(graph, sort_type="ilabel")
    h, told = khg.get_h_transducer(
        ilabel_info=windows,
        ctx_dep=hmm.tree,
        trans_model=hmm.transitions,
        config=khg.HTransducerConfig(),
    )
    graph = kaldifst.compose(h, graph)
    kaldifst.determinize_star(graph, use_log=True)
    told = set(told)
    graph = _changed(graph, lambda arc: arc.ilabel in told, silent=True)
    kaldifst.minimize_encoded(graph)
    return khg.add_self_loops(
        self_loop_scale=_SELF_LOOPS,
        disambig_syms=[],
        trans_model=hmm.transitions,
        ifst=graph,
    )


def _grammar(arpa, words, table):
    table.write_text("".join(f"{w} {i}\n" for w, i in words.items()), "utf-8")
    fst = packages.kaldifst.compile(
        packages.kaldilm.arpa2fst(
            input_arpa=str(arpa),
            disambig_symbol=BACKOFF,
            read_symbol_table=str(table),
            max_arpa_warnings=0,
        )
    )
    if fst.num_states == 0:
        raise ValueError(f"language model {arpa} allows no word")
    packages.kaldifst.arcsort(fst, sort_type="ilabel")
    return fst


def penalized(graph, penalty):
    """HCLG with a cost for each word; a negative one is a reward."""
    return _changed(graph, lambda arc: arc.olabel, penalty)


def _changed(fst, condition, cost=0.0, silent=False):
    """A copy, its arcs of a condition with a cost or without input."""
    kaldifst = packages.kaldifst
    new = kaldifst.StdVectorFst()
    for _ in range(fst.num_states):
        new.add_state()
    new.start = fst.start
    for state in kaldifst.StateIterator(fst):
        new.set_final(state=state, weight=fst.final(state))
        for arc in kaldifst.ArcIterator(fst, state):
            if condition(arc):
                arc = kaldifst.StdArc(
                    0 if silent else arc.ilabel,
                    arc.olabel,
                    arc.weight.value + cost,
                    arc.nextstate,
                )
            new.add_arc(state=state, arc=arc)
    return new
