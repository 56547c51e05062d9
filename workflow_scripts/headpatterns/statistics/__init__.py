from headpatterns.statistics.bootstrap import (
    estimate_and_interval,
    estimate_and_shifted_interval,
    paired_replicates,
    probe_weights,
    replicate_patterns,
)
from headpatterns.statistics.distribution import STATISTICS, cv, gini, is_constant, kurtosis
from headpatterns.statistics.ranks import spearman, spearman_within_layers
from headpatterns.statistics.similarity import (
    change,
    change_rate,
    correlation_matrix,
    log_ratio,
    mse,
    pearson,
    standardised,
    without_dead_heads,
)

__all__ = [
    "STATISTICS",
    "change",
    "change_rate",
    "correlation_matrix",
    "cv",
    "estimate_and_interval",
    "estimate_and_shifted_interval",
    "gini",
    "is_constant",
    "kurtosis",
    "log_ratio",
    "mse",
    "paired_replicates",
    "pearson",
    "probe_weights",
    "replicate_patterns",
    "spearman",
    "spearman_within_layers",
    "standardised",
    "without_dead_heads",
]
