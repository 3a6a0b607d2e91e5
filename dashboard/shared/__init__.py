"""What pages share: the frame, streams, forms, words."""
