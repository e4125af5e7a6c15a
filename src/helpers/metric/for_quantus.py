"""Quantus' monotonicity correlation with another inside: who uses Quantus changes one import.

Chapter: notebooks/12_engine.md
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any
from warnings import warn

import numpy as np
import quantus
import torch
from quantus.functions.normalise_func import normalise_by_max
from quantus.functions.perturb_func import batch_baseline_replacement_by_indices as _REPLACE
from quantus.functions.similarity_func import correlation_spearman
from quantus.helpers.utils import expand_attribution_channel
from torch import Tensor, nn

from helpers import InputError
from helpers.metric import blocking, correlation, forward, known, perturbation
from helpers.networks import devices


class MonotonicityCorrelation(quantus.MonotonicityCorrelation):  # type: ignore[misc]  # Quantus calls it final
    """`quantus.MonotonicityCorrelation` of Quantus 0.6.0: the same options, faster, without its faults.

    Every option of the constructor and of the call means what it means there, and `quantus.evaluate` takes the class
    too. The network is any torch classifier; inputs are (clips, channels, rows, columns), (clips, channels, length) or
    (clips, features); a map for one channel counts for each. The faults of Quantus 0.6.0, most of which
    `book/quantus.md` shows, and what happens here:

    - A probability below `eps` stops its batch: each clip has its own factor.
    - A constant map, or a clip on which no block has an effect, stops the call or not, by its place: NaN, also alone.
      Probabilities are float64, so that fewer of a network that is almost sure are exactly 1.
    - NaN in a map spoils all maps of the call: only its clip has no score, as with NaN in an input. The mean over
      clips is then NaN as well; `aggregate_func=np.nanmean` leaves it out.
    - Maps that are all negative are scored among others, refused by themselves: they are scored.
    - The order of ties depends on the processor: `order="stable"`. A map for one channel ties the channels, so that
      this order counts wherever a step is no multiple of their number.
    - A score depends on the clips beside it, even with a seed: no draws, unless `points=None`, and each map is divided
      by its own maximum.
    - "uniform" is one number for all cells of a block: here too. It is what makes a quadrature possible.
    - The factor 1/p^2 does not reach a rank correlation: kept, because another `similarity_func` may see it.
    - Each draw is compared with the input for a warning, wanted or not: one warning a batch, and none if not wanted.
    - Networks stay in memory: none is kept.
    - `features_in_step` must divide the cells of a channel: any step; the last block, the strongest, may be smaller.
    - In inputs of whole numbers a replacement is cut to a whole number: inputs are made floats.
    - With `softmax=False` a softmax at the end of a nested network stays: it is removed.
    - `model_predict_kwargs` stop the call where Quantus adds a softmax: they reach the network.
    - An area under a curve needs an older numpy: this metric has none.

    Chapter: notebooks/12_engine.md
    """

    def __init__(self, *given: Any, points: int | None = 2, order: str = "stable", **options: Any) -> None:
        """Take the options of `quantus.MonotonicityCorrelation`, and two. Higher scores are better.

        Parameters
        ----------
        points : of the quadrature that stands for the draws from "uniform": the score that more and more draws tend
            to, the same in every call, whatever `nr_samples` is. Two are near enough from 0 to 1; wider bounds
            (`uniform_low`, `uniform_high` in `perturb_func_kwargs`) want more. None takes `nr_samples` draws of
            Quantus' own, from numpy's global generator and in Quantus' order: after `np.random.seed` the score is
            Quantus' to rounding. A `perturb_func` that is not Quantus' own is called `nr_samples` times, as Quantus
            does, whatever `points` is; another baseline than "uniform" once, because all draws are equal.
        order : of tied cells. "stable": that of `blocking.rank_blocks`, with the channels one below the other; cells
            of a column that only the resize of a map tells apart are tied. "stock": numpy's default sort, as Quantus.

        Raises
        ------
        InputError
            The order is unknown, or there is no point.

        Chapter: notebooks/12_engine.md
        """
        super().__init__(*given, **options)
        if points is not None and points < 1:
            raise InputError(f"points is {points}; give a whole number from 1, or None for Quantus' own draws")
        self.points, self.order = points, known("order", order, blocking.ORDERS)
        if self.normalise_func is normalise_by_max:
            self.normalise_func = _by_own_maximum

    def general_preprocess(self, **given: Any) -> dict[str, Any]:  # type: ignore[misc,override]
        """What Quantus prepares, without its refusal of maps whose clips have no score.

        Chapter: notebooks/12_engine.md
        """
        model, maps = given["model"], given["a_batch"]
        if not isinstance(model, nn.Module):
            raise InputError(
                f"model is a {type(model).__name__}; give a torch network, or take Quantus' own class for it"
            )
        if model.training:
            raise InputError("network is in training mode; call network.eval() before scoring")
        if maps is not None:  # Quantus is told that a function makes them, and leaves them to us
            given |= {"a_batch": None, "explain_func": given["explain_func"] or quantus.explain}
        data: dict[str, Any] = super().general_preprocess(**given)
        if not data["model"].channel_first:
            raise InputError("x_batch has its channels last; torch takes them first: give np.moveaxis(x_batch, -1, 1)")
        return data if maps is None else data | {"a_batch": self._prepared(maps, data["x_batch"])}

    def custom_preprocess(self, x_batch: np.ndarray, **_: Any) -> None:
        """Any step that an input has cells for.

        Chapter: notebooks/12_engine.md
        """
        cells = int(np.prod(x_batch.shape[1:]))
        if not 1 <= self.features_in_step <= cells:
            raise InputError(f"features_in_step is {self.features_in_step}; give 1 to {cells}, the cells of an input")

    def generate_batches(self, data: dict[str, Any], batch_size: int) -> Any:  # type: ignore[misc]
        """Tell each batch how many inputs the network may be given at a time.

        Chapter: notebooks/12_engine.md
        """
        return super().generate_batches(data | {"at_a_time": batch_size}, batch_size)

    def explain_batch(self, model: Any, x_batch: np.ndarray, y_batch: np.ndarray) -> np.ndarray:  # type: ignore[misc]
        """Maps from `explain_func`, prepared as those that are given.

        Chapter: notebooks/12_engine.md
        """
        made = self.explain_func(model=model.get_model(), inputs=x_batch, targets=y_batch, **self.explain_func_kwargs)
        return self._prepared(made, x_batch)

    def _prepared(self, maps: np.ndarray, x: np.ndarray) -> np.ndarray:
        maps = expand_attribution_channel(np.asarray(maps), x)
        try:
            np.broadcast_to(maps, x.shape)
        except ValueError:
            raise InputError(f"a_batch has shape {maps.shape}; give {x.shape}, or 1 in place of the channels") from None
        maps = self.normalise_func(maps) if self.normalise and self.normalise_func else maps
        return np.abs(maps) if self.abs else maps

    def evaluate_batch(
        self, model: Any, x_batch: np.ndarray, y_batch: np.ndarray, a_batch: np.ndarray, at_a_time: int = 64, **_: Any
    ) -> list[float]:
        """Scores of one batch: (clips,), NaN where a clip has none.

        Chapter: notebooks/12_engine.md
        """
        x = x_batch if np.issubdtype(x_batch.dtype, np.floating) else x_batch.astype(np.float32)
        y, maps = np.asarray(y_batch), np.broadcast_to(a_batch, x.shape)
        network, softmax = _network(model)
        ask = partial(_answers, network, device=model.device, options=model.model_predict_kwargs)
        clean = ask(x)
        if y.shape != (len(x),) or y.min() < 0 or y.max() >= clean.shape[1]:
            raise InputError(
                f"y_batch has shape {y.shape}, from {y.min()} to {y.max()}; "
                f"give one class per clip, ({len(x)},), from 0 to {clean.shape[1] - 1}"
            )
        usable = torch.isfinite(clean).all(dim=1).numpy()
        for values in (x, maps):
            usable &= np.isfinite(values).reshape(len(x), -1).all(axis=1)
        blocks, given = self._blocks(maps)
        if softmax and self._bounds() == (0, 1) and not model.model_predict_kwargs and _windowable(network, x):
            effects = self._windowed(network, x, y, blocks, usable, batch=at_a_time)
        else:
            effects = self._effects(ask, x, y, blocks, clean, softmax=softmax, batch=at_a_time)
        if not self._disable_warnings and (effects == 0).any():
            warn(f"{(effects == 0).sum()} of {effects.size} blocks changed nothing; see perturb_baseline", stacklevel=2)
        effects *= self._factor(clean, y, softmax=softmax)[:, None]
        scores = np.full(len(x), np.nan)
        if usable.any():
            scores[usable] = self._similarity(given[usable], effects[usable])
        return scores.tolist()

    def _blocks(self, maps: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """The cells of each block, (clips, cells), weakest block first, and what maps give them, (clips, blocks)."""
        stable = self.order == "stable"
        cells = maps.reshape(len(maps), -1)
        if stable:  # the channels one below the other; with the signs that stay when `abs` is False
            grid = maps.reshape(len(maps), -1, maps.shape[-1]).astype(np.float64)
            cells = (blocking.tied(np.maximum(grid, 0)) - blocking.tied(np.maximum(-grid, 0))).reshape(cells.shape)
        ranked = np.argsort(cells, axis=1, kind="stable" if stable else None)
        step = self.features_in_step
        blocks = [ranked[:, at : at + step] for at in range(0, cells.shape[1], step)]
        given = np.stack([np.take_along_axis(cells, block, axis=1).sum(axis=1) for block in blocks], axis=1)
        return blocks, blocking.merged(given, share=blocking.SUM) if stable else given

    def _stock_change(self) -> str | None:
        """The baseline of a change by Quantus' own `perturb_func`, None if it is another's."""
        change: Any = self.perturb_func
        return str(change.keywords["perturb_baseline"]).lower() if change.func is _REPLACE else None

    def _bounds(self) -> tuple[float, float] | None:
        """Between which values "uniform" is integrated; None where a block is changed as Quantus changes it."""
        change: Any = self.perturb_func
        if self.points is None or self._stock_change() != "uniform":
            return None
        return change.keywords.get("uniform_low", 0.0), change.keywords.get("uniform_high", 1.0)

    def _changes(self) -> list[tuple[Callable[..., np.ndarray], float]]:
        """The ways in which a block is changed, each with its weight in the mean effect."""
        if self.points and (bounds := self._bounds()):
            places, weights = np.polynomial.legendre.leggauss(self.points)  # on [-1, 1]
            values = np.interp(places, [-1, 1], bounds)
            changes = [partial(self.perturb_func, perturb_baseline=float(value)) for value in values]
            return list(zip(changes, weights / 2, strict=True))
        # what is not random is the same at every draw
        count = self.nr_samples if self._stock_change() in (None, "uniform") else 1
        return [(self.perturb_func, 1 / count)] * count

    def _effects(
        self,
        ask: Callable[[np.ndarray], Tensor],
        x: np.ndarray,
        y: np.ndarray,
        blocks: list[np.ndarray],
        clean: Tensor,
        *,
        softmax: bool,
        batch: int,
    ) -> np.ndarray:
        """As `perturbation.effects`, (clips, blocks), for inputs of any shape and any change; all clips take turns."""
        flat, before = x.reshape(len(x), -1), _read(clean, y, softmax=softmax)
        result = np.zeros((len(x), len(blocks)))
        jobs = list(product(range(len(blocks)), self._changes()))  # in the order in which Quantus draws
        many = max(1, batch // len(x))
        for part in (jobs[at : at + many] for at in range(0, len(jobs), many)):
            changed = np.concatenate([change(arr=flat, indices=blocks[block]) for block, (change, _) in part])
            asked = ask(changed.reshape(-1, *x.shape[1:])).reshape(len(part), len(x), -1)
            apart = _read(asked, y, softmax=softmax) - before
            squared = (torch.expm1(apart) if softmax else apart).square().numpy()
            for (block, (_, weight)), effect in zip(part, squared, strict=True):
                result[:, block] += weight * effect
        return np.where(result < _floors(clean, y, softmax=softmax)[:, None], 0, result)

    def _windowed(
        self, network: Any, x: np.ndarray, y: np.ndarray, blocks: list[np.ndarray], usable: np.ndarray, *, batch: int
    ) -> np.ndarray:
        """The same by the engine, whose windows recompute only what a block can reach."""
        result = np.full((len(x), len(blocks)), np.nan)
        labels = np.empty((len(x), x[0].size), np.int64)
        for number, block in enumerate(blocks):
            np.put_along_axis(labels, block, number, axis=1)
        if usable.any():
            chosen = labels.reshape(len(x), *x.shape[2:])[usable]
            prepared = forward.prepare(network, shape=x.shape[1:])
            result[usable] = perturbation.effects(
                prepared, x[usable], y[usable], blocks=chosen, nodes=self.points or 0, batch=batch
            )
        return result

    def _factor(self, clean: Tensor, y: np.ndarray, *, softmax: bool) -> np.ndarray:
        """Of each clip's effects, (clips,): they are divided by the squared answer, unless it is smaller than `eps`."""
        answer = _read(clean, y, softmax=softmax).numpy()
        if softmax:  # effects are already relative
            p = np.exp(answer)
            return np.where(p >= self.eps, 1, p**2)
        return np.divide(1, answer**2, where=np.abs(answer) >= self.eps, out=np.ones(len(answer)))

    def _similarity(self, given: np.ndarray, effects: np.ndarray) -> np.ndarray:
        if self.similarity_func is correlation_spearman:
            return correlation.spearman(given, effects)
        pairs = zip(given[:, None], effects[:, None], strict=True)  # one by one: no clip meets another
        return np.concatenate([self.similarity_func(a=a, b=v, batched=True) for a, v in pairs])


