"""What people change of their own account: the password, codes."""
