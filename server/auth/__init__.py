"""Who may do what: API keys, people, sessions, roles, the audit trail."""
