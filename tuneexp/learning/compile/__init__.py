"""Programs of a trial: traced graphs, compiled ahead of time, captured as CUDA graphs, or run eagerly."""
