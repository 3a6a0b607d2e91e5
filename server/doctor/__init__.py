"""The report for who is to help: how this installation is, without a secret."""
