"""Forms a note may be written in, each turned into its plain text. Pure."""
