"""Aggregations: local features of a photo to one global descriptor, one file each."""

from fol.models.aggregation.netvlad import NetVlad, NetVladConfig
from fol.models.aggregation.optimal_transport import (
    Aggregate,
    AggregationConfig,
    OptimalTransportAggregation,
    log_optimal_transport,
)

__all__ = [
    "Aggregate",
    "AggregationConfig",
    "NetVlad",
    "NetVladConfig",
    "OptimalTransportAggregation",
    "log_optimal_transport",
]
