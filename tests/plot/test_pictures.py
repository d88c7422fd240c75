"""Each picture shows the numbers that it was given, says its units, and refuses what it cannot show."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import neurosim
from neurosim import InputError, ParameterError, Resolution, UnknownName, plot
from neurosim.streams import VideoReader

COARSE = Resolution(frame=0.005, pixels_per_degree=20.0)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Figures belong to who shows them: here, to nobody."""
    yield
    plt.close("all")


def noise(*shape: int) -> torch.Tensor:
    """The same standard normal numbers every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# ---- time courses, impulses -----------------------------------------------------------------------------------------
def test_time_courses_show_mean_range_and_units() -> None:
    x = noise(1, 1, 30, 4, 5)
    figure = plot.time_courses({"v": x}, resolution=COARSE, start_time=0.05, units={"v": "mV"})
    (panel,) = figure.axes
    t, mean = panel.lines[0].get_data()
    np.testing.assert_allclose(t, 0.05 + np.arange(30) * COARSE.frame)
    np.testing.assert_allclose(mean, x.double().mean((0, 1, 3, 4)))
    band = panel.collections[0].get_datalim(panel.transData)
    assert (band.y0, band.y1) == pytest.approx((x.min().item(), x.max().item()))
    assert (panel.get_ylabel(), panel.get_xlabel()) == ("v (mV)", "time (s)")
    with pytest.raises(ParameterError, match=r"plot.time_courses.values: there is nothing to show"):
        plot.time_courses({"v": x[:, :, :0]})


@pytest.mark.parametrize("shape", [(30,), (30, 4), (2, 30, 4), (30, 4, 5), (2, 3, 30, 4, 5), (30, 1, 1), (1, 4, 5)])
def test_time_courses_take_what_a_user_has(shape: tuple[int, ...]) -> None:
    x = noise(*shape)
    axes = neurosim.SIGNAL if shape == (2, 30, 4) else None
    time = 1 if axes else 2 if x.ndim == 5 else 0
    for values in (x, x.numpy(), {"x": x}):
        t, mean = plot.time_courses(values, axes=axes).axes[0].lines[0].get_data()
        np.testing.assert_allclose(mean, x.double().movedim(time, 0).flatten(1).mean(1) if x.ndim > 1 else x)
        np.testing.assert_allclose(t, np.arange(x.shape[time]) * 0.001)
    with pytest.raises(neurosim.InputError, match=r"plot.time_courses: a signal must be"):
        plot.time_courses(noise(2, 2, 2, 2))


def test_an_output_draws_itself_on_its_clock() -> None:
    out = neurosim.filters.TemporalLowPass(resolution=COARSE).run(noise(30, 3, 3))
    t, mean = out.plot(0).axes[0].lines[0].get_data()
    np.testing.assert_allclose(t, out.times)
    np.testing.assert_allclose(mean, out[0].double().mean((0, 1, 3, 4)))


def test_impulses_of_an_amplitude_of_a_signal_and_without_response() -> None:
    layer = neurosim.filters.TemporalLowPass(tau=0.02)
    one, ten = (plot.impulse_response(layer, (20, 3, 3), amplitude=a) for a in (1.0, 10.0))
    torch.testing.assert_close(ten, 10 * one)
    ltc = neurosim.liquid.LTC(2, neurosim.liquid.AutoNCP(16, 3))
    panel = ltc.plot_impulse((30, 2)).axes[0]
    assert [line.get_label() for line in panel.lines] == ["feature 0", "feature 1", "feature 2"]
    silent = neurosim.models.LN()  # its kernel starts at 0
    assert silent.plot_impulse((10, 5, 5)).axes[0].get_title().startswith("no response to an impulse of 1")
    assert silent.plot_impulse_space((10, 5, 5)).axes[0].get_title() == "LN, no response to an impulse of 1"


def test_impulse_is_the_closed_form_at_the_pixel() -> None:
    layer = neurosim.filters.TemporalLowPass(tau=0.02)
    t, y = plot.impulse(layer, (50, 5, 5)).axes[0].lines[0].get_data()
    decay = np.exp(-0.001 / 0.02)
    np.testing.assert_allclose(y, (1 - decay) * decay ** np.arange(50), rtol=1e-4)  # float32
    np.testing.assert_allclose(t, np.arange(50))


# ---- movies ---------------------------------------------------------------------------------------------------------
def test_a_movie_is_saved_and_read_back(tmp_path) -> None:
    x = torch.zeros(10, 6, 8)
    x[5:] = 1.0
    movie = plot.movie(x[None, None], x, names=("one", "two"), every=2, fps=20.0)
    assert len(movie) == 5 and movie.slower == pytest.approx(1 / (2 * 0.001 * 20))
    movie.save(tmp_path / "movie.mp4")
    with VideoReader(tmp_path / "movie.mp4") as video:
        frames = video.read(10)
        assert video.frame_rate == pytest.approx(20.0) and len(frames) == 5
    pictures = list(movie)
    assert abs(frames.astype(float) - np.mean(pictures, -1)).mean() < 3  # H.264, and luma weighs colours differently
    changed = np.abs(pictures[1].astype(int) - pictures[3]).sum(-1).astype(bool)
    assert 0.1 < changed.mean() < 0.6  # both images, not the axes
    with pytest.raises(neurosim.StreamError, match=r"Movie.save: the file .*movie.mp4 exists; overwrite=True replaces it"):
        movie.save(tmp_path / "movie.mp4")
    with pytest.raises(ParameterError, match=r"Movie.save.path: the suffix must be .mp4, .mkv or .gif"):
        movie.save(tmp_path / "movie.avi")


def test_a_notebook_plays_a_movie_without_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    movie = plot.movie(noise(6, 5, 5))
    shown = movie._repr_html_()
    assert '<video controls loop autoplay muted src="data:video/mp4;base64,' in shown and "<script" not in shown
    assert len(shown) < 200_000
    without = plot.movie(noise(6, 5, 5))

    def missing(*args: object, **options: object) -> None:
        raise neurosim.MissingExtra("VideoWriter", "video")

    monkeypatch.setattr("neurosim.streams.VideoWriter", missing)
    assert 'src="data:image/gif;base64,R0lGOD' in without._repr_html_()


def test_a_movie_of_an_output_has_its_frames_and_names() -> None:
    layer = neurosim.filters.TemporalLowPass(resolution=COARSE)
    movie = plot.movie(layer.run(noise(20, 4, 4)))
    assert repr(movie) == "<Movie of output: 20 pictures, 8 times slower than life>"  # 5 ms shown for 40


@pytest.mark.parametrize(("videos", "message"), [
    ((torch.zeros(4),), r"a video must be \(batch, channel, time, y, x\) or \(time, y, x\)"),
    ((torch.zeros(0, 3, 3),), r"there is nothing to show"),
    ((torch.zeros(3, 3, 3), torch.zeros(4, 3, 3)), r"must have the same number of frames \(got \[3, 4\]\)"),
    ((torch.zeros(3, 3, 3, dtype=torch.complex64),), r"must be real numbers"),
    ((torch.zeros(3, 3, 3, device="meta"),), r"device 'meta', which holds no numbers"),
])
def test_what_is_no_movie_is_refused(videos, message: str) -> None:
    with pytest.raises((ParameterError, InputError), match=message):
        plot.movie(*videos)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_constant_and_missing_numbers_are_drawn(value: float) -> None:
    x = torch.full((3, 4, 4), value)
    assert len(list(plot.movie(x))) == 3
    assert plot.kernels(x).axes
    assert plot.time_courses({"x": x[None, None]}).axes


# ---- kernels and receptive fields -----------------------------------------------------------------------------------
def test_kernels_show_lags_in_ms_and_space_in_degrees() -> None:
    conv = neurosim.filters.Conv3d(1, 2, kernel_size=(4, 5, 7), resolution=COARSE)
    conv.set_weight(noise(2, 1, 4, 5, 7))
    figure = plot.kernels(neurosim.models.Sequential(conv))
    images = [panel for panel in figure.axes if panel.images]
    assert [panel.get_title() for panel in images] == ["0 ms", "5 ms", "10 ms", "15 ms"] * 2
    np.testing.assert_allclose(images[6].images[0].get_array(), conv.weight.detach()[1, 0, 2])
    assert images[0].images[0].get_extent() == pytest.approx([-0.175, 0.175, 0.125, -0.125])
    limit = conv.weight.detach().abs().max().item()
    assert images[0].images[0].get_clim() == pytest.approx((-limit, limit))
    assert "ch. 0 to 1" in images[4].get_ylabel() and "layer_0" in images[4].get_ylabel()


def test_a_kernel_that_follows_a_time_constant_is_a_curve() -> None:
    conv = neurosim.filters.Conv1d()
    conv.exponential(0.01)
    (panel,) = plot.kernels(conv).axes
    t, y = panel.lines[0].get_data()
    np.testing.assert_allclose(y[1:] / y[:-1], np.exp(-0.1), rtol=1e-5)  # float32
    assert panel.get_xlabel() == "lag (ms)" and t[1] == 1.0


def test_parameters_of_a_tree_are_plotted() -> None:
    conv = neurosim.filters.Conv3d(kernel_size=(3, 5, 5))
    assert plot.kernels(conv.p.weight).axes
    with pytest.raises(ParameterError, match=r"plot.kernels.source: needs a layer with .*TemporalLowPass has none"):
        plot.kernels(neurosim.filters.TemporalLowPass())
    with pytest.raises(ParameterError, match=r"must be a layer, or \(lag,\), \(y, x\)"):
        plot.kernels(torch.zeros(2, 2, 2, 2))


def test_of_many_kernels_the_first_are_shown() -> None:
    conv = neurosim.filters.Conv3d(4, 5, kernel_size=(2, 2, 2))
    assert plot.kernels(conv).get_suptitle() == "the first 12 of 20 kernels"


def test_a_receptive_field_is_found_in_noise() -> None:
    y, x = np.mgrid[:24, :32] + 0.5
    turned = np.radians(30)
    u, v = (x - 14) * np.cos(turned) + (y - 10) * np.sin(turned), -(x - 14) * np.sin(turned) + (y - 10) * np.cos(turned)
    space = np.exp(-(u / 5) ** 2 / 2 - (v / 2) ** 2 / 2)
    field = -np.array([0.1, 0.5, 1.0, 0.3])[:, None, None] * space
    field += np.random.default_rng(0).normal(0, 0.02, field.shape)
    space_panel, time_panel = plot.receptive_field(field, resolution=COARSE, units="mV").axes[:2]
    (ring,) = space_panel.patches  # 2 % of noise on 768 pixels leaves about 1 % on each number
    assert (*ring.center, ring.width, ring.height, ring.angle) == pytest.approx(
        (14 / 20, 10 / 20, 2 * 5 / 20, 2 * 2 / 20, 30.0), rel=0.03)
    assert space_panel.get_title() == "10 ms before"
    t, course = time_panel.lines[0].get_data()
    assert list(t) == [0, -5, -10, -15] and course.argmin() == 2


def test_noise_has_no_ellipse() -> None:
    assert not plot.receptive_field(np.zeros((3, 5, 5))).axes[0].patches
    with pytest.raises(ParameterError, match=r"receptive_field.field: must be \(lag, y, x\), finite"):
        plot.receptive_field(np.full((3, 5, 5), np.nan))


# ---- spikes ---------------------------------------------------------------------------------------------------------
def test_a_raster_counts_every_spike() -> None:
    rng = np.random.default_rng(0)
    unit, time = rng.integers(0, 7, 500), rng.uniform(0, 2.0, 500)
    figure = plot.raster((unit, time), seconds=2.0, units=10, bin=0.05)
    above, below = figure.axes
    np.testing.assert_array_equal(above.lines[0].get_data(), (time, unit))
    rate, edges, _ = below.patches[0].get_data()
    np.testing.assert_allclose(rate, np.histogram(time, 40, (0, 2))[0] / 0.05 / 10, rtol=1e-12)
    assert len(edges) == 41 and below.get_ylabel() == "rate (Hz)" and above.get_ylim() == (9.5, -0.5)


def test_a_raster_of_counts_outputs_and_nothing() -> None:
    counts = torch.zeros(1, 1, 10, 2, 2)
    counts[0, 0, 4, 1, 0] = 2.0
    above, below = plot.raster(counts, resolution=COARSE).axes
    np.testing.assert_allclose(above.lines[0].get_data(), ([0.0225, 0.0225], [2, 2]))
    assert above.get_xlim() == (0.0, 0.05)
    assert sum(below.patches[0].get_data().values) * 0.01 * 4 == pytest.approx(2)
    out = neurosim.Output({"spikes": counts}, frame=0.005)
    assert plot.raster(out).axes[0].get_xlim() == (0.0, 0.05)
    later = neurosim.spiking.LIF(resolution=COARSE).run(neurosim.streams.SequenceStream(
        np.zeros((10, 2, 2)), frame_rate=200.0, start_time=3.0))
    assert plot.raster(later).axes[1].get_xlim() == pytest.approx((3.0, 3.05))
    assert plot.raster(([], [])).axes
    with pytest.raises(ParameterError, match=r"counts must be whole numbers, at least 0"):
        plot.raster(neurosim.filters.TemporalLowPass().run(noise(5, 2, 2)))
    with pytest.raises(ParameterError, match=r"counts must be whole numbers, at least 0"):
        plot.raster(noise(5, 3))
    with pytest.raises(ParameterError, match=r"must be whole unit numbers and times in s"):
        plot.raster(([0.5], [0.1]))


def test_a_raster_of_spike_times_per_unit() -> None:
    above = plot.raster([[0.2, 0.1], [], [0.1]], bin=0.1, rows="trial").axes[0]
    assert above.get_ylabel() == "trial"
    np.testing.assert_array_equal(above.lines[0].get_data(), ([0.1, 0.2, 0.1], [0, 0, 2]))
    assert above.get_ylim() == (2.5, -0.5)
    assert plot.raster([[], []]).axes and plot.raster([]).axes
    with pytest.raises(neurosim.InputError, match=r"plot.raster: spike times must be finite and have one axis"):
        plot.raster([[0.1, np.nan]])


def test_of_very_many_spikes_some_are_drawn_and_it_says_so() -> None:
    n = 250_000
    figure = plot.raster((np.zeros(n, int), np.linspace(0, 1, n, endpoint=False)), seconds=1.0, bin=0.1)
    assert figure.axes[0].get_title() == "83,334 of 250,000 spikes drawn"
    np.testing.assert_allclose(figure.axes[1].patches[0].get_data().values, n, rtol=1e-4)  # a spike on an edge


# ---- fits -----------------------------------------------------------------------------------------------------------
def line() -> tuple[neurosim.Layer, torch.Tensor, torch.Tensor]:
    """y = scale x + bias, at 0.5 and 0, and what it should give."""
    x = torch.linspace(-0.2, 1, 20)[:, None, None]
    goal = neurosim.filters.NLRectifyScale(scale=2.0, bias=0.5).run(x)[0]
    return neurosim.filters.NLRectifyScale(scale=0.5, bias=0.0), x, goal


def test_the_landscape_is_the_loss_and_leaves_the_layer_alone() -> None:
    layer, x, goal = line()
    layer.set_optimizer.Adam(lr=0.1)
    path = []
    for _ in range(5):
        path.append((layer.scale.item(), layer.bias.item()))
        layer.optimize(x, goal)
    before = {name: value.detach().clone() for name, value in layer.named_parameters()}
    state = layer.optimizer.state_dict()["state"]
    figure = plot.loss_landscape(layer, x, goal, ("scale", "bias"), ranges=[(0, 4), (-1, 1)], points=9, path=path)
    assert all(torch.equal(value, before[name]) for name, value in layer.named_parameters())
    assert layer.optimizer.state_dict()["state"].keys() == state.keys()
    panel = figure.axes[0]
    star, drawn = panel.lines[0], panel.lines[1]
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (2.0, 0.5)  # on the grid, and the truth
    np.testing.assert_allclose(np.transpose(drawn.get_data()), path)
    assert figure.axes[1].get_yscale() == "log" and figure.axes[1].get_ylabel().startswith("loss")


def test_a_landscape_has_several_ways() -> None:
    layer, x, goal = line()
    ways = {"SGD": [(0.5, 0.0), (1.0, 0.2)], "Adam": [(0.5, 0.0), (1.5, 0.4), (2.0, 0.5)], "none": []}
    panel = plot.loss_landscape(layer, x, goal, ("scale", "bias"), points=5, path=ways).axes[0]
    drawn = {curve.get_label().split(",")[0]: np.transpose(curve.get_data()) for curve in panel.lines}
    np.testing.assert_array_equal(drawn["SGD"], ways["SGD"])
    np.testing.assert_array_equal(drawn["Adam"], ways["Adam"])
    assert "none" not in drawn and panel.get_xlim()[0] < 0.5 < 2.0 < panel.get_xlim()[1]


def test_a_landscape_needs_two_numbers() -> None:
    layer, x, goal = line()
    with pytest.raises(UnknownName, match=r"loss_landscape.params.scales: unknown; did you mean 'scale'\?"):
        plot.loss_landscape(layer, x, goal, ("scales", "bias"))
    with pytest.raises(ParameterError, match=r"must be two different paths"):
        plot.loss_landscape(layer, x, goal, ("scale", "scale"))
    with pytest.raises(InputError, match=r"must have the same number of frames"):
        plot.loss_landscape(layer, x, goal[:, :, :5], ("scale", "bias"))
    with pytest.raises(ParameterError, match=r"the loss is a number nowhere on this grid"):
        plot.loss_landscape(layer, x, goal, ("scale", "bias"), points=3, loss_fn=lambda y, g: y.mean() * float("nan"))
    assert (layer.scale.item(), layer.bias.item()) == (0.5, 0.0)


def test_a_landscape_stays_within_the_range_of_the_parameter() -> None:
    layer = neurosim.filters.TemporalHighPass(tau=0.02)
    x = noise(50, 2, 2)
    figure = plot.loss_landscape(layer, x, layer.run(x)[0] * 1.1, ("tau", "k"), points=5)
    assert figure.axes[0].get_xlim()[0] >= 0 and figure.axes[0].get_xlabel() == "tau (s)"


HISTORY = SimpleNamespace(epochs=[0, 1, 2], loss=[4.0, 2.0, 1.0], validation=[5.0, 3.0, 3.5], best=1)


def test_a_fit_is_drawn_with_its_best_epoch() -> None:
    (panel,) = plot.fit(HISTORY).axes
    assert [list(drawn.get_ydata()) for drawn in panel.lines] == [[4.0, 2.0, 1.0], [5.0, 3.0, 3.5], [3.0]]
    assert panel.get_yscale() == "log" and panel.get_xlabel() == "epoch"
    negative = SimpleNamespace(epochs=[0, 1], loss=[-1.0, float("nan")], validation=[], best=None)
    assert plot.fit(negative).axes[0].get_yscale() == "linear"
    with pytest.raises(ParameterError, match=r"plot.fit.history: no epoch is over yet"):
        plot.fit(SimpleNamespace(epochs=[], loss=[], validation=[], best=None))


def test_a_fit_is_told_at_the_terminal_on_one_line() -> None:
    stream = io.StringIO()
    live = plot.LiveFit(every=2, stream=stream)
    for n in range(1, 4):
        live.epoch(None, SimpleNamespace(epochs=HISTORY.epochs[:n], loss=HISTORY.loss[:n], validation=HISTORY.validation[:n],
                                         best=min(n - 1, 1)))
    live.end(None, HISTORY)
    lines = stream.getvalue().rstrip("\n").split("\r")[1:]
    assert lines == ["epoch 0  loss 4  validation 5  best 5 (epoch 0)  ▁",
                     *["epoch 2  loss 1  validation 3.5  best 3 (epoch 1)  █▁▃"] * 2]
    assert plot.sparkline([1.0, float("nan"), -1.0]) == "█?▁"
    with pytest.raises(ParameterError, match=r"plot.LiveFit.every: must be a whole number"):
        plot.LiveFit(every=0)


def test_a_fit_is_shown_in_a_notebook_in_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    handle = SimpleNamespace(update=lambda picture: shown.append(("update", picture)))
    monkeypatch.setattr("neurosim.plot._fit._in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda picture, display_id: shown.append(("new", picture)) or handle)
    live = plot.LiveFit()
    live.begin(None, HISTORY)
    live.epoch(None, HISTORY)
    live.end(None, HISTORY)
    assert [what for what, _ in shown] == ["new", "update", "update"]
    assert shown[0][1]._repr_png_().startswith(b"\x89PNG") and not plt.get_fignums()


def test_a_fit_of_a_layer_is_shown_while_it_goes_on() -> None:
    layer, x, goal = line()
    layer.set_optimizer.Adam(lr=0.05)
    stream = io.StringIO()
    history = layer.fit(x, goal, epochs=3, callbacks=[plot.LiveFit(stream=stream)], progress=False)
    assert stream.getvalue().count("\r") == 4 and "epoch 3" in stream.getvalue()
    assert history.plot().axes[0].lines[0].get_ydata() == pytest.approx(history.loss)


def test_prediction_gives_the_correlation() -> None:
    one, other = noise(2, 300)
    other = one + 0.5 * other
    figure = plot.prediction(one[None, :, None], other, resolution=COARSE)
    assert figure.axes[1].get_title() == f"correlation {np.corrcoef(one, other)[0, 1]:.3f}"
    assert figure.axes[0].lines[0].get_xdata()[-1] == pytest.approx(299 * 0.005)
    assert figure.axes[0].get_ylabel() == "rate (Hz)"
    assert plot.prediction(torch.ones(5), noise(5)).axes[1].get_title() == "correlation undefined: constant"
    with pytest.raises(ParameterError, match=r"needs one value per frame, as many as recorded"):
        plot.prediction(one, other[:5])


def test_figures_are_shown_once_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.get_backend", lambda: "inline")
    plot.prediction([1.0, 2.0], [1.0, 3.0])
    assert not plt.get_fignums()  # what is returned is shown; pyplot has nothing to show besides
