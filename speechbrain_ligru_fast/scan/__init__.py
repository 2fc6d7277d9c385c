"""The recurrence of one layer as one operator of torch, on any backend."""
