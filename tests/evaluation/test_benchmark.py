"""The table of `foley evaluate --benchmark`, against numbers that other people's packages measured."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import soundfile
import torch
from benchmark_sounds import GAIN, N_CLIPS, NARROW, PREFIX, RATE_HZ, sound, write_sounds
from clips import run_ffmpeg
from madeup import FIXTURES, made_up_state

from foleycli.errors import FoleyError
from foleycli.evaluation import benchmark, networks
from foleycli.evaluation.embedders import clap, cnn14
from foleycli.evaluation.metrics.bootstrap import Interval, mean_interval, set_interval
from foleycli.evaluation.metrics.distances import frechet_distance, inception_score, kl_divergence
from foleycli.evaluation.metrics.offset import mean_offset_ms

# The packages read sounds at their own rate; `foley evaluate` reads all at 44.1 kHz and resamples: 0.1 % here.
TOLERANCE = 5e-3
PANNS_FILE = "Cnn14_16k_mAP=0.438.pth"


def small_cnn14(path, device) -> cnn14.Cnn14Embedder:
    """Narrow, with the weights that the packages' network had too."""
    network = cnn14.Cnn14(NARROW).eval()
    shapes = {key: value.shape for key, value in network.state_dict().items() if key != "mel_filters"}
    filters = torch.from_numpy(np.load(FIXTURES / "embedders.npz")["cnn14_filters"])
    network.load_state_dict(made_up_state(shapes, gain=GAIN, prefix=PREFIX) | {"mel_filters": filters})
    return cnn14.Cnn14Embedder(network, device)


class Hears:
    """Scores a sound by its loudness, in place of Synchformer."""

    rate_hz = 16000

    def scores(self, samples, video) -> dict[str, float]:
        return {"desync_s": float(np.abs(samples).mean()), "sync_ms": 40.0} if len(samples) > 16000 else {}


@pytest.fixture
def with_panns(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLEY_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "metrics").mkdir(parents=True)
    (tmp_path / "home" / "metrics" / PANNS_FILE).touch()
    small = tuple(replace(one, load=small_cnn14) if one.name == "PANNs" else one for one in networks.EMBEDDING_NETWORKS)
    for module in (networks, benchmark):
        monkeypatch.setattr(module, "EMBEDDING_NETWORKS", small)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """real/, made/ and other/, of which the last lacks a clip and repeats the real sounds."""
    root = tmp_path_factory.mktemp("benchmark")
    for side in ("real", "made"):
        write_sounds(root / side, side)
    shutil.copytree(root / "real", root / "other")
    return root


def test_the_table_has_the_packages_numbers(foley, folders, with_panns, tmp_path):
    out = tmp_path / "table"
    told = foley("evaluate", "--benchmark", folders / "real", folders / "made", folders / "other", "--out-dir", out,
                 "--bootstrap", "40", "--json")  # fmt: skip
    assert told.code == 0
    real, made, other = (one["figures"] for one in told.lines[0]["systems"])
    reference = json.loads((FIXTURES / "benchmark_reference.json").read_text())["numbers"]
    for name, number in reference.items():
        assert made[name.split()[0]]["value"] == pytest.approx(number, rel=TOLERANCE)
    assert other["fd_panns"]["value"] == pytest.approx(0, abs=1e-3) and other["kl_panns"]["value"] < 1e-3
    assert real.keys() == {"is_panns"} and real["is_panns"] == other["is_panns"]
    for figure in made.values():
        assert figure["low"] <= figure["value"] <= figure["high"]
    assert made["fd_panns"]["low"] > other["fd_panns"]["high"]  # the worse system is worse beyond doubt
    written = json.loads((out / "benchmark.json").read_text())
    assert written["systems"] == told.lines[0]["systems"] and written["weights"] == {"PANNs": PANNS_FILE}
    missing = written["not_measured"]
    assert {"fad_vggish", "fd_passt", "ib_score", "desync_s", "clap_score"} <= missing.keys()
    assert str(tmp_path) not in (out / "benchmark.md").read_text() and "FOLEY_HOME/metrics" in missing["fad_vggish"]
    assert "no clip has a picture" in missing["sync_mini_ms"] and not made.keys() & missing.keys()


