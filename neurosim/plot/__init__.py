"""Pictures: time courses, movies, kernels, rasters, receptive fields, impulse responses, landscapes, fits, graphs.

Every function returns its figure, `movie` a `Movie` and `graph` a `Graph`. matplotlib is
imported when a picture is made, not before.
"""

from ._courses import time_courses
from ._field import receptive_field
from ._fit import LiveFit, fit, prediction, sparkline
from ._graph import Graph, graph
from ._impulse import impulse, impulse_response, impulse_space
from ._kernels import kernels
from ._landscape import loss_landscape
from ._movie import Movie, movie
from ._raster import raster

__all__ = [
    "Graph", "LiveFit", "Movie", "fit", "graph", "impulse", "impulse_response", "impulse_space",
    "kernels", "loss_landscape", "movie", "prediction", "raster", "receptive_field", "sparkline", "time_courses",
]
