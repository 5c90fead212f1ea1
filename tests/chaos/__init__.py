"""Chaos: programs connect while instances come and go, and nobody may notice."""