def test_the_files_read_as_tables(foley, folders, with_panns, tmp_path):
    out = tmp_path / "table"
    for side in ("real", "made", "other"):
        (tmp_path / side).mkdir()
        for number in range(4):
            shutil.copy(folders / side / f"clip{number:02d}.wav", tmp_path / side)
    told = foley("evaluate", "--benchmark", tmp_path / "real", tmp_path / "made", tmp_path / "other", "--out-dir", out,
                 "--bootstrap", "0")  # fmt: skip
    rows = [line.split("\t") for line in told.out.splitlines()]
    assert rows[0] == ["figure", "real", "made", "other"] and {len(row) for row in rows} == {4}
    fd = next(row for row in rows if row[0] == "FD PANNs ↓")
    assert fd[1] == "–" and float(fd[2]) > float(fd[3])
    lines = (out / "benchmark.md").read_text().splitlines()
    assert lines[0].startswith("| system | FD PANNs ↓ | KL PANNs ↓ | IS PANNs ↑ |") and lines[4].startswith("| other |")
    assert f"**{fd[3]}**" in lines[4] and fd[2] in lines[3] and "4 clips" in "".join(lines)
    tex = (out / "benchmark.tex").read_text()
    assert tex.count(" & ") == 4 * len(rows[1:]) and f"\\textbf{{{fd[3]}}}" in tex and "\\bottomrule" in tex
    again = foley("evaluate", "--benchmark", folders / "real", folders / "made", "--out-dir", out)
    assert again.code == 1 and "already exists" in again.error


def test_systems_are_compared_on_the_clips_that_all_have(folders, tmp_path):
    shutil.copytree(folders / "made", tmp_path / "less")
    (tmp_path / "less" / "clip03.wav").unlink()
    systems, left_out = benchmark.systems_of(folders / "real", [folders / "made", tmp_path / "less"])
    assert [len(system.pairs) for system in systems] == [N_CLIPS - 1] * 2
    assert left_out == {"made": ["clip03"], "real": ["clip03"]}


def test_a_clip_with_a_picture_has_its_sync_and_a_short_one_has_none(tmp_path, monkeypatch):
    from foleycli.evaluation.synchrony import SYNC_ENCODER
    from foleycli.features.sync import load_extractor
    from foleycli.hub.resolve import resolve

    for folder in ("real", "ours"):
        (tmp_path / folder).mkdir()
    for name, n in (("long", 41 * RATE_HZ // 10), ("short", RATE_HZ // 2)):
        samples = np.resize(sound("real", 0), n)
        soundfile.write(tmp_path / "ours" / f"{name}.wav", 0.5 * samples, RATE_HZ)
        run_ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=25:d={n / RATE_HZ}", "-i",
                   tmp_path / "ours" / f"{name}.wav", "-shortest", tmp_path / "real" / f"{name}.mp4")  # fmt: skip
    systems, _ = benchmark.systems_of(tmp_path / "real", [tmp_path / "ours"])
    loaded = networks.LoadedNetworks({}, {"Synchformer": Hears()})
    extractor = load_extractor(resolve(SYNC_ENCODER), torch.device("cpu"), torch.float32)
    measuring = benchmark.Benchmark(systems, loaded, extractor)
    for clip in ("long", "short"):
        measuring.add(clip)
    real, ours = measuring.table({}, {}, n_draws=20).rows
    assert ours.figures["sync_ms"] == Interval(40.0) and real.figures["desync_s"].value > 0
    assert ours.figures["desync_s"].value == pytest.approx(real.figures["desync_s"].value, rel=0.05)
    assert 0 <= ours.figures["sync_mini_ms"].value <= 2000
    assert ours.figures["envelope"].value > 0.9


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("{real}",), "1 paths are given"),
        (("{real}", "nowhere"), "nowhere does not exist"),
        (("{real}", "{made}", "{made}"), "two folders are called"),
        (("{real}", "{made}", "--steps", "4"), "--steps is for rendering"),
        (("{real}", "{made}", "--model", "salsav-mini"), "--benchmark measures folders"),
        (("{real}", "{made}", "--prompts", "gone.csv"), "gone.csv does not exist"),
        (("{real}", "{made}", "--labels", "{real}"), "--labels is for one folder"),
        (("{real}", "{made}", "--out-dir", "{real}/clip00.wav"), "cannot be made"),
    ],
)
def test_bad_input_is_refused_before_a_network_is_loaded(foley, folders, monkeypatch, args, message):
    def load(*_, **__):
        raise AssertionError("a network was loaded")

    monkeypatch.setattr("foleycli.evaluation.evaluate.begin", load)
    named = [arg.format(real=folders / "real", made=folders / "made") for arg in args]
    told = foley("evaluate", "--benchmark", *named)
    assert told.code in (1, 2) and message in told.error


