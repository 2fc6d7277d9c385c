"""What every training here needs, whatever it trains.

Its command line (command_line), what it goes on as (fingerprint), who else is
at work in its folder (lock, process_group), what it took (timing, memory), and
the rows and logs that tell of it (provenance, results, train_logger). The
recipes of asr and hybrid, the language model's and the benchmarks use it.
"""

from speechbrain_ligru_fast import installed  # noqa: F401
