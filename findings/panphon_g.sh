#!/usr/bin/env bash
# panphon 0.22.2
# Guessed: a phone that its table lacks is an error or costs a deletion.
# Does: it is left out without a word. The g of a keyboard (U+0067, not IPA's
#     U+0261) and the r-coloured schwa of "her" are such: the feature distance
#     of "gud" and "ud" is 0, so a phone error rate by features sees no error.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment panphon==0.22.2 setuptools==80.9.0
python -W ignore - <<'PYTHON'
import panphon.distance

table = panphon.FeatureTable()
distance = panphon.distance.Distance()
for word in ("gud", "\u0261ud", "h\u025a"):
    print(word, table.ipa_segs(word))
lost = distance.feature_edit_distance("gud", "ud")
kept = distance.feature_edit_distance("\u0261ud", "ud")
print(f"from 'ud': keyboard's g {lost}, IPA's {kept}")
assert lost == 0 < kept
assert table.ipa_segs("h\u025a") == ["h"]
PYTHON
