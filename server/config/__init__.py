"""Settings that change at run time: registry, revisions, rollout, receipts."""
