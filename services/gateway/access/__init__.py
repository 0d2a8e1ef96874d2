"""Who may do what: accounts, passwords, sessions and the table of rights."""
