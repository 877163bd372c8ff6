"""Recording of learning curves of many configurations: see benchmarks.record."""
