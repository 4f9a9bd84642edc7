"""Who may use how much: accounts, keys, plans, and the ledger of what was used, in SQLite or PostgreSQL."""
