"""A training run: start it, kill it, start it again, and get what an undisturbed one gives."""

from __future__ import annotations

import json
import logging
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy

from fol.errors import CheckpointError, ConfigError
from fol.evaluation.environment import environment
from fol.files import remove_leftovers, write_atomically, writer_lock
from fol.training.batches import TrainingBatches
from fol.training.distributed import launched_rank
from fol.training.guards import Guard
from fol.training.history import CsvHistory
from fol.training.keeper import BEST, FINAL, LAST, RunKeeper, save_weights
from fol.training.loggers import TensorBoardHistory, finish_loggers
from fol.training.module import PlaceTraining
from fol.training.options import TrainingOptions
from fol.training.reporting import Reporter, Watcher
from fol.training.setup import DESCRIPTORS, TrainingSetup, assemble
from fol.training.validation import ValidationScores, check_validation_sets
from fol.training.weak_batches import WeakSampling

CONFIG = "run.json"
#: What settings were before they could be set: runs of older versions do not name them.
_BEFORE = {"validation.best_by": 1}


@dataclass(frozen=True)
class TrainingResult:
    """Where a run's files are: weights of the ``best`` and of the ``last`` step (None while the run is not finished).

    ``scores`` of the best validation, ``history`` of all by batch; ``done`` of ``total`` batches; ``seconds`` of the
    call.
    """

    folder: Path
    best: Path | None
    last: Path | None
    scores: ValidationScores | None
    history: tuple[tuple[int, ValidationScores], ...]
    done: int
    total: int
    seconds: float


def train(
    setup: TrainingSetup,
    out: Path,
    *,
    config: Mapping[str, Any] | None = None,
    loggers: Callable[[Path], list[Logger]] | None = None,
    watch: Watcher | None = None,
    validated: Callable[[int, ValidationScores], None] | None = None,
) -> TrainingResult:
    """Train in the folder ``out``; a run that was stopped there goes on exactly where its last checkpoint is.

    Written: ``last.ckpt`` (the whole state), ``best.safetensors`` and ``last.safetensors`` (weights that ``load_model``
    opens, ``config`` inside), ``run.json``, ``metrics.csv`` and ``validation/``. On a CPU a resumed run ends bit-equal
    to an undisturbed one. ``config`` is saved beside the results as it is.

    Raises ``ConfigError`` (settings that differ from the run in ``out``, a validation set that is a test set),
    ``TrainingStopped`` (nothing is learned any more), ``CheckpointError`` (a damaged ``last.ckpt``), ``DataError``
    (another process trains in ``out``).
    """
    options, started = setup.options, time.monotonic()
    options.check()
    options.check_machine()
    check_validation_sets(setup.validation)
    out.mkdir(parents=True, exist_ok=True)
    first = launched_rank() == 0  # of several processes one owns the folder
    with writer_lock(out) if first else nullcontext():
        _check_identity(out, setup)
        if first:
            remove_leftovers(out)
            write_atomically(out / CONFIG, _description(setup, config))
        module, source, length = assemble(setup, out)
        batches = TrainingBatches(setup.images, source, length, setup.workers)
        every = options.loop.log_every
        guard = Guard(options.guard, scaled=options.loop.precision == "16-mixed", every=every)
        reporter = Reporter(every, length.per_epoch, watch)
        keeper = RunKeeper(
            out, options, setup.validation, setup.matching, guard, reporter, dict(config or {}), validated
        )
        chosen: list[Logger] = loggers(out) if loggers else [CsvHistory(out / "metrics.csv")]
        checkpoint = _last_checkpoint(out)
        done = 0 if checkpoint is None else int(checkpoint[1])
        for logger in chosen:
            if isinstance(logger, CsvHistory | TensorBoardHistory) and first:
                # A run that begins anew writes its row of the first weights again.
                logger.forget_after(-1 if checkpoint is None else done)
        if done < length.total:
            with _quiet():
                trainer = _trainer(options, [guard, reporter, keeper], chosen)
                try:
                    _fit(trainer, module, batches, None if checkpoint is None else checkpoint[0])
                finally:
                    finish_loggers(chosen)
            done = batches.done
        else:
            _restore(checkpoint, module, keeper)
        finished = done >= length.total
        if finished and first:
            save_weights(module, out / FINAL, dict(config or {}))
            (out / DESCRIPTORS).unlink(missing_ok=True)
    return TrainingResult(
        folder=out,
        best=out / BEST if keeper.best else None,
        last=out / FINAL if finished else None,
        scores=keeper.best,
        history=tuple(keeper.history),
        done=done,
        total=length.total,
        seconds=time.monotonic() - started,
    )


