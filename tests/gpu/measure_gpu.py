"""All measurements that need a GPU, as one script of at most six minutes on an H100.

    python tests/gpu/measure_gpu.py --out tests/gpu/results/NAME.json
    python tests/gpu/measure_gpu.py --device cpu --miniature --out small.json     # the same on any machine, in seconds

Each part is measured by itself, an error in one is written down and the next goes on; the file is written anew after
every part, so that nothing is lost when the time is over.  Weights are random where none ship: times are theirs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from foleycli.codecs.base import Codec
from foleycli.families import family_class
from foleycli.families.base import Family
from foleycli.families.mmaudio.config import NETWORKS, MMAudioConfig
from foleycli.families.salsav.config import SIZES, SalsaVConfig
from foleycli.families.vaura.config import VAuraConfig
from foleycli.hub.catalog import SHIPPED
from foleycli.models.model import load_model
from foleycli.models.random_weights import fill, random_model
from foleycli.records import Features, Stream
from foleycli.rendering import bench
from foleycli.settings.settings import Settings
from foleycli.timebase import steps_to_cover

TEXT_TOKENS = 77
MOST_S = 360.0  # of all parts together: later ones are left out when it is over
BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "plain": SDPBackend.MATH,
}


@dataclass(frozen=True)
class Machine:
    """Where it runs, and whether in miniature."""

    device: torch.device
    is_miniature: bool

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def seconds(self, work: Callable[[], object], repeats: int = 5) -> float:
        """Median seconds of some work, after a first time that does not count."""
        spent_s = []
        for _ in range(1 + (1 if self.is_miniature else repeats)):
            self.wait()
            began_s = time.perf_counter()
            work()
            self.wait()
            spent_s.append(time.perf_counter() - began_s)
        return round(median(spent_s[1:]), 5)

    def wait(self) -> None:
        """Until all work given to the device is done."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)


def build(machine: Machine, name: str, network: Any, dtype: torch.dtype) -> Family:
    """A family with random weights."""
    family = family_class(name).build_empty(network)
    family.network.to(dtype)
    fill(family.network, machine.device, torch.Generator(machine.device).manual_seed(0))
    return family


def sample(family: Family, seconds: float, settings: Settings, n_windows: int = 1) -> Tensor:
    """Windows of so many seconds, made at once from random features."""
    spec = family.spec
    generator = torch.Generator().manual_seed(0)
    n_steps = min(spec.window_steps, steps_to_cover(seconds, spec.latent_rate_hz))
    streams = {}
    for name, dim in spec.stream_dims.items():
        n_rows = steps_to_cover(n_steps / spec.latent_rate_hz, spec.stream_rates_hz[name]) + 1
        streams[name] = Stream(torch.randn(n_rows, dim, generator=generator), spec.stream_rates_hz[name])
    shape = (TEXT_TOKENS, spec.text_dim) if spec.name == "mmaudio" else (spec.text_dim,)
    features = Features(streams, torch.randn(shape, generator=generator))
    return family.sample(
        features=[features] * n_windows,
        known=torch.zeros(n_windows, n_steps, spec.latent_dim),
        is_known=torch.zeros(n_windows, n_steps, dtype=torch.bool),
        settings=settings,
        rngs=[torch.Generator().manual_seed(k) for k in range(n_windows)],
    )


