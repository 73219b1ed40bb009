"""Aggregations: patch tokens to one global descriptor, one file each."""

from fol.models.aggregation.optimal_transport import (
    Aggregate,
    AggregationConfig,
    OptimalTransportAggregation,
    log_optimal_transport,
)

__all__ = ["Aggregate", "AggregationConfig", "OptimalTransportAggregation", "log_optimal_transport"]
