"""Re-ranking: order candidates by how well their local features match the query's.

    ranking = fol.rerank(query_local, candidate_locals, global_similarity)

Works on plain tensors as well, without any other part of ``fol``. ``RerankOptions`` has every switch.
"""

from __future__ import annotations

from fol.reranking.options import METHODS, Method, RerankOptions, default_method
from fol.reranking.ranking import rerank

__all__ = ["METHODS", "Method", "RerankOptions", "default_method", "rerank"]
