"""Small corpora for the recipes, made on the spot; nothing is downloaded.

From the root of the repository::

    python -m tools.demo_corpus --out DIR --minutes 20
    python -m tools.demo_corpus.an4_sentences --out FILE
    python -m tools.demo_corpus.an4_timit --an4 DIR --out DIR
"""
