"""How judged rows get into the database: one transaction a task, with the ledger."""
