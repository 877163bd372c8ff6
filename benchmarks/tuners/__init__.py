"""Replay of samplers and schedulers on recorded learning curves: see benchmarks.tuners.__main__."""