def test_bootstrap_is_for_benchmarks(foley, folders):
    assert "--bootstrap is for --benchmark" in foley("evaluate", folders / "real", folders / "made",
                                                     "--bootstrap", "5").error  # fmt: skip


@pytest.mark.parametrize("n", [9, 12, 40])  # fewer than dimensions, as many, more
def test_frechet_is_that_of_scipys_matrix_square_root(n):
    """To 1e-6 of the figure: where there are few vectors, scipy's root of a singular product is no nearer itself."""
    rng = np.random.default_rng(n)
    one, other = rng.standard_normal((n, 12)), rng.standard_normal((n + 5, 12)) @ rng.standard_normal((12, 12)) + 0.3
    first, second = np.cov(one.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(first @ second).real
    apart = one.mean(0) - other.mean(0)
    expected = apart @ apart + np.trace(first) + np.trace(second) - 2 * np.trace(root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)


def test_kl_and_inception_score_are_those_of_scipys_entropy():
    rng = np.random.default_rng(1)
    real, generated = 2 * rng.standard_normal((2, 6, 30))
    p, q = (scipy.special.softmax(logits, axis=1) for logits in (real, generated))
    assert kl_divergence(real, generated) == pytest.approx(scipy.stats.entropy(p, q, axis=1).mean(), rel=1e-3)
    order = np.random.RandomState(2020).permutation(6)
    parts = [q[order][k : k + 2] for k in (0, 2, 4)]
    expected = np.mean(
        [np.exp(scipy.stats.entropy(part, part.mean(0, keepdims=True), axis=1).mean()) for part in parts]
    )
    assert inception_score(generated) == pytest.approx(expected, rel=1e-9)


def test_intervals_are_those_of_scipys_bootstrap():
    """Percentiles of 4,000 draws, to a twentieth of the interval's width: the draws are other ones."""
    values = np.random.default_rng(2).gamma(2.0, size=60)
    found = mean_interval(np.append(values, np.nan), n_draws=4000, seed=0)
    drawn = scipy.stats.bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=1)
    theirs = drawn.confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(theirs.low, abs=0.05 * (theirs.high - theirs.low))
    assert found.high == pytest.approx(theirs.high, abs=0.05 * (theirs.high - theirs.low))
    assert mean_interval(np.array([np.nan]), 10, 0) is None and mean_interval(np.array([3.0]), 10, 0) == Interval(3.0)
    alike = set_interval(lambda rows: float(values[rows].mean()), 60, 4000, seed=0)
    assert alike.low == pytest.approx(found.low, abs=0.02) and alike.high == pytest.approx(found.high, abs=0.02)


def test_mean_offset_is_in_milliseconds():
    assert mean_offset_ms([-0.2, 0.4, 0.0]) == pytest.approx(200)
    assert mean_offset_ms([k / 5 for k in range(-10, 11)]) == pytest.approx(1048, abs=0.5)  # guessing


def test_clap_compares_sounds_and_words(tmp_path):
    """A tiny CLAP of transformers' own making; the processor's parts stand in for files that only the Hub has."""
    transformers = pytest.importorskip("transformers")
    with clap.torchaudio_stand_in():
        config = transformers.ClapConfig(
            text_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
                         "vocab_size": 20, "projection_dim": 8},
            audio_config={"hidden_size": 32, "depths": [1, 1], "num_attention_heads": [1, 2], "projection_dim": 8,
                          "patch_embeds_hidden_size": 16},
            projection_dim=8,
        )  # fmt: skip
        network = transformers.ClapModel(config).eval()
        features = transformers.ClapFeatureExtractor(truncation="rand_trunc")

    def tokenizer(words, **_):
        ids = [3 + len(word) % 16 for word in words[0].split()]
        return transformers.BatchEncoding({"input_ids": [ids], "attention_mask": [[1] * len(ids)]}, tensor_type="pt")

    embedder = clap.ClapEmbedder(
        network, SimpleNamespace(feature_extractor=features, tokenizer=tokenizer), torch.device("cpu")
    )
    found = embedder.embed(np.resize(sound("real", 1), 12 * clap.RATE_HZ))
    assert found.vectors.shape == (2, 8) and np.linalg.norm(found.vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)
    words = embedder.embed_words("a dog barks")
    assert -1 <= clap.cosine(found, words) <= 1 and embedder.embed(np.zeros(10, np.float32)).vectors.shape == (1, 8)
    with pytest.raises(FoleyError, match="holds no CLAP"):
        clap.load(tmp_path / "model.safetensors", torch.device("cpu"))
