"""A retina at work in the background on input without end, looked at and changed while it runs.

python examples/live_runner.py
"""

import time

import neurosim
from neurosim.streams import RandomStream, SequenceStream


def main(seconds: float = 3.0) -> int:
    """Lets it run for a while, with another gain in the second half; returns the frames done."""
    retina = neurosim.retina.Retina(seed=1)
    source = RandomStream(size=(32, 32), mean=0.0, level=255.0, seed=2)
    spikes = SequenceStream(max_frames=2000)
    with neurosim.Runner(retina, source, {"ganglion_on": spikes}, dt=20) as runner:
        runner.start()
        for gain in (50.0, 400.0):
            retina.p.gang_0_input.lambda_G = gain
            time.sleep(seconds / 2)
            newest = spikes.sequence[-200:]
            rate = newest.mean() * retina.resolution.steps_per_second if len(newest) else float("nan")
            stats = runner.stats
            print(f"lambda_G {gain:5.0f} Hz: {rate:5.1f} spikes/s per ON cell; {stats.frames} frames, "
                  f"{stats.frames_per_second:.0f} frames/s, latency {1e3 * stats.latency_p50:.1f} ms")
    return runner.stats.frames


if __name__ == "__main__":
    main()