@contextmanager
def tf32(is_on: bool) -> Iterator[None]:
    """Float32 products by TF32 or exactly."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if is_on else "highest")
    torch.backends.cudnn.allow_tf32 = is_on
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def gpu_tests(machine: Machine) -> dict[str, Any]:
    """Every test that is marked `gpu`."""
    if not machine.is_cuda:
        return {"left_out": "they need CUDA"}
    args = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(args, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return {"exit_code": done.returncode, "said": done.stdout.splitlines()[-20:]}


def stages(machine: Machine) -> dict[str, Any]:
    """`foley bench` of whole renders of the demo: what ships, and published models with random weights."""
    device, clip = str(machine.device), SHIPPED / "demo.mp4"
    plans: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
        "salsav-mini": (lambda: load_model(SHIPPED / "salsav-mini", device), (4, 8, 32)),
        "mmaudio-large-44k-v2": (lambda: random_model("mmaudio-large-44k-v2", device), (25,)),
        "vaura": (lambda: random_model("vaura", device), (1,)),
    }
    if machine.is_miniature:
        plans = {"salsav-mini": (plans["salsav-mini"][0], (1,))}
    return {name: asdict(bench.run(clip, load, steps)) for name, (load, steps) in plans.items()}


def salsav_large(machine: Machine) -> dict[str, Any]:
    """The sampler of `large` for 10 s at 8 steps with guidance: precisions, kernels of attention, graphs, batches."""
    network = SIZES["mini" if machine.is_miniature else "large"].to_dict()
    seconds, settings = (1.0, Settings(steps=1)) if machine.is_miniature else (10.0, Settings(steps=8, guidance=4.0))
    found: dict[str, Any] = {"network": network, "seconds": seconds, "steps": settings.steps}

    def timed(family: Family, n_windows: int = 1) -> Any:
        return attempt(lambda: machine.seconds(lambda: sample(family, seconds, settings, n_windows)))

    family = build(machine, SalsaVConfig.family, network, torch.float32)
    for name, is_on in (("float32", False), ("tf32", True)):
        with tf32(is_on):
            found[name] = timed(family)
    family = build(machine, SalsaVConfig.family, network, torch.bfloat16)
    found["bfloat16"] = timed(family)
    for name, backend in BACKENDS.items() if machine.is_cuda else ():
        with sdpa_kernel([backend]):
            found[f"bfloat16, {name} attention"] = timed(family)
    for n in (1, 2) if machine.is_miniature else (1, 2, 4, 8):
        spent_s = timed(family, n)
        found[f"bfloat16, {n} windows at once, each"] = spent_s / n if isinstance(spent_s, float) else spent_s
    if machine.is_cuda:
        with graphed(family):
            found["bfloat16, CUDA graph of a step"] = timed(family)
    for mode in ("default", "reduce-overhead") if machine.is_cuda else ():
        family = build(machine, SalsaVConfig.family, network, torch.bfloat16)
        family.network.compile(mode=mode)
        found[f"bfloat16, compiled, {mode}"] = timed(family)
        torch.compiler.reset()
    return found


@contextmanager
def graphed(family: Any) -> Iterator[None]:
    """The network's step replayed as a CUDA graph, captured when it first runs; inputs are copied to its places."""
    network = family.network
    plain, captured = network.forward, []

    def replayed(*inputs: Any) -> Tensor:
        tensors = [value for each in inputs for value in (each, *vars(each).values()) if isinstance(value, Tensor)]
        if not captured:
            places = {id(value): value.clone() for value in tensors}
            still = [
                replace(each, **{name: places[id(value)] for name, value in vars(each).items()})
                if is_dataclass(each)
                else places[id(each)]
                for each in inputs
            ]
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):  # a first run finds workspaces, which a capture must not allocate
                plain(*still)
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                answer = plain(*still)
            captured.append((graph, list(places.values()), answer))
        graph, kept, answer = captured[0]
        for place, value in zip(kept, tensors, strict=True):
            place.copy_(value)
        graph.replay()
        return answer.clone()

    network.forward = replayed
    try:
        yield
    finally:
        network.forward = plain


def codecs(machine: Machine) -> dict[str, Any]:
    """Latents to 10 s of sound in several precisions, and how far each is from float32."""
    from foleycli.codecs.dacvae import DacVae, DacVaeConfig
    from foleycli.codecs.melvae import load

    seconds = 1.0 if machine.is_miniature else 10.0
    built: dict[str, Any] = {"mel-mini": load(SHIPPED / "mel-mini", machine.device, False)}
    if not machine.is_miniature:
        dac = DacVae(DacVaeConfig(), with_codes=False)
        fill(dac, machine.device, torch.Generator(machine.device).manual_seed(0))
        built["dac-vae, random"] = dac
    return {name: codec_precisions(machine, codec, seconds) for name, codec in built.items()}


def codec_precisions(machine: Machine, codec: Codec, seconds: float) -> dict[str, Any]:
    """Seconds of decoding, and the signal-to-noise ratio against float32, by precision."""
    n_steps = steps_to_cover(seconds, codec.latent_rate_hz)
    latents = torch.randn(1, n_steps, codec.latent_dim, generator=torch.Generator().manual_seed(0)).to(machine.device)
    found, wanted = {}, None
    for name, is_on, dtype in (("float32", False, None), ("tf32", True, None), ("bfloat16", True, torch.bfloat16)):
        short = torch.autocast(machine.device.type, dtype) if dtype else nullcontext()
        with tf32(is_on), short, torch.inference_mode():
            sound = codec.decode(latents).float()
            wanted = sound if wanted is None else wanted
            noise = (sound - wanted).square().sum()
            found[name] = {
                "seconds": machine.seconds(lambda: codec.decode(latents)),
                "snr_db": round(float(10 * torch.log10(wanted.square().sum() / noise.clamp_min(1e-20))), 1),
            }
    return found


