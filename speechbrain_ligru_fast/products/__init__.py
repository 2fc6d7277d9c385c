"""Matrix products outside the recurrence, by the fastest library at hand."""
