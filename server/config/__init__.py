"""Settings that change at run time: registry, revisions, staged revisions, receipts."""
