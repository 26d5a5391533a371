"""One command, a real clip: the model is pulled from a Hub on this machine, checked, loaded and heard.

Every published model in its own file forms, rates and lengths, with made-up weights in networks that are narrower
than the published ones; one of the slow tests has a flow network of full size.
"""

import io
import socket
import tarfile
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from madeup import made_up_state
from mmaudio_parts import CLIP, NETWORK, SYNC, made_up, shapes
from offered import published_at
from vaura_parts import save_checkpoint

from foleycli.cli.app import main
from foleycli.codecs.mmaudio import codec as mmaudio
from foleycli.families.mmaudio.config import NETWORKS, MMAudioConfig
from foleycli.families.mmaudio.network import MMAudio
from foleycli.features.dfn_clip import ClipConfig, ClipText, ClipVision
from foleycli.hub import catalog
from foleycli.hub.catalog import Entry, fetched_models, find, with_parts
from foleycli.media.probe import probe, probe_audio
from foleycli.nn.motionformer import Motionformer, MotionformerConfig
from foleycli.weights.config import read_config

CODEC = {"vae_width": 8, "vocoder_width": 64}
# Towers of one layer that are as wide as a flow network of full size expects.
WIDE_CLIP = {"vision_width": 64, "vision_blocks": 1, "vision_heads": 4, "text_blocks": 1}
WIDE_SYNC = {"n_blocks": 1}


def saved(state: dict) -> bytes:
    """A torch pickle."""
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def narrowed(name: str) -> dict:
    """A published network's rate, length and version, narrow and shallow."""
    own = NETWORKS[name]
    return NETWORK | {"latent_dim": own.latent_dim, "latent_rate_hz": str(own.latent_rate_hz),
                      "window_steps": own.window_steps, "is_v2": own.is_v2}  # fmt: skip


def mmaudio_entry(network: str) -> Entry:
    """The catalogue's entry of a published network."""
    return next(entry for entry in fetched_models("mmaudio") if entry.config["network"] == network)


def offer_mmaudio(monkeypatch, hub, name: str, network: dict | str, clip: dict, sync: dict) -> None:
    """One of MMAudio's networks with its parts at `hub`, as the only published models."""
    family = mmaudio_entry(name)
    codec = find(family.parts[0])
    _, vae, vocoder = mmaudio.NETWORKS[codec.config["network"]]
    eyes = ClipConfig(**clip)
    towers = made_up(ClipVision(eyes), prefix="visual.") | made_up(ClipText(eyes))
    files = {
        family.config["weights"]: saved(
            {key: value.half() for key, value in made_up(MMAudio(MMAudioConfig.parse(network)), 1.2).items()}
        ),
        codec.config["vae"]: saved(made_up(mmaudio.Vae(replace(vae, width=8)))),
        codec.config["vocoder"]: saved({"generator": made_up(mmaudio.BigVGAN(replace(vocoder, width=64)), 0.75)}),
        "synchformer_state_dict.pth": saved(
            made_up_state(shapes(Motionformer(MotionformerConfig(**sync)), "vfeat_extractor."))
        ),
        "open_clip_pytorch_model.bin": saved(
            towers | {"text_projection": torch.zeros(eyes.dim, eyes.dim), "logit_scale": torch.ones(())}
        ),
    }
    changes = {family.name: {"network": network}, codec.name: CODEC, "synchformer": {"network": sync},
               "dfn5b-clip": {"network": clip}}  # fmt: skip
    wanted = with_parts(family)
    monkeypatch.setattr(catalog, "ENTRIES", tuple(published_at(entry, hub, files, changes) for entry in wanted))


def offer_vaura(monkeypatch, hub, folder) -> None:
    """A small V-AURA in the published archive's layout, beside a worse checkpoint, as the only published model."""
    best = save_checkpoint(folder / "small.ckpt").read_bytes()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for name, content in (("last", b"older"), ("epoch=7-val_loss=4.15", best)):
            member = tarfile.TarInfo(f"24-08-01T08-34-26/checkpoints/{name}.ckpt")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    files = {"24-08-01T08-34-26.tar.gz": out.getvalue()}
    monkeypatch.setattr(catalog, "ENTRIES", (published_at(find("vaura"), hub, files, {}),))


def call(*args: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code


@pytest.fixture
def pull_the_plug(monkeypatch) -> Callable[[], list]:
    """`asked = pull_the_plug()`: from now on nothing can be connected to; `asked` is what was tried."""
    asked: list = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    def now() -> list:
        for name in ("connect", "connect_ex", "sendto"):
            monkeypatch.setattr(socket.socket, name, refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        return asked

    return now


def check_that_it_is_heard(name: str, clip, out, pull_the_plug, capsys) -> None:
    """Refused without its licence, pulled and heard with it, intact, and the same again without a network."""
    ask = ("render", clip, "-o", out, "--model", name, "--steps", 1, "--seed", 3)
    assert call(*ask) == 1 and "--accept-license" in capsys.readouterr().err
    assert call(*ask, "--accept-license") == 0, capsys.readouterr().err
    assert probe(out).has_audio and probe_audio(out)[0] == pytest.approx(probe(clip).duration_s, abs=0.05)
    made = out.read_bytes()
    assert call("models", "verify", name) == 0 and "DAMAGED" not in capsys.readouterr().out
    asked = pull_the_plug()
    with pytest.raises(OSError, match="no network"):
        socket.create_connection(("127.0.0.1", 9))  # it is really out
    asked.clear()
    assert call(*ask, "--force") == 0, capsys.readouterr().err
    assert asked == [] and out.read_bytes() == made
    assert call("models", "pull", name) == 0 and asked == []


# The default is the one that every run of the tests tries.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "large_44k_v2" else pytest.mark.slow) for name in NETWORKS]
)
def test_mmaudio(here, hub, clips, tmp_path, monkeypatch, pull_the_plug, capsys, name):
    model = mmaudio_entry(name).name
    offer_mmaudio(monkeypatch, hub, name, narrowed(name), CLIP, SYNC)
    check_that_it_is_heard(model, clips("plain.mp4"), tmp_path / "out.mp4", pull_the_plug, capsys)


@pytest.mark.slow
def test_mmaudio_with_a_network_of_full_size(here, hub, clips, tmp_path, monkeypatch, pull_the_plug, capsys):
    offer_mmaudio(monkeypatch, hub, "small_16k", "small_16k", WIDE_CLIP, WIDE_SYNC)
    check_that_it_is_heard("mmaudio-small-16k", clips("plain.mp4"), tmp_path / "out.mp4", pull_the_plug, capsys)


def test_vaura(here, hub, clips, tmp_path, monkeypatch, pull_the_plug, capsys):
    offer_vaura(monkeypatch, hub, tmp_path)
    check_that_it_is_heard("vaura", clips("plain.mp4"), tmp_path / "out.mp4", pull_the_plug, capsys)
    config = read_config(find("vaura").folder)
    assert config.settings["guidance"] == 6.0 and list(config.published_from) == ["24-08-01T08-34-26.tar.gz"]
    assert not list((here / "foley" / "files").rglob("*.tar.gz"))  # converted: the archive is gone
    assert call("models", "remove", "vaura") == 0 and not find("vaura").folder.exists()
