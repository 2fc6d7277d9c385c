"""What the speech recognition recipes share."""

from speechbrain_ligru_fast import installed  # noqa: F401