def _by_own_maximum(maps: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # an empty map becomes NaN, which has no score either
        return normalise_by_max(maps, normalise_axes=range(1, maps.ndim))


def _network(model: Any) -> tuple[nn.Module, bool]:
    """The network that Quantus asks, and whether a softmax has to be added to what it answers."""
    network = model.get_model()
    name, last = list(network.named_modules())[-1]
    ends = name != "" and isinstance(last, nn.Softmax)
    if ends and not model.softmax:
        network = copy.deepcopy(network)
        network.set_submodule(name, nn.Identity())
    return network, bool(model.softmax) and not ends


def _windowable(network: nn.Module, x: np.ndarray) -> bool:
    return x.ndim == 4 and x.shape[1] == 1 and forward.windowable(network)


@torch.inference_mode()
def _answers(network: nn.Module, inputs: np.ndarray, *, device: str | None, options: dict[str, Any]) -> Tensor:
    """What the network answers: (inputs, classes), in the precision of its weights."""
    weight = next(network.parameters(), torch.empty(0, device=device))
    with devices.exact():
        answers = network(torch.from_numpy(inputs).to(weight.device, weight.dtype), **options)
    if not isinstance(answers, Tensor) or answers.ndim != 2:
        shape = tuple(answers.shape) if isinstance(answers, Tensor) else type(answers).__name__
        raise InputError(
            f"the network answers with {shape}; give one that answers with a number per class, (clips, classes)"
        )
    return answers.cpu()


def _read(answers: Tensor, y: np.ndarray, *, softmax: bool) -> Tensor:
    """What each clip's class gets, float64: the logarithm of its probability, or what the network says itself."""
    answers = answers.double()
    return (answers.log_softmax(-1) if softmax else answers)[..., np.arange(len(y)), y]


def _floors(clean: Tensor, y: np.ndarray, *, softmax: bool) -> np.ndarray:
    """Below which size each clip's effects are rounding, (clips,)."""
    rounding = perturbation.ROUNDING * torch.finfo(clean.dtype).eps
    if not softmax:
        return (rounding * clean.double().abs().amax(1).numpy()) ** 2
    read = perturbation.READOUTS["probability"]
    rows = zip(clean.double(), y, strict=True)
    return np.array([perturbation.floor(read, row, int(c), rounding=rounding) for row, c in rows])
