"""Trains the rescorer (see `detection.rescorer`) on a localizer's candidates in labelled radiographs. Needs the extra `train`.

The examples are the candidates of the localizer and of the text detector, most of them wrong, and the labelled elements, slightly displaced.
A candidate is an annotation if it is mostly inside a labelled one or agrees with it (`AGREES`), and background if it touches none or is far too large for those that it
touches (`LOOSE`); the others, and those that touch `uncertain` regions only, are not used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import boxes
from ..detection import localizer, rescorer, text_detector, views
from ..detection.operating_point import logit, sigmoid
from ..errors import UsageError
from ..labels import labelled_folder
from ..records import UNCERTAIN, Annotation, locked
from ..second_pass import stroke_network
from ..system.files import sha256_file
from ..system.wording import counted
from . import localizer_files, train_localizer

FLOOR = 0.01  # lowest raw localizer score of a candidate
AGREES, INSIDE = 0.4, 0.5  # IoU with an element, and share of a box inside one, above which it is an annotation
LOOSE = 0.25  # share of a box inside all elements together below which it is background although it touches one
JITTER = 0.06  # standard deviation of the displacement of a labelled box's sides, as a fraction of its size
DOUBTFUL = 0.2  # raw score of the localizer, or probability of text, above which a candidate on background is drawn more often
DOUBTFUL_WEIGHT = 4.0  # factor by which it is drawn more often
HELD_OUT = 0.2  # share of patients held out for fitting the weights of the two networks' scores
SMOOTHING = 0.02  # label smoothing of the targets
BATCH = 128  # examples per step
TUNE_STEPS, TUNE_RATE = 100, 3e-4  # steps and learning rate for tuning a trained rescorer; few, so that it forgets little


@dataclass(frozen=True)
class Examples:
    """windows: (N, 3, SIDE, SIDE) uint8, see `rescorer.windows`.  is_annotation: (N,) bool.  scores: (N,) raw localizer scores, NaN
    for labelled boxes.  groups: (N,) index of the data folder.  held_out: (N,) bool, whether the patient is held out.
    texts: (N,) probability of text in the box, see `text_detector.TextMap.at`; NaN where no text detector ran."""

    windows: np.ndarray
    is_annotation: np.ndarray
    scores: np.ndarray
    groups: np.ndarray
    held_out: np.ndarray
    texts: np.ndarray

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            object.__setattr__(self, name, locked(getattr(self, name)))

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """Examples of several sets as one, in order."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def train(
    onnx: Path | str, data: Sequence[Path | str], *, shares: Sequence[float] | None = None, passes: int = 400_000, networks: int = 1,
    limit: int = 1500, seed: int = 0, say: Callable[[str], None] = print,
) -> Path:
    """Train a rescorer for a localizer and enter it in the localizer's card, with the text detector whose candidates it judges, too; the
    calibration there is dropped (see `train_localizer.fit_operating_point`).

    It is trained twice: first without `HELD_OUT` of the patients, on whose candidates the weights of both scores are then fitted, and again
    on all patients.

    Args:
        onnx: the localizer with its card; `rescorer.onnx` is written beside it.
        data: LabelMe folders.  shares: how often each is drawn; by its number of images if None.
        passes: number of examples for each network in each of the two trainings.
        networks: number of networks with different random seeds, whose mean is the result.
        limit: highest number of images per folder, evenly spaced.
        say: called with progress, one line at a time.

    Returns:
        The rescorer's file.

    Raises:
        UsageError: the extra `train` is missing, or there are no candidates of both kinds.
    """
    onnx = Path(onnx)
    card = {k: v for k, v in json.loads(onnx.with_suffix(".json").read_text(encoding="utf-8")).items()
            if k not in ("beside_marker", "rescorer", "text_detector", "calibration", "curve", "operating_point")}
    card.setdefault("tiling", views.usual(int(card["image_size"])))
    rng = np.random.default_rng(seed)
    folders = [_picked(labelled_folder.load_samples(Path(folder), "train"), limit) for folder in data]
    localizer_files.rewrite_card(onnx, card)
    text, strokes = {"text_detector": text_detector.shipped_facts()}, {"strokes": stroke_network.shipped_facts()}
    try:
        localizer_files.rewrite_card(onnx, card | text)
        examples = gather(localizer.load_detector(onnx, device="cpu"), folders, rng)
        facts = _taught(onnx, examples, folders, shares, passes, networks, rng, say)
    except BaseException:  # a localizer without a rescorer has no use for candidates of text
        localizer_files.rewrite_card(onnx, card)
        raise
    localizer_files.rewrite_card(onnx, {**card, **text, **strokes, "rescorer": {**facts, "seed": seed}})
    return onnx.with_name(str(facts["file"]))


