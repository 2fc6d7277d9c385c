"""Where exports and YAML files of earlier versions look for the front end."""

from speechbrain_ligru_fast.lobe.sincnet import FrontEnd, SincNet  # noqa: F401
