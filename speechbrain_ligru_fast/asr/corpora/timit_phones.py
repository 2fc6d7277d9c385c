"""Where YAML files look for how TIMIT's phones are scored."""

from speechbrain_ligru_fast.recognition.phones import (  # noqa: F401
    PhoneScoring,
)
