"""The lake: its table, its ledger, the query that appends, and its maintenance."""
