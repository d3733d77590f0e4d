"""Capabilities: benchmarks and probes, asked of a model in a state."""
