"""Pictures: time courses, movies, kernels, rasters, receptive fields, impulse responses, landscapes, fits.

Every function returns its figure. matplotlib is imported when a picture is made, not before.
"""

from ._courses import time_courses
from ._field import Ellipse, fit_ellipse, receptive_field
from ._fit import LiveFit, fit, prediction, sparkline
from ._impulse import impulse, impulse_response, impulse_space
from ._kernels import kernels
from ._landscape import loss_landscape
from ._movie import Movie, movie
from ._raster import raster

__all__ = [
    "Ellipse", "LiveFit", "Movie", "fit", "fit_ellipse", "impulse", "impulse_response", "impulse_space",
    "kernels", "loss_landscape", "movie", "prediction", "raster", "receptive_field", "sparkline", "time_courses",
]
