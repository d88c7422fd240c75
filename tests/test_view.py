"""`neurosim view`: what the page of a result shows, that a browser renders it, and that it needs nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from neurosim.cli import main
from neurosim.cli.preview import preview
from neurosim.cli.view.contents import read_contents
from neurosim.streams import HDF5File, HDF5Writer, RandomStream, SequenceStream

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
OWN = re.compile(r"^(https?://)?[\w.-]*\b(google|googleapis|gvt1)\.com\b")  # whom Chromium asks for its own sake
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine; Debian has it as chromium")
LOOK = """<script>addEventListener("load", () => {
const widths = [...document.images].map(i => i.naturalWidth * i.complete), before = document.body.scrollHeight;
const sections = document.querySelectorAll("details:not([open]) > summary");
sections.forEach(s => s.click());
document.body.append(`WIDTHS${widths} CLOSED${before} OPEN${document.body.scrollHeight} SECTIONS${sections.length}`); })
</script></body>"""


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the retina over 120 frames."""
    folder = tmp_path_factory.mktemp("view")
    np.save(folder / "in.npy", np.random.default_rng(0).uniform(0, 255, (120, 12, 16)).astype("float32"))
    assert main(["run", "Retina", str(folder / "in.npy"), "-o", str(folder / "out.h5"), "--record", "bipolar", "-q",
                 "--steps-per-second", "200", "--pixels-per-degree", "20", "--set", "bipolar.lambda_amp=100"]) == 0
    return folder / "out.h5"


def view(file: Path, *options: str) -> str:
    """The page of a file."""
    page = file.with_name(f"{file.stem}-page.html")
    assert main(["view", str(file), "-o", str(page), "--overwrite", *options]) == 0
    text = page.read_text()
    assert all(address.startswith("data:image/") for address in re.findall(r"<[^>]*(?:src|href|action)=[\"']([^\"']*)", text))
    assert "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\"" in text and "url(" not in text
    assert not re.findall(r"<(script|link|iframe|object|embed|form)\b", text) and "http" not in text.replace("http-equiv", "")
    return text


