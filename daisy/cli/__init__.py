"""The command `daisy`: one module per subcommand."""
