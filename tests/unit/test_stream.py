"""Streams of frames for training: what is drawn depends on the position alone, whoever renders it and however it ends."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from halfseen.worlds import corrupt, stream

CONFIG = stream.StreamConfig(("chairs", "tabletop"), (16, 16), views=3, window=2, reuse=2, workers=0)


def test_a_stream_photographs_its_frames_the_same_way_at_any_position():
    config = stream.StreamConfig(("chairs",), (16, 16), views=2, window=2, workers=0, corruption=corrupt.Camera())
    with stream.Stream(config) as one, stream.Stream(config) as two:
        first = [one.draw(k).rgb for k in range(4)]
        assert torch.equal(two.draw(3).rgb, first[3])
    with stream.Stream(replace(config, corruption=None)) as clean:
        assert not torch.equal(clean.draw(3).rgb, first[3])


def test_a_stream_resumes_at_any_position():
    with stream.Stream(CONFIG) as source:
        whole = [source.draw(i) for i in range(20)]
    with stream.Stream(CONFIG) as source:
        tail = [source.draw(i) for i in range(12, 20)]
        assert len(source._worlds._kept) <= CONFIG.window
    for a, b in zip(whole[12:], tail, strict=True):
        assert (a.world, a.view) == (b.world, b.view)
        assert torch.equal(a.rgb, b.rgb)


def test_workers_give_the_same_frames():
    from dataclasses import replace

    with stream.Stream(CONFIG) as one, stream.Stream(replace(CONFIG, workers=1)) as other:
        for position in (0, 7, 8):
            assert torch.equal(one.draw(position).rgb, other.draw(position).rgb)


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from halfseen.worlds.stream import Stream, StreamConfig\n"
        "if __name__ == '__main__':\n"
        "    source = Stream(StreamConfig(('rooms',), (24, 16), views=2, window=1, workers=1))\n"
        "    source.draw(0)\n"
        "    print(*source._worlds._pool._processes, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    try:
        workers = [int(n) for n in parent.stdout.readline().split()]
    finally:
        parent.kill()
        parent.communicate()
    assert workers
    deadline = time.monotonic() + 30
    while any(running(n) for n in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(running(n) for n in workers)


def running(number):
    """Whether a process works or waits, and is not merely remembered."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_each_frame_serves_about_as_often_as_asked():
    config = stream.StreamConfig(("chairs",), (16, 16), views=10, window=8, reuse=10)
    draws = [stream.pick(config, p) for p in range(20_000)]
    middle = [d for d in draws if 20 <= d[0] < 150]
    assert len(middle) / (130 * 10) == pytest.approx(10, rel=0.05)
    for position, (world, _) in enumerate(draws):
        first = position // 100
        assert first <= world < first + 8


def test_a_bounded_stream_shows_its_worlds_again():
    config = stream.StreamConfig(("chairs", "cars"), (16, 16), views=2, window=1, reuse=1, workers=0)
    with stream.Stream(replace(config, worlds=2)) as few, stream.Stream(config) as many:
        # Draws 0 and 4 are of worlds 0 and 2: of two worlds the third is the first again.
        shown = [torch.stack([f.rgb for f in stream.unpack(stream.render_world(few.config, n), n)]) for n in (0, 1, 2)]
        assert torch.equal(shown[0], shown[2])
        assert not torch.equal(shown[0], shown[1])
        assert torch.equal(few.draw(0).rgb, many.draw(0).rgb)
        assert not torch.equal(few.draw(4).rgb, many.draw(4).rgb)
