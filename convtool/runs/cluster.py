"""The Dask cluster that a run is given: reached or started, checked before any work, and let go at the end."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib import metadata
from typing import Any

from convtool.errors import UsageError
from convtool.files.names import counted, show
from convtool.runs import cluster_fitness
from convtool.runs.cluster_executor import ENDING, ClusterExecutor, within
from convtool.runs.cluster_fitness import Run, Witness
from convtool.runs.plan import Task

CONNECT = 10.0
"""Seconds within which a scheduler must answer, and have a worker."""


@contextmanager
def remote_workers(
    address: str, tasks: Sequence[Task], setup: Callable[[], None], at_once: int | None = None
) -> Iterator[ClusterExecutor]:
    """The workers of the cluster whose scheduler is at `address`, once they are known to be fit for `tasks`.

    Raises:
        UsageError: there is no scheduler, no worker, or one that is not fit.
    """
    with ExitStack() as stack:
        stack.enter_context(_silence())
        client = stack.enter_context(_connected(address))
        run = replace(
            _run(setup), witness=_witness(tasks), output=_output_folder(tasks), versions=cluster_fitness.versions()
        )
        try:
            _check(client, run)
        except UsageError as error:
            raise UsageError(f"--cluster {show(address)}: {error}") from error
        yield stack.enter_context(_executor(client, run, at_once))


@contextmanager
def local_workers(workers: int, setup: Callable[[], None]) -> Iterator[ClusterExecutor]:
    """A cluster of `workers` processes on this machine, which nobody else can use, and which ends with the block."""
    _import_distributed()
    import dask
    from distributed import Client, LocalCluster
    from distributed.utils import LoopRunner

    with ExitStack() as stack:
        stack.enter_context(_silence())
        stack.enter_context(dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}))
        loop = LoopRunner()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            loop.start()  # what is started from this thread leaves Ctrl-C to the program, as it does
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        stack.callback(within, ENDING, loop.stop)
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # where there is none, Dask listens on all networks
            scheduler_kwargs={"dashboard": False},
            memory_limit=None,
            silence_logs=logging.CRITICAL,
            loop=loop.loop,
        )
        stack.callback(setattr, cluster, "shutdown_on_close", False)  # at exit nobody waits for it once more
        stack.callback(within, ENDING, cluster.close)
        client = Client(cluster, set_as_default=False)
        stack.callback(within, ENDING, client.close)
        yield stack.enter_context(_executor(client, _run(setup), None))


def _import_distributed() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UsageError("--cluster needs Dask, which is not installed: pip install 'convtool[cluster]'") from error


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what Dask logs, and warns of, off the terminal: what matters is told by the run."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    _import_distributed()
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except Exception as error:  # of many kinds: another program may listen there
        reason = "" if isinstance(error, OSError) else f" ({str(error).partition(chr(10))[0] or type(error).__name__})"
        raise UsageError(
            f"--cluster {show(address)}: no scheduler answered within {CONNECT:g} seconds{reason}; is it running?"
        ) from error
    try:
        yield client
    finally:
        within(ENDING, client.close)


@contextmanager
def _executor(client: Any, run: Run, at_once: int | None) -> Iterator[ClusterExecutor]:
    executor = ClusterExecutor(client, run, at_once)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _run(setup: Callable[[], None]) -> Run:
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        folder = None
    return Run(secrets.token_hex(8), setup, folder)


def _moving(tasks: Sequence[Task]) -> Iterator[Task]:
    return (task for task in tasks if not (task.skip or task.stays(elsewhere=True)))


def _witness(tasks: Sequence[Task]) -> Witness | None:
    """The first input that is a file here."""
    for task in _moving(tasks):
        if task.input.kind == "file" and os.path.isfile(task.input.value):
            with suppress(OSError):  # it may not be read here either, and fail alone
                return Witness.of(os.path.abspath(task.input.value))
    return None


def _output_folder(tasks: Sequence[Task]) -> str | None:
    """The folder, of those that exist, that the first output will lie below."""
    for task in _moving(tasks):
        if task.output is not None and "://" not in task.output:
            folder = os.path.dirname(os.path.abspath(task.output))
            while not os.path.isdir(folder):
                folder = os.path.dirname(folder)
            return folder
    return None


def _check(client: Any, run: Run) -> None:
    """Refuse a cluster whose workers can't do what is done here, or do it otherwise."""
    needed = run.versions[1]
    try:  # the scheduler unpickles what the workers get
        found = f"convtool {client.run_on_scheduler(metadata.version, 'convtool')}"
    except metadata.PackageNotFoundError:
        found = "no convtool"
    if found != needed:
        raise UsageError(f"the scheduler has {found}; install {needed} there")
    with suppress(TimeoutError):
        client.wait_for_workers(1, timeout=CONNECT)
    installed = client.run(metadata.version, "convtool", on_error="return")
    if not installed:
        raise UsageError(f"the scheduler had no worker within {CONNECT:g} seconds; start some with 'dask worker'")
    lacking = {worker: "has no convtool" for worker, found in installed.items() if isinstance(found, Exception)}
    _refuse(lacking, f"install {needed} there")
    reasons = client.run(cluster_fitness.unfitness, run, on_error="return")
    _refuse({worker: str(reason) for worker, reason in reasons.items() if reason is not None})
    if run.output is not None:
        _check_folder(client, run.output, run.token)


def _check_folder(client: Any, folder: str, token: str) -> None:
    """Refuse workers that can't read what is written to `folder` here, or write what is read here."""
    place = os.path.join(folder, f".convtool-{token}")
    try:
        with open(place, "x", encoding="ascii") as file:
            file.write(token)
    except OSError:
        return  # no output can be written here either: each input will say so
    try:
        met = client.run(cluster_fitness.meet, place, token, on_error="return")
        places = {worker: found[1] for worker, found in met.items() if isinstance(found, tuple)}
        try:
            reasons = {worker: found[0] if isinstance(found, tuple) else found for worker, found in met.items()}
            _refuse({worker: str(reason) for worker, reason in reasons.items() if reason is not None})
            _refuse(
                {
                    worker: f"writes to another folder {show(folder)}; outputs must lie where all workers see them"
                    for worker, beside in places.items()
                    if not os.path.exists(beside)
                }
            )
        finally:
            for worker, beside in places.items():
                client.run(cluster_fitness.leave, beside, workers=[worker], on_error="ignore")
    finally:
        cluster_fitness.leave(place)


def _refuse(unfit: dict[str, str], way_out: str = "") -> None:
    if unfit:
        worker, reason = next(iter(unfit.items()))
        more = f" (and {counted(len(unfit) - 1, 'more worker')})" if len(unfit) > 1 else ""
        raise UsageError(f"the worker at {worker} {reason}{more}{way_out and '; '}{way_out}")
