#!/usr/bin/env python3
"""Print the text of audio files.

Example
-------
python transcribe.py EXPERIMENT_FOLDER audio1.wav audio2.flac
"""

import sys

from speechbrain_ligru_fast.deploy.transcribe import main

if __name__ == "__main__":
    sys.exit(main())
