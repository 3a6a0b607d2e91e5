"""The live picture above objectives and alerts: the tick that makes it, and the relay that brings it to streams."""
