#!/usr/bin/env bash
# webdataset 1.0.2
# Guessed: a shard with a .wav and a .txt of each of two utterances has two
#     samples, by whatever ids.
# Does: ids as Kaldi gives to copies of another speed, "sp0.9-a" and "sp0.9-b",
#     are one sample, "sp0", with the fields "9-a.wav", "9-b.wav"...: a key ends
#     at the file name's first dot, and neighbours of one key are one sample.
#     So are all of one speed that stand in a row.
# Seen: 2026-11-29
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
environment webdataset==1.0.2 numpy==2.4.6
python - <<'PYTHON'
import io
import tarfile

import webdataset

samples = {}
for prefix in ("sp-", "sp0.9-"):
    with tarfile.open("shard.tar", "w") as file:
        for name in ("a.wav", "a.txt", "b.wav", "b.txt"):
            member = tarfile.TarInfo(prefix + name)
            member.size = 1
            file.addfile(member, io.BytesIO(b"x"))
    samples[prefix] = [
        (sample["__key__"], *(key for key in sample if key[0] != "_"))
        for sample in webdataset.WebDataset("shard.tar", shardshuffle=False)
    ]
    print(f"ids {prefix}a and {prefix}b: {samples[prefix]}")
assert samples["sp-"] == [("sp-a", "wav", "txt"), ("sp-b", "wav", "txt")]
assert samples["sp0.9-"] == [
    ("sp0", "9-a.wav", "9-a.txt", "9-b.wav", "9-b.txt")
]
PYTHON
