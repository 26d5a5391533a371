"""Hub encoders: real SigLIP and CLIP classes with tiny random weights, loaded from a folder."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from foleycli.errors import FoleyError
from foleycli.features.extract import extract_features
from foleycli.features.hub import HubText, HubVision, normalise_pictures
from foleycli.nn.torchaudio import torchaudio_stand_in

transformers = pytest.importorskip("transformers")

WORDS = ["<pad>", "<eos>", "<unk>", "dog", "bark", "gun", "shot"]


@pytest.fixture(scope="module", params=["siglip", "clip"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    with torchaudio_stand_in():
        classes = transformers.SiglipModel, transformers.CLIPModel
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = small | {"vocab_size": len(WORDS), "max_position_embeddings": 8, "eos_token_id": 1, "bos_token_id": None}
    vision = small | {"image_size": 28, "patch_size": 14}
    if request.param == "siglip":
        config = transformers.SiglipConfig(text_config=text | {"projection_size": 32}, vision_config=vision)
        network = classes[0](config)
    else:
        config = transformers.CLIPConfig(
            text_config=text | {"projection_dim": 24}, vision_config=vision | {"projection_dim": 24}, projection_dim=24
        )
        network = classes[1](config)
    path = tmp_path_factory.mktemp(request.param)
    network.save_pretrained(path)
    _tokenizer().save_pretrained(path)
    return path


def _tokenizer() -> transformers.PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )


def frames(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 56, 56, 3), dtype=np.uint8)


def test_stream_has_the_encoders_width_and_rate(folder: Path) -> None:
    vision = HubVision(str(folder))
    stream = extract_features([frames(30), frames(20)], [vision])["semantic"]
    assert stream.rate_hz == Fraction(8)
    assert stream.values.shape == (16, vision.dim)  # 2 s
    assert stream.values.norm(dim=-1).numpy() == pytest.approx(1.0, abs=2e-3)


def test_vectors_are_those_of_the_whole_network(folder: Path) -> None:
    """Against transformers' own joint model on pictures that need no resizing."""
    vision = HubVision(str(folder))
    pictures = frames(3)[:, :28, :28]
    pixels = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 255
    kind = vision.kind
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (kind.pixel_mean, kind.pixel_std))
    network = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        answer = network.get_image_features((pixels - mean) / std)
    whole = answer if isinstance(answer, torch.Tensor) else answer.pooler_output
    expected = torch.nn.functional.normalize(whole, dim=-1)
    assert torch.allclose(vision.encode(pictures), expected, atol=1e-5)


def test_text_rows_have_length_one_and_do_not_depend_on_company(folder: Path) -> None:
    text = HubText(str(folder))
    together = text.encode(["dog bark", "", "Gun Shot shot"])
    assert together.shape == (3, text.dim) and together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx([1, 0, 1], abs=1e-5)
    assert together[0] == pytest.approx(text.encode(["DOG  bark"])[0], abs=1e-5)
    assert np.abs(together[0] - together[2]).max() > 0.01


def test_resizing_keeps_a_plain_picture_plain() -> None:
    grey = torch.full((1, 3, 30, 50), 255, dtype=torch.uint8)
    assert torch.allclose(normalise_pictures(grey, 28, (0.5,) * 3, (0.5,) * 3), torch.ones(1, 3, 28, 28))


def test_resizing_blurs_before_it_shrinks() -> None:
    """A chequerboard of single pixels becomes grey; without antialiasing it stays black and white."""
    board = (torch.arange(64)[:, None] + torch.arange(64)[None]) % 2 * 255
    small = normalise_pictures(board.to(torch.uint8).expand(1, 3, 64, 64), 16, (0.5,) * 3, (0.5,) * 3)
    assert small[..., 2:-2, 2:-2].abs().max() < 0.05


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    transformers.BertConfig(hidden_size=8, num_attention_heads=1).save_pretrained(tmp_path)
    with pytest.raises(FoleyError, match="'bert'"):
        HubVision(str(tmp_path))


def test_missing_weights_are_an_error_to_act_on(tmp_path: Path) -> None:
    with pytest.raises(FoleyError) as error:
        HubVision(str(tmp_path / "nothing"))
    assert "hf download" in error.value.hint


def test_without_transformers_the_pip_command_is_named() -> None:
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "from foleycli.errors import FoleyError\n"
        "from foleycli.features.hub import HubText\n"
        "try: HubText('google/some-model')\n"
        "except FoleyError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout and "foleycli[hub]" in done.stdout


def test_a_models_config_names_hub_encoders(folder: Path, tmp_path: Path) -> None:
    from foleycli.models.model import load_part
    from foleycli.weights.config import ModelConfig

    config = ModelConfig(semantic=f"hub:{folder}", text=f"hub:{folder}")
    how = torch.device("cpu"), torch.float32
    vision, text = load_part(tmp_path, config, "semantic", *how), load_part(tmp_path, config, "text", *how)
    stream = extract_features([frames(25)], [vision])["semantic"]
    assert stream.values.shape == (8, vision.dim)
    assert text.encode(["dog bark"]).shape == (1, text.dim)
