"""One command, a real clip: the model is pulled from a Hub on this machine, checked, loaded and heard.

Networks are filled with made-up weights; the towers beside them are smaller than the published ones.
"""

import io
import tarfile
from dataclasses import replace

import pytest
import torch
from madeup import made_up_state
from offered import published_at

from foleycli.cli.app import main
from foleycli.hub import catalog
from foleycli.hub.catalog import find, with_parts
from foleycli.media.probe import probe, probe_audio

pytestmark = pytest.mark.slow


def saved(state: dict, **around) -> bytes:
    """A torch pickle of these tensors."""
    out = io.BytesIO()
    torch.save({**around, "state_dict": state} if around else state, out)
    return out.getvalue()


def filled(build, prefix: str = "", dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Made-up weights of a network that `build` makes, under the published names."""
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build().state_dict().items()}
    return {prefix + key: value.to(dtype) for key, value in made_up_state(shapes).items()}


def call(*args: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code


@pytest.fixture
def clip(clips):
    return clips("plain.mp4")


def mmaudio_files() -> dict[str, bytes]:
    """By the publisher's names: the whole 157 M network, and small towers."""
    from foleycli.codecs.bigvgan import BIGVGAN_16K, BigVGAN
    from foleycli.codecs.mmaudio_vae import VAE_16K, Vae
    from foleycli.families.mmaudio.config import NETWORKS
    from foleycli.families.mmaudio.network import MMAudio
    from foleycli.features.dfn_clip import ClipConfig, ClipText, ClipVision
    from foleycli.nn.motionformer import Motionformer, MotionformerConfig

    eyes = ClipConfig(**CLIP)
    words = {
        **filled(lambda: ClipText(eyes)),
        "text_projection": torch.zeros(1024, 1024),
        "logit_scale": torch.ones(()),
    }
    return {
        "mmaudio_small_16k.pth": saved(filled(lambda: MMAudio(NETWORKS["small_16k"]), dtype=torch.float16)),
        "v1-16.pth": saved(filled(lambda: Vae(replace(VAE_16K, width=64)))),
        "best_netG.pt": saved({"generator": filled(lambda: BigVGAN(replace(BIGVGAN_16K, width=64)))}),
        "synchformer_state_dict.pth": saved(
            filled(lambda: Motionformer(MotionformerConfig(**SYNC)), "vfeat_extractor.")
        ),
        "open_clip_pytorch_model.bin": saved({**filled(lambda: ClipVision(eyes), "visual."), **words}),
    }


CLIP = {"vision_width": 64, "vision_blocks": 1, "vision_heads": 4, "text_blocks": 1}
SYNC = {"n_blocks": 1}
SMALL = {
    "mmaudio-codec-16k": {"vae_width": 64, "vocoder_width": 64},
    "synchformer": {"network": SYNC},
    "dfn5b-clip": {"network": CLIP},
}


def test_mmaudio(here, hub, clip, tmp_path, monkeypatch, capsys):
    files = mmaudio_files()
    wanted = with_parts(find("mmaudio-small-16k"))
    monkeypatch.setattr(catalog, "ENTRIES", tuple(published_at(entry, hub, files, SMALL) for entry in wanted))
    ask = ("render", clip, "-o", tmp_path / "out.mp4", "--model", "mmaudio-small-16k", "--steps", 1, "--seed", 3)
    assert call(*ask) == 1
    assert "--accept-license" in capsys.readouterr().err and not hub.log
    assert call(*ask, "--accept-license") == 0, capsys.readouterr().err
    made = probe(tmp_path / "out.mp4")
    assert made.has_audio and probe_audio(tmp_path / "out.mp4")[0] == pytest.approx(probe(clip).duration_s, abs=0.05)
    assert call("models", "verify", "mmaudio-small-16k") == 0
    hub.repos.clear()
    hub.plain.clear()
    n_asked = len(hub.log)
    assert call(*ask, "--force") == 0 and len(hub.log) == n_asked  # neither asked again nor fetched again


def vaura_archive() -> bytes:
    """The published archive's layout around a small checkpoint, beside a worse one."""
    from foleycli.codecs.dac import Dac, DacConfig
    from foleycli.families.vaura.config import VAuraConfig
    from foleycli.families.vaura.network import VAura
    from foleycli.nn.motionformer import Motionformer, MotionformerConfig

    codes = {"n_codebooks": 3, "codebook_size": 32, "codebook_dim": 8}
    sampler = VAuraConfig(width=192, n_heads=2, n_layers=1, visual_width=64, visual_dim=64, **codes)
    tower = MotionformerConfig(width=64, n_heads=1, n_blocks=1, hidden=64)
    codec = DacConfig(encoder_dim=8, decoder_dim=64, **codes)
    state = {
        **filled(lambda: VAura(sampler), "sampler."),
        **filled(lambda: Motionformer(tower), "visual_feature_extractor."),
        **{"audio_encoder." + key: value for key, value in filled(lambda: Dac(codec)).items()},
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in (("last", b"older"), ("epoch=7-val_loss=4.15", saved(state, epoch=7))):
            member = tarfile.TarInfo(f"24-08-01T08-34-26/checkpoints/{name}.ckpt")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_vaura(here, hub, clip, tmp_path, monkeypatch, capsys):
    entry = published_at(find("vaura"), hub, {"24-08-01T08-34-26.tar.gz": vaura_archive()}, {})
    monkeypatch.setattr(catalog, "ENTRIES", (entry,))
    ask = ("render", clip, "-o", tmp_path / "out.wav", "--model", "vaura", "--accept-license")
    assert call(*ask) == 0, capsys.readouterr().err
    assert probe_audio(tmp_path / "out.wav")[0] == pytest.approx(probe(clip).duration_s, abs=0.05)
    assert not list((here / "foley" / "files").rglob("*.tar.gz"))  # converted: the archive is gone
    assert call("models", "verify", "vaura") == 0
    n_asked = len(hub.log)
    assert call(*ask, "--force") == 0 and len(hub.log) == n_asked
    assert call("models", "remove", "vaura") == 0 and not entry.folder.exists()
