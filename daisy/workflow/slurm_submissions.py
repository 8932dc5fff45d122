"""How Snakemake hands its jobs to Slurm: a job that Slurm does not take ends the run with the reason.

Nothing is asked of Slurm that the executor does not ask by itself. What fails on the way is told in Slurm's own words,
with the names in `slurm/config.yaml` that may be wrong, and counts as a job that failed.
"""

from __future__ import annotations

import functools
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

SETTINGS = (
    (r"not found|No such file", "start Snakemake where `sbatch` is on PATH; no name there says where it is"),
    (
        r"accounts?\b",
        "take an `account` that `sacctmgr show assoc user=$USER format=account,partition,qos` lists, or leave it empty",
    ),
    (
        r"time limit|Max ?Wall",
        "ask for less time (`runtime`, the hours in `model_rules`), or take a partition that gives more "
        "(`cpu_partition`, `gpu_partition`). Jobs of a group ask for the sum of their times: take rules out of "
        "`groups`, or put fewer jobs together (`group-components`)",
    ),
    (r"partition", "take a `cpu_partition` and a `gpu_partition` that `sinfo` lists, or leave them empty"),
    (r"\bqos\b", "take a `qos` that `sacctmgr show assoc user=$USER format=account,partition,qos` lists"),
    (
        r"generic resource|\bgres\b|\bgpus?\b",
        "see `sinfo --format='%P %G'` for what there is, and set `gpus`, `gpu_model`, `gpus_as` and "
        "`gpu_partition` by it",
    ),
    (
        r"node configuration|memory specification|cpu count",
        "no node has that much: ask for less (`mem_mb`, the GB in `model_rules`, `set-threads`, `gpus`), or of "
        "other nodes (`cpu_partition`, `gpu_partition`)",
    ),
    (r"slurm_extra", "take the option out of `slurm_extra`"),
)
"""Words of those who refuse a job, in the order in which they are looked for, and what to change; it is lasting."""
PASSING = r"contact|timed? ?out|temporar|SubmitJobLimit|SubmitJobPer"
"""Words of a refusal that may be gone soon."""
ASKED = ("slurm_account", "qos", "slurm_partition", "runtime", "mem_mb", "gpu", "gpu_model", "gres", "slurm_extra")
PLAIN = r"[A-Za-z0-9_.:-]+"
"""What the name of a GPU may consist of, as the shell reads it as it stands."""


def mend(executor: Any) -> None:
    """Make Snakemake's Slurm executor tell why a job was not taken, and go on.

    In version 2.8 an exception on the way to `sbatch` is handled by a line that fails for grouped jobs, in a thread
    whose exceptions nobody sees, so that Snakemake waits for ever for a job that was never submitted; and Snakemake
    leaves the message out when it reports the failure of a group.

    Args:
        executor: The executor's class.
    """
    executor.run_job = _never_lost(executor.run_job)
    executor.report_job_error = _told(executor.report_job_error)
    executor.get_account_arg = _left_to_sbatch(executor.get_account_arg)
    executor.cancel = _without_submissions(executor.cancel)
    module: Any = sys.modules[executor.__module__]
    module.set_gres_string = named(module.set_gres_string)


