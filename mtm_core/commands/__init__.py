"""What the `mtm` command does, one file per subcommand."""
