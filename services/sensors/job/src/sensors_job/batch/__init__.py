"""The past once more: aggregates recomputed, baselines learned, history printed."""