def _trainer(options: TrainingOptions, callbacks: list[lightning.Callback], loggers: list[Logger]) -> lightning.Trainer:
    loop = options.loop
    try:
        return lightning.Trainer(
            accelerator=loop.accelerator,
            devices=loop.devices,
            # Losses whose weight is zero leave the parameters behind them without a gradient.
            strategy=DDPStrategy(find_unused_parameters=True) if loop.devices > 1 else "auto",
            precision=loop.precision,
            max_epochs=1,
            accumulate_grad_batches=loop.accumulate,
            gradient_clip_val=options.optimizer.clip_norm,
            logger=loggers,
            callbacks=callbacks,
            log_every_n_steps=loop.log_every,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except MisconfigurationException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"loop.accelerator={loop.accelerator}, loop.devices={loop.devices}: {reason}") from error


def _fit(trainer: lightning.Trainer, module: PlaceTraining, batches: TrainingBatches, checkpoint: Path | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, batches, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as exit:
        # Lightning turns Ctrl-C into an exit and goes on ignoring the signal.
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from exit


def _last_checkpoint(out: Path) -> tuple[Path, int, dict[str, Any]] | None:
    """(path, batches done, content) of the state that a run left in its folder."""
    path = out / LAST
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return path, int(content["TrainingBatches"]["done"]), content
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise CheckpointError(f"{path}: not a readable training state ({type(error).__name__}); delete it") from error


def _restore(checkpoint: tuple[Path, int, dict[str, Any]] | None, module: PlaceTraining, keeper: RunKeeper) -> None:
    """The end of a run that is already finished."""
    assert checkpoint is not None
    content = checkpoint[2]
    module.load_state_dict(content["state_dict"])
    keeper.load_state_dict(content["callbacks"][keeper.state_key])


def _parts(setup: TrainingSetup) -> dict[str, Any]:
    """What decides over the learning and is known of every run, whoever started it."""
    options = setup.options
    return {
        "card": asdict(setup.model.card),
        "losses": asdict(setup.losses),
        "augmentation": asdict(setup.augmentation),
        "optimizer": asdict(options.optimizer),
        "schedule": asdict(options.schedule),
        "seed": options.seed,
        **_weak_parts(setup),
    }


def _weak_parts(setup: TrainingSetup) -> dict[str, Any]:
    sampler = setup.sampler
    centres = {} if setup.centres is None else setup.centres.identity()
    if not isinstance(sampler, WeakSampling):
        return {"weak": centres}
    mining = {key: value for key, value in asdict(sampler.mining).items() if key != "max_bytes"}
    weak = {name: getattr(sampler, name) for name in ("tuples", "round", "round_doubles_every")}
    weak |= {"radii": asdict(sampler.places.radii), "mining": mining}
    return {"weak": {**weak, "generations": list(setup.generations), **centres}}


def _check_identity(out: Path, setup: TrainingSetup) -> None:
    """``ConfigError`` naming the first setting that differs from those of the run that is already in ``out``."""
    if not (out / LAST).is_file() or not (out / CONFIG).is_file():
        return
    try:
        written = json.loads((out / CONFIG).read_text())
        before = _flat(written["identity"])
        # Runs of older versions have none.
        before_parts = _flat(written["parts"]) if "parts" in written else None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{out / CONFIG}: not the settings of a run; choose another out=, or delete the folder"
        ) from error
    _compare(out, before, _flat(_as_read(setup.identity)))
    if before_parts is not None:
        _compare(out, before_parts, _flat(_as_read(_parts(setup))))


def _as_read(values: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(values, default=str))


def _compare(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key in sorted(before.keys() | now.keys()):
        old = before.get(key, _BEFORE.get(key))
        if old != now.get(key):
            raise ConfigError(
                f"{out} holds a run with {key}={old}, not {now.get(key)}: it cannot be resumed with "
                "another setting; choose another out=, or delete the folder"
            )


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        k: v for name, inner in values.items() for k, v in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
    }


def _description(setup: TrainingSetup, config: Mapping[str, Any] | None) -> bytes:
    content = {
        "identity": setup.identity,
        "parts": _parts(setup),
        "config": config,
        "model": setup.model.name,
        "training_set": setup.summary,
        "validation": {dataset.name: dataset.summary for dataset in setup.validation},
        "environment": environment(setup.model.device),
    }
    return json.dumps(content, indent=1, default=str).encode()


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice for other uses than ours (worker counts, tips) is kept off the screen."""
    names = ("lightning.pytorch", "lightning.fabric")
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