def _taught(
    onnx: Path, examples: Examples, folders: Sequence[Sequence[labelled_folder.Sample]], shares: Sequence[float] | None, passes: int, networks: int,
    rng: np.random.Generator, say: Callable[[str], None],
) -> dict[str, Any]:
    """Train a rescorer, write it beside the localizer and return what the card says of it."""
    weights = np.array([len(f) for f in folders] if shares is None else shares, float)
    say(f"{counted(len(examples.is_annotation), 'example')}, of which annotations: {int(examples.is_annotation.sum())}")
    partial_network = fit(examples, weights, passes, networks, rng, say, examples.held_out)
    score_weights = weigh(examples, partial_network)
    say(f"on held-out patients: {score_weights}")
    target = onnx.with_name("rescorer.onnx")
    write_onnx(fit(examples, weights, passes, networks, rng, say), target)
    return {"file": target.name, "sha256": sha256_file(target), "floor": FLOOR, **score_weights, "passes": passes, "networks": networks}


def tune(source: Path, examples: Examples, target: Path, *, steps: int = TUNE_STEPS, seed: int = 0) -> None:
    """Train an ONNX rescorer on further examples and write it to `target`; the weights of both scores do not change.

    Raises:
        UsageError: the extra `train` is missing, or the file holds no network like those that `train` writes.
    """
    import torch

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(train_localizer.THREADS)
    network = load(source).train()
    optimizer = torch.optim.AdamW(network.parameters(), TUNE_RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, TUNE_RATE, steps)
    chances = _chances(examples, np.ones(int(examples.groups.max()) + 1), None)
    _steps(network, optimizer, schedule, examples, chances, steps, rng, lambda line: None)
    write_onnx(network.eval(), target)


def join(sources: Sequence[Path], target: Path) -> None:
    """Write several ONNX rescorers of one localizer as one, whose logit is the mean of theirs.

    Raises:
        UsageError: as for `load`, or there is no source.
    """
    networks = [network for source in sources for network in load(source).networks]
    if not networks:
        raise UsageError("no rescorer to join")
    write_onnx(_mean(networks), target)