def test_the_page_shows_input_maps_rasters_rates_and_parameters(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = view(result)
    assert re.fullmatch(r".*out-page.html: 3 datasets, \d+ spikes; .* MB\n", capsys.readouterr().out)
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["Overview", "Input", "bipolar", "ganglion_on", "ganglion_off", "spikes",
                                                   "Parameters"]
    assert "<title>Retina: out.h5</title>" in text and "120 frames of shape (12, 16), 0.6 s at 200 Hz" in text
    for what in ("frames of the input", "graph of the model", "maps of bipolar", "time course of ganglion_on",
                 "raster and rate of spikes"):
        assert f'alt="{what}" src="data:image/' in text
    row = re.search(r"<tr>(?:(?!</tr>).)*bipolar\.lambda_amp(?:(?!</tr>).)*</tr>", text)
    assert row and re.findall(r">([^<]*)</td>", row[0])[1:3] == ["100", "Hz"]


class Trap(BaseHTTPRequestHandler):
    """A proxy that hands nothing on and keeps what it was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    do_CONNECT = do_POST = do_GET

    def log_message(self, *words: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[str, list[str], list[str]]]]:
    """Loads a page: what it then is, what the console says, and what was asked of the network, which it goes to by a proxy."""
    trap = type("Mine", (Trap,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), trap)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    folder = tmp_path_factory.mktemp("browser")

    def load(page: Path, *options: str) -> tuple[str, list[str], list[str]]:
        trap.asked.clear()
        done = subprocess.run([
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
            f"--proxy-server=127.0.0.1:{server.server_port}", "--proxy-bypass-list=<-loopback>",
            f"--user-data-dir={folder}", "--virtual-time-budget=5000", *options, page.as_uri()], capture_output=True,
            text=True, timeout=120, check=True)
        asked = [what for what in trap.asked if not OWN.search(what)]
        return done.stdout, re.findall(r"CONSOLE[:(].*", done.stderr), asked

    yield load
    server.shutdown()
    server.server_close()
    thread.join()


def looked_at(text: str, folder: Path) -> Path:
    """The page with a script that tells the widths of its pictures, before and after its sections are opened."""
    page = folder / "looked-at.html"  # the policy of the page lets no script run
    page.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text).replace("</body>", LOOK))
    return page


@needs_browser
@pytest.mark.parametrize("part", ["whole", "spikes only"])
def test_a_browser_shows_every_picture_and_opens_every_section(result: Path, tmp_path: Path, browser, part: str) -> None:
    file = shutil.copy(result, tmp_path / "out.h5")
    if part == "spikes only":
        with h5py.File(file, "r+") as h5:
            for name in ("bipolar", "ganglion_on", "ganglion_off"):
                del h5[name]
    text = view(Path(file))
    shown, console, asked = browser(looked_at(text, tmp_path), "--dump-dom")
    found = re.search(r"WIDTHS([\d,]+) CLOSED(\d+) OPEN(\d+) SECTIONS(\d+)", shown)
    assert found and not console and not asked, (shown[-300:], console, asked)
    widths = [int(number) for number in found[1].split(",")]
    assert len(widths) == text.count("<img ") and min(widths) > 100
    assert int(found[4]) == text.count("<details") > 0
    assert int(found[3]) > int(found[2]) + 200  # the page grows by the graph of the model
    assert "<h2>Parameters</h2>" in shown


@pytest.mark.slow
@needs_browser
def test_a_browser_paints_the_page_under_its_policy_and_asks_nobody(result: Path, browser) -> None:
    from matplotlib.image import imread

    view(result)
    picture = result.with_name("page.png")
    _, console, asked = browser(result.with_name("out-page.html"), f"--screenshot={picture}", "--window-size=1200,2400")
    assert not console and not asked
    pixels = imread(picture)[..., :3]
    blue = (np.abs(pixels - np.array([0x00, 0x72, 0xB2]) / 255) < 0.05).all(-1)
    assert blue.sum() > 2000  # the curves and rates, whose pictures the policy lets in
    assert (pixels > 0.99).all(-1).mean() > 0.3  # on white


@needs_browser
def test_what_a_page_asks_for_and_complains_of_is_noticed(tmp_path: Path, browser) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='http://elsewhere.invalid/a.png'><script>console.error('broken')</script>")
    _, console, asked = browser(page, "--dump-dom")
    assert any("broken" in line for line in console) and asked == ["http://elsewhere.invalid/a.png"]


def test_pages_of_one_dataset_of_each_shape(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, (shape, pictures) in enumerate({(50, 6, 7): 2, (50, 3, 6, 7): 2, (50, 9): 1, (50,): 1, (1, 4, 4): 2}.items()):
        file = tmp_path / f"{number}.h5"
        with HDF5Writer(file, frame_rate=None if number == 2 else 100.0, units="mV") as sink:
            sink.write(rng.normal(size=shape).astype("float32"))
        text = view(file)
        assert text.count("<img ") == pictures and "<h2>frames</h2>" in text and "Parameters" not in text
        assert ("at 100 Hz" in text) == (number != 2)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_pages_of_constant_and_missing_numbers(tmp_path: Path, value: float) -> None:
    with HDF5Writer(tmp_path / "a.h5") as sink:
        sink.write(np.full((20, 5, 5), value))
    assert view(tmp_path / "a.h5").count("<img ") == 2


def test_an_empty_table_and_names_that_would_be_code(tmp_path: Path) -> None:
    name = "<script>alert(1)<"
    with HDF5File(tmp_path / "a.h5", parameters={"model": "<b>", "values": {"<i>": 1.0}, "graph": "<svg><script/></svg>",
                                                 "input_preview": {"shape": "?"}, "units": {"x": "y"}}) as file:
        file.events("spikes")
        sink = file.dataset(name.replace("/", ""))
        sink.write(np.zeros((3, 4, 4)))
    text = view(tmp_path / "a.h5")
    assert "&lt;script&gt;alert(1)&lt;" in text and "&lt;i&gt;" in text and "0 spikes" in text
    assert "the preview of the input is damaged" in text


def test_a_large_result_is_read_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.cli.view.contents.VALUES", 600 * 64 * 64 * 4)
    with HDF5Writer(tmp_path / "a.h5", frame_rate=1000.0, compression=None) as sink:
        for _ in range(40):
            sink.write(np.ones((500, 64, 64), "float32"))  # 20,000 frames, 328 MB
    before = psutil.Process().memory_info().rss
    contents = read_contents(tmp_path / "a.h5")
    grown = psutil.Process().memory_info().rss - before
    assert contents.frames[0].read == 2400 and (contents.frames[0].mean == 1.0).all()
    assert len(contents.frames[0].time) == 600 and grown < 100e6
    assert "made from 2,400 of 20,000 frames, spread evenly" in view(tmp_path / "a.h5")


def test_many_spikes_are_counted_and_some_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurosim.cli.view.contents.BLOCK", 1000)  # many blocks
    unit, time = np.arange(100_000) % 7, np.linspace(0, 10, 100_000)
    with HDF5File(tmp_path / "a.h5") as file:
        file.events("spikes").write(unit, time)
    (spikes,) = read_contents(tmp_path / "a.h5").spikes
    assert spikes.count == spikes.counts.sum() == 100_000 and spikes.units == 7
    np.testing.assert_array_equal(spikes.time, time[::3])  # 40,000 at most
    np.testing.assert_array_equal(spikes.unit, unit[::3])
    assert spikes.edges[0] == 0.0
    with HDF5File(tmp_path / "late.h5") as file:
        events, frames = file.events("spikes"), file.dataset("x", frame_rate=10.0, start_time=100.0)
        events.write([0, 0], [100.0, 101.0])
        frames.write(np.zeros((20, 3, 3)))
    late = read_contents(tmp_path / "late.h5")
    assert late.spikes[0].edges[0] == 100.0 and late.frames[0].time[0] == 100.05
    assert "33,334 of 100,000 spikes are drawn; the rate counts all" in view(tmp_path / "a.h5")


def test_the_preview_is_the_input_and_leaves_it_where_it_was() -> None:
    x = np.arange(11 * 100 * 60, dtype=float).reshape(11, 100, 60)
    source = SequenceStream(x, frame_rate=10.0)
    source.read(3)
    stored = json.loads(json.dumps(preview(source)))
    assert source.position == 3 and stored["seconds"] == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert stored["shape"] == [6, 33, 20]  # blocks of 3 by 3
    assert stored["limits"] == [x[0, :3, :3].mean(), x[10, 96:99, 57:60].mean()]
    assert preview(RandomStream(size=(8, 8), mean=0.0, level=1.0)) is None  # it has no end
    assert preview(SequenceStream(np.zeros((5, 3)))) is None and preview(SequenceStream(np.full((5, 3, 3), np.nan))) is None


@pytest.mark.parametrize(("make", "said"), [
    (lambda path: None, "no such file|does not exist|there is no file"),
    (lambda path: path.write_text("text"), "it is not HDF5"),
    (lambda path: h5py.File(path, "w").close(), "holds neither frames nor spikes"),
])
def test_what_cannot_be_shown_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], make, said: str) -> None:
    make(tmp_path / "a.h5")
    assert main(["view", str(tmp_path / "a.h5")]) == 1
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("\n") == 1 and not (tmp_path / "a.html").exists()


def test_a_page_is_not_replaced_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "out.h5"
    with HDF5Writer(file) as sink:
        sink.write(np.zeros((5, 3)))
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert main(["view", str(file), "--open"]) == 0
    assert opened == [(tmp_path / "out.html").as_uri()]
    before = (tmp_path / "out.html").read_bytes()
    assert main(["view", str(file)]) == 1
    assert "out.html exists; --overwrite replaces it" in capsys.readouterr().err
    assert (tmp_path / "out.html").read_bytes() == before
    assert main(["view", str(file), "--overwrite"]) == 0
