#!/usr/bin/env bash
# speechbrain 1.1.2 (with torch 2.15.0 and torchaudio 2.11.1)
# Guessed: the replacements of a manifest, for {data_root} in JSON and
#     $data_root in CSV, touch its paths; a transcript may hold any text.
# Does: they are done to every text. "{laughter}", as Switchboard writes it,
#     stops the JSON reader with KeyError, "{{A}}" silently becomes "{A}", and
#     the CSV reader stops at "A$AP".
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment speechbrain==1.1.2 torch==2.15.0 torchaudio==2.11.1
python - <<'PYTHON'
import json

from speechbrain.dataio.dataio import load_data_csv, load_data_json


def read(words):
    with open("a.json", "w") as file:
        json.dump({"u": {"duration": 1.0, "wrd": words}}, file)
    with open("a.csv", "w") as file:
        file.write(f"ID,duration,wrd\nu,1.0,{words}\n")
    found = []
    for reader, path in ((load_data_json, "a.json"), (load_data_csv, "a.csv")):
        try:
            found.append(reader(path)["u"]["wrd"])
        except KeyError as error:
            found.append(error)
    print(f"{words}: JSON {found[0]!r}, CSV {found[1]!r}")
    return found


in_json, in_csv = read("YES {laughter}")
assert isinstance(in_json, KeyError) and in_csv == "YES {laughter}"
assert read("{{A}}") == ["{A}", "{{A}}"]
in_json, in_csv = read("A$AP ROCKY")
assert in_json == "A$AP ROCKY" and isinstance(in_csv, KeyError)
PYTHON