def _picked(samples: list, limit: int) -> list:
    return samples[:: max(1, len(samples) // limit)][:limit]


def gather(detector: localizer.Detector, folders: Iterable[Sequence[labelled_folder.Sample]], rng: np.random.Generator) -> Examples:
    """The examples of some labelled images. The detector must have no rescorer and no calibration.

    Raises:
        UsageError: the candidates are not of both kinds."""
    columns: tuple[list, ...] = ([], [], [], [], [], [])
    for group, samples in enumerate(folders):
        for sample in samples:
            display = labelled_folder.read_grey(sample.path)
            detections, text = detector.candidates(display, FLOOR)
            kinds = np.array([kind_of(box, sample.annotation) for box in detections.xyxy.astype(np.float64)], dtype=int)
            taught = np.array([e.xyxy for e in sample.annotation.elements if e.kind != UNCERTAIN], np.float64).reshape(-1, 4)
            size = np.tile(taught[:, 2:] - taught[:, :2], 2)
            xyxy = np.concatenate([detections.xyxy[kinds >= 0], taught + rng.normal(0, JITTER, taught.shape) * size])
            columns[0].append(rescorer.windows(display, xyxy))
            columns[1].append(np.concatenate([kinds[kinds >= 0] > 0, np.ones(len(taught), bool)]))
            columns[2].append(np.concatenate([detections.scores[kinds >= 0], np.full(len(taught), np.nan)]))
            columns[3].append(np.full(len(xyxy), group))
            columns[4].append(np.full(len(xyxy), labelled_folder.share_of(sample.patient) < HELD_OUT))
            columns[5].append(np.full(len(xyxy), np.nan) if text is None else text.at(xyxy))
    examples = Examples(*(np.concatenate(column) for column in columns))
    if not examples.is_annotation.any() or examples.is_annotation.all():
        raise UsageError("the localizer's candidates in DATA are all annotations or none are: there is nothing to learn")
    return examples


def kind_of(box: np.ndarray, annotation: Annotation) -> int:
    """1 for an annotation, 0 for background, -1 for neither; box: (4,) xyxy source pixels."""
    elements = np.array([e.xyxy for e in annotation.elements], np.float64).reshape(-1, 4)
    is_certain = np.array([e.kind != UNCERTAIN for e in annotation.elements], bool)
    shared = boxes.intersection(box[None], elements)[0]
    if not (shared > 0).any():
        return 0
    area = boxes.area(box[None])[0]
    agrees = (boxes.iou(box[None], elements)[0] > AGREES) | (shared > INSIDE * area)
    if (agrees & is_certain).any():
        return 1
    return 0 if shared.sum() < LOOSE * area and not (shared[~is_certain] > 0).any() else -1


def fit(
    examples: Examples, shares: np.ndarray, passes: int, networks: int, rng: np.random.Generator, say: Callable[[str], None],
    without: np.ndarray | None = None,
):
    """Networks trained on the examples except those in `without` (N,) bool, as one torch module in evaluation mode."""
    import torch

    torch.manual_seed(int(rng.integers(2**31)))
    torch.set_num_threads(train_localizer.THREADS)
    chances = _chances(examples, shares, without)
    return _mean([_one(examples, chances, max(1, passes // BATCH), rng, say) for _ in range(networks)])


def _one(examples: Examples, chances: np.ndarray, steps: int, rng: np.random.Generator, say: Callable[[str], None]):
    """One network trained for `steps` steps."""
    import torch

    network = _network()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    _steps(network, optimizer, schedule, examples, chances, steps, rng, say)
    return network


def _steps(network, optimizer, schedule, examples: Examples, chances: np.ndarray, steps: int, rng: np.random.Generator, say) -> None:
    import torch

    targets = torch.from_numpy(examples.is_annotation.astype(np.float32) * (1 - SMOOTHING) + SMOOTHING / 2)
    mean = 0.0
    for step in range(steps):
        batch = rng.choice(len(chances), BATCH, p=chances)
        answer = network(torch.from_numpy(_varied(rng, examples.windows[batch])))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(answer, targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean += (float(loss.detach()) - mean) * max(0.02, 1 / (step + 1))
        if step % 500 == 0:
            say(f"  step {step} of {steps}: loss {mean:.3f}")


def _chances(examples: Examples, shares: np.ndarray, without: np.ndarray | None) -> np.ndarray:
    """(N,) probability of each example: annotations and background are drawn equally often, confident errors more often."""
    chances = np.zeros(len(examples.is_annotation))
    doubtful = np.nan_to_num(np.fmax(examples.scores, examples.texts)) > DOUBTFUL
    weight = np.where(~examples.is_annotation & doubtful, DOUBTFUL_WEIGHT, 1.0)
    taught = np.ones(len(chances), bool) if without is None else ~without
    for group, share in enumerate(shares / shares.sum()):
        for kind in (True, False):
            part = (examples.groups == group) & (examples.is_annotation == kind) & taught
            if part.any():
                chances[part] = share * weight[part] / weight[part].sum()
    return chances / chances.sum()


def load(onnx: Path):
    """The networks of a file from `write_onnx`, as one torch module in evaluation mode. The export has folded the batch normalisation into the
    convolutions.

    Raises:
        UsageError: the file is not from `write_onnx`.
    """
    import onnx as onnx_format
    import torch

    graph = onnx_format.load(str(onnx)).graph
    values = {entry.name: torch.from_numpy(onnx_format.numpy_helper.to_array(entry).copy()) for entry in graph.initializer}
    values.update({node.output[0]: values[node.input[0]] for node in graph.node if node.op_type == "Identity" and node.input[0] in values})
    convolutions, heads = ([node.input[1:3] for node in graph.node if node.op_type == kind] for kind in ("Conv", "Gemm"))
    networks = []
    try:
        for k, head in enumerate(heads):
            network = _network(normalised=False)
            layers = [*(m for m in network.features.modules() if isinstance(m, torch.nn.Conv2d)), network.head]
            for layer, names in zip(layers, [*convolutions[k * (len(layers) - 1) :][: len(layers) - 1], head], strict=True):
                layer.load_state_dict(dict(zip(("weight", "bias"), (values[name] for name in names), strict=True)))
            networks.append(network)
    except (KeyError, ValueError, RuntimeError) as error:
        raise UsageError(f"{onnx}: not a rescorer as this version teaches it ({type(error).__name__})") from error
    if not networks or len(convolutions) != len(networks) * (len(layers) - 1):
        raise UsageError(f"{onnx}: not a rescorer as this version teaches it")
    return _mean(networks)


def _network(normalised: bool = True):
    """Six convolutions, then mean and maximum over the remaining area; about 265,000 weights."""
    import torch

    def block(inputs: int, outputs: int, stride: int):
        normalisation = torch.nn.BatchNorm2d(outputs) if normalised else torch.nn.Identity()
        return torch.nn.Sequential(
            torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not normalised), normalisation, torch.nn.ReLU(inplace=True)
        )

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = torch.nn.Sequential(
                block(3, 24, 2), block(24, 48, 2), block(48, 48, 1), block(48, 96, 2), block(96, 96, 1), block(96, 128, 2)
            )
            self.drop, self.head = torch.nn.Dropout(0.2), torch.nn.Linear(256, 1)

        def forward(self, pictures):
            features = self.features(pictures)
            return self.head(self.drop(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1)))[:, 0]

    return Network()


def _mean(networks: list):
    """Several networks as one with their mean output."""
    import torch

    class Mean(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.networks = torch.nn.ModuleList(networks)

        def forward(self, pictures):
            return torch.stack([network(pictures) for network in self.networks]).mean(0)

    return Mean().eval()


def _varied(rng: np.random.Generator, pictures: np.ndarray) -> np.ndarray:
    """(N, 3, SIDE, SIDE) float32 0–1: tone, inversion and noise varied per picture; flips, transpositions and shifts per batch."""
    n = len(pictures)
    x, box = pictures[:, :2].astype(np.float32) / 255, pictures[:, 2:].astype(np.float32) / 255
    low, gain, gamma = rng.uniform(-0.1, 0.12, (n, 1, 1, 1)), rng.uniform(0.75, 1.3, (n, 1, 1, 1)), np.exp(rng.uniform(-0.5, 0.5, (n, 1, 1, 1)))
    x = np.clip((x - low) * gain, 0, 1) ** gamma
    inverted = rng.random(n) < 0.08
    x[inverted] = 1 - x[inverted]
    x = x + rng.normal(0, 1, x.shape) * rng.uniform(0, 0.03, (n, 1, 1, 1)) * (rng.random((n, 1, 1, 1)) < 0.3)
    x = np.concatenate([x, box], axis=1)
    if rng.random() < 0.5:
        x = x[..., ::-1]
    if rng.random() < 0.3:
        x = x.swapaxes(2, 3)
    return np.ascontiguousarray(np.roll(x, tuple(rng.integers(-2, 3, 2)), (2, 3)), dtype=np.float32)


def weigh(examples: Examples, network) -> dict[str, Any]:
    """The weights of the joint score by maximum likelihood, on the held-out candidates: `localizer`, `rescorer` and `offset`, and, where a
    text detector ran, `with_text`, the same with `text`."""
    part = examples.held_out & np.isfinite(examples.scores)
    positive = examples.is_annotation[part]
    if not positive.any() or positive.all():
        raise UsageError("the held-out patients have no candidates of both kinds: more labelled images are needed")
    by_localizer, by_window = logit(examples.scores[part].astype(np.float64)), _answers(network, examples.windows[part])
    weights: dict[str, Any] = _most_likely({"localizer": by_localizer, "rescorer": by_window}, positive)
    if np.isfinite(texts := examples.texts[part]).all():
        weights["with_text"] = _most_likely({"localizer": by_localizer, "rescorer": by_window, "text": rescorer.of_text(texts)}, positive)
    return weights


def _most_likely(logits: Mapping[str, np.ndarray], positive: np.ndarray) -> dict[str, float]:
    """A weight of 0 or more for each of some logits, (N,) each, and `offset`, of the logistic regression of `positive`, (N,) bool."""
    from scipy.optimize import minimize

    x = np.stack([*logits.values(), np.ones(len(positive))])

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = w @ x
        return float((np.logaddexp(0, z) - positive * z).sum()), x @ (sigmoid(z) - positive)

    limits = [(0, None)] * len(logits) + [(None, None)]  # no score may count against a box
    fitted = minimize(loss, np.array([*[0.5] * len(logits), 0.0]), jac=True, method="L-BFGS-B", bounds=limits).x
    return {name: round(float(value), 4) for name, value in zip((*logits, "offset"), fitted)}


def _answers(network, pictures: np.ndarray) -> np.ndarray:
    import torch

    with torch.inference_mode():
        parts = (pictures[i : i + 512].astype(np.float32) / 255 for i in range(0, len(pictures), 512))
        return np.concatenate([network(torch.from_numpy(part)).numpy() for part in parts]).astype(np.float64)


def write_onnx(network, target: Path) -> None:
    """The network as ONNX: input `windows` (N, 3, SIDE, SIDE) float32 in 0–1, output `logits` (N,)."""
    import torch

    torch.onnx.export(
        network, (torch.zeros(2, 3, rescorer.SIDE, rescorer.SIDE),), str(target), input_names=["windows"], output_names=["logits"],
        dynamic_axes={"windows": {0: "n"}, "logits": {0: "n"}}, opset_version=17, dynamo=False,
    )
