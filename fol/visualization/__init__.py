"""Pictures of what a model sees and answers, written as PNG without a display or system fonts.

For the rest of the library: ``draw_prediction`` (query, regions, matches, candidates on one page), ``draw_recall``
(both stages side by side), ``draw_training`` (losses and validation of a run), ``draw_curves`` (anything over one
quantity); ``draw_regions`` and ``draw_matches`` give matplotlib figures to go on with, ``save_png`` writes one
atomically.
"""

from fol.visualization.curves import draw_curves
from fol.visualization.matches import draw_matches
from fol.visualization.page import save_png
from fol.visualization.prediction import draw_prediction
from fol.visualization.recall import draw_recall
from fol.visualization.regions import draw_regions
from fol.visualization.training import draw_training

__all__ = ["draw_curves", "draw_matches", "draw_prediction", "draw_recall", "draw_regions", "draw_training", "save_png"]
