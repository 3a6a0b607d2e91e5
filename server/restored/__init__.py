"""After a restore: what the database of before must not do again."""