def copies(machine: Machine) -> dict[str, Any]:
    """A chunk of pictures to the device, from ordinary and from pinned memory."""
    if not machine.is_cuda:
        return {"left_out": "they need CUDA"}
    frames = torch.randint(0, 256, (50, 224, 224, 3), dtype=torch.uint8)
    pinned = frames.pin_memory()
    return {
        "bytes": frames.nbytes,
        "ordinary_s": machine.seconds(lambda: frames.to(machine.device), 20),
        "pinned_s": machine.seconds(lambda: pinned.to(machine.device, non_blocking=True), 20),
        "pinning_s": machine.seconds(lambda: frames.pin_memory(), 20),
    }


MINIATURES = {
    "mmaudio": MMAudioConfig(
        latent_dim=20, width=64, n_heads=2, n_joint=2, n_fused=1, latent_rate_hz=NETWORKS["small_16k"].latent_rate_hz,
        window_steps=250, clip_dim=32, sync_dim=24, text_dim=32,
    ),
    "vaura": VAuraConfig(
        width=192, n_heads=2, n_layers=2, codebook_size=16, visual_width=64, visual_dim=64, top_k=8, window_steps=55,
    ),
}  # fmt: skip


def published(machine: Machine) -> dict[str, Any]:
    """Samplers of published networks: MMAudio-L for 8 s at 25 steps, V-AURA for 2.56 s."""
    plans = {
        "mmaudio": ("large_44k_v2", 8.0, Settings(steps=25, guidance=4.5)),
        "vaura": (VAuraConfig().to_dict(), 2.56, Settings(guidance=6.0)),
    }
    found: dict[str, Any] = {}
    for name, (network, seconds, settings) in plans.items():
        if machine.is_miniature:
            network, seconds, settings = MINIATURES[name].to_dict(), 0.4, Settings(steps=1)
        for dtype in (torch.bfloat16,) if machine.is_miniature else (torch.float32, torch.bfloat16):
            family = build(machine, name, network, dtype)
            label = f"{name}, {str(dtype).removeprefix('torch.')}"
            found[label] = attempt(
                lambda f=family, s=seconds, how=settings: machine.seconds(lambda: sample(f, s, how), 3)
            )
            del family
    return found


def attempt(work: Callable[[], Any]) -> Any:
    """What it gives, or the error that it ended with."""
    try:
        return work()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}


PARTS: dict[str, Callable[[Machine], dict[str, Any]]] = {
    "salsav_large": salsav_large,
    "codecs": codecs,
    "published": published,
    "copies": copies,
    "stages": stages,
    "gpu_tests": gpu_tests,
}


def main(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The results, JSON.")],
    device: str = "cuda",
    miniature: Annotated[bool, typer.Option("--miniature", help="Everything as small as it goes.")] = False,
    minutes: Annotated[float, typer.Option(help="After which no further part begins.")] = MOST_S / 60,
    parts: Annotated[list[str] | None, typer.Option("--part", help="Only these; may be repeated.")] = None,
) -> None:
    """Measure every part, and write down what came of it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    machine = Machine(torch.device(device), miniature)
    facts: dict[str, Any] = {
        "device": torch.cuda.get_device_name(machine.device) if machine.is_cuda else device,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "miniature": miniature,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "parts": {},
    }
    began_s = time.perf_counter()
    for name, part in PARTS.items():
        if parts and name not in parts:
            continue
        if time.perf_counter() - began_s > 60 * minutes:
            facts["parts"][name] = {"left_out": "the time was over"}
            _write(out, facts)
            continue
        part_began_s = time.perf_counter()
        try:
            found = part(machine)
        except Exception as error:
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        facts["parts"][name] = {**found, "took_s": round(time.perf_counter() - part_began_s, 2)}
        _write(out, facts)


def _write(out: Path, facts: dict[str, Any]) -> None:
    out.write_text(json.dumps(facts, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