def _never_lost(run: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(run)
    def run_job(self: Any, job: Any) -> None:
        try:
            run(self, job)
        except Exception as error:
            # What the executor's own handler was about when it failed.
            self.report_job_error(SubmittedJobInfo(job), msg=str(error.__context__ or error))

    return run_job


def _told(report: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(report)
    def report_job_error(self: Any, info: Any, msg: str | None = None, **options: Any) -> None:
        if info.external_jobid is not None:
            report(self, info, msg=msg, **options)
            return
        # Snakemake's own report would say of every rule that its command had failed.
        text, lasting = explained(info.job, msg or "", self.workflow.logger_manager.get_logfile())
        self.logger.error(text)
        if lasting:
            info.job._attempt = info.job.restart_times + 1  # No retry. By its setter, it would ask for more.
        self.workflow.scheduler.error_callback(info.job)

    return report_job_error


def _left_to_sbatch(account: Callable[..., Iterator[str]]) -> Callable[..., Iterator[str]]:
    @functools.wraps(account)
    def get_account_arg(self: Any, job: Any) -> Iterator[str]:
        try:
            yield from account(self, job)
        except Exception as error:
            if "appears to be invalid" in str(error):
                raise
            # Whoever cannot tell whether an account is right leaves it to sbatch, which can.
            self.logger.warning(f"The account is not checked: {' '.join(str(error).split())}")
            given = job.resources.get("slurm_account")
            yield f" -A {shlex.quote(str(given))}" if given else ""

    return get_account_arg


def _without_submissions(cancel: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(cancel)
    def cancel_all(self: Any) -> None:
        # What awaits its submission would be submitted now, and then go on without a Snakemake.
        self._job_submission_executor.shutdown(wait=True, cancel_futures=True)
        cancel(self)

    return cancel_all


def explained(job: Any, reason: str, logs: list[str]) -> tuple[str, bool]:
    """What to say of a job that Slurm did not take.

    Args:
        job: The job, or group of jobs.
        reason: What the executor says.
        logs: Where Snakemake logs.

    Returns:
        The text, and whether Slurm would refuse the job again.
    """
    # The executor appends its whole call, of thousands of characters.
    reason = reason.partition("    sbatch call:")[0].rpartition(" with exception: ")[2]
    reason = re.sub(r"\s+", " ", reason).strip()
    what = f"group {job.groupid} (rules {', '.join(sorted(job.rules))})" if job.is_group() else f"rule {job.rule.name}"
    lines = [f"Slurm did not take {what}: {reason}", f"It asked for {_asked(job)}."]
    fix = None if re.search(PASSING, reason, re.I) else setting(reason)
    if fix:
        lines.append(f"To do, with names of slurm/config.yaml: {fix}.")
    lines.append(f"Log: {', '.join(logs)}")
    return "\n    ".join(lines), bool(fix)


def _asked(job: Any) -> str:
    try:
        given = dict(job.resources.items())
    except Exception as error:  # It may be what the refusal is about.
        return f"what cannot be told: {error}"
    return ", ".join(f"{name}={given[name]}" for name in ASKED if given.get(name)) or "nothing"


def setting(reason: str) -> str | None:
    """What to change in `slurm/config.yaml` where a job is refused for `reason`."""
    return next((fix for words, fix in SETTINGS if re.search(words, reason, re.I)), None)


def named(ask: Callable[[Any], str]) -> Callable[[Any], str]:
    """Options of `sbatch` that ask for GPUs, also by names with a hyphen and for several resources at once.

    Args:
        ask: The executor's own function of a job, which refuses them; what it does not refuse stays its own.
    """

    @functools.wraps(ask)
    def options(job: Any) -> str:
        try:
            return ask(job)
        except Exception:
            gres, model = (str(job.resources.get(name, "")) for name in ("gres", "gpu_model"))
            given = [*(gres.split(",") if gres else ()), *([model] if model else ())]
            if not given or not all(re.fullmatch(PLAIN, name) for name in given):
                raise
            asked = f" --gres={gres}" if gres else ""
            return asked + (f" --gpus={model}:{job.resources.get('gpu', 1)}" if model else "")

    return options


def hear_term(scheduler: Any) -> None:
    """Let a SIGTERM end the run at any moment.

    Snakemake's own handler takes a lock that the same thread may hold when the signal comes, and then waits for
    itself for ever.

    Args:
        scheduler: Snakemake's scheduler of jobs; called in the main thread.
    """

    def end(*_: object) -> None:
        threading.Thread(target=scheduler.exit_gracefully, daemon=True).start()

    signal.signal(signal.SIGTERM, end)
