"""The nano reproduction on a real cluster, and a shorter one through what clusters do to jobs."""

from __future__ import annotations

import re

import paper
import pytest
from cluster import GPU

from daisy.workflow.efficiency import efficiency


def test_the_nano_run(site, nano):
    """The profile as it stands runs everything, its small jobs together, and a second time there is nothing to do."""
    steps = int(re.search(r"(\d+) of \1 steps \(100%\) done", nano)[1])
    jobs = site.jobs()
    assert {job["JobState"] for job in jobs.values()} == {"COMPLETED"}
    assert len(jobs) < steps / 2
    assert (site.folder / "results/nano/report.html").exists()
    uses = efficiency(site.folder / "results/nano")
    assert {(use.minutes_asked, use.memory_mb_asked) for use in uses} == {(15, 4000)}, "as the profile says"
    assert "Nothing to be done" in site.start_few().end()


def test_a_second_snakemake_is_refused_and_told_what_to_do(site, undisturbed):
    said = (site.folder / "second.log").read_text()
    assert "cannot be locked" in said and "--unlock" in said


def test_cancelled(site, undisturbed):
    running, training = site.stopped_training()
    site.slurm.ask("scancel", training.job)
    running.end()
    assert site.resumed and site.numbers == undisturbed


def test_the_daemon_of_its_node_killed(site, undisturbed):
    """The job itself lives on, so that it may end before Slurm gives up the node, or together with its second run."""
    running, training = site.stopped_training()
    site.slurm.kill(f"slurmd-{training.node}")
    training.go_on()
    running.end()
    site.slurm.start_node(training.node)
    assert site.numbers == undisturbed


def test_over_its_time(site, undisturbed):
    """Told before its time is up, a training saves its state, and goes on in a job that has more time.

    Slurm looks every 30 s, and tells at the last look but one before the end: 30 s before it, at least.
    """
    limits = ["runtime=attempt", "mem_mb=4000", "in_turn=1", "slurm_extra='--signal=TERM@1'"]
    running, training = site.stopped_training("--default-resources", *limits, targets=[site.first_model])
    running.wait_for(lambda: training.told_to_end)
    training.go_on()
    assert "exit status 75" in running.end(), "what a training says that was told to end and has saved its state"
    assert site.jobs()[training.job]["JobState"] in ("FAILED", "TIMEOUT")
    assert site.resumed
    site.start_short().end()
    assert site.numbers == undisturbed


def test_out_of_memory(site, undisturbed):
    """The jobs that share a Slurm job are tried again together, with more."""
    before = site.jobs()
    said = site.again("--default-resources", "mem_mb=450*attempt", "runtime=60", "in_turn=1").end()
    first, second, *_ = (job for key, job in site.jobs().items() if key not in before)
    assert first["JobState"] in ("FAILED", "OUT_OF_MEMORY") and "attempt" in said
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("450M", "900M")
    assert site.numbers == undisturbed


def test_preempted(site, undisturbed):
    """An urgent job takes all nodes; Slurm starts the training again when it is done."""
    running, training = site.stopped_training()
    site.slurm.ask("sbatch", "-p", "urgent", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    running.end()
    assert site.jobs()[training.job]["Restarts"] == "1"
    assert site.resumed and site.numbers == undisturbed


def test_snakemake_killed(site, undisturbed):
    """The next one ends what the last one left running before it makes the same again."""
    running, training = site.stopped_training()
    running.kill()
    site.start("--unlock").end()
    said = site.start_short().end()
    assert f"Cancelled Slurm job {training.job}" in said
    jobs = site.jobs()
    again = [job for key, job in jobs.items() if int(key) > int(training.job)]
    assert jobs[training.job]["JobState"] == "CANCELLED" and again
    assert all(job["StartTime"] >= jobs[training.job]["EndTime"] for job in again)
    assert site.resumed and site.numbers == undisturbed


def test_the_controller_restarted(site, undisturbed):
    """Once while a training goes on and Snakemake asks after it in vain; once more, and the job ends meanwhile."""
    running, training = site.stopped_training(targets=[site.first_model])
    site.slurm.kill("slurmctld")
    running.wait_for(lambda: "Slurm did not say" in running.said)
    site.slurm.start_controller()
    running.wait_for(lambda: training.job in site.jobs(JobState="RUNNING"))
    site.slurm.kill("slurmctld")
    training.go_on()
    running.wait_for(lambda: training.job_ended)
    site.slurm.start_controller()
    running.end()
    assert site.jobs()[training.job]["JobState"] == "COMPLETED"
    site.start_short().end()
    assert site.numbers == undisturbed


@pytest.mark.parametrize("asked", ["gpu", "gres"])
def test_gpus_by_either_name(site, undisturbed, asked):
    """What a site sets in one place reaches the jobs: partition and GPU, asked for as `gpus` or as `gres`."""
    part = next(site.folder.glob(".cache/store/states-sid-dev-*/states.npy"))
    known = set(site.jobs())
    with site.names(cpu_partition="cpu", gpu_partition="gpu", gpus=1, gpu_model=GPU, gpus_as=asked):
        site.start("--force", "--", str(part.relative_to(site.folder))).end()
    (job,) = (job for key, job in site.jobs().items() if key not in known)
    assert job["Partition"] == "gpu" and job["JOB_GRES"] == f"gpu:{GPU}:1", job


def test_a_job_over_the_partitions_time_ends_the_run(site):
    """With the words of `sbatch`; a group asks for the sum of its jobs' times."""
    site.slurm.ask("scontrol", "update", "PartitionName=cpu", "MaxTime=10")
    try:
        said = site.again().end(status=1)
    finally:
        site.slurm.ask("scontrol", "update", "PartitionName=cpu", "MaxTime=INFINITE")
    assert "Slurm did not take group" in said and "Requested time limit is invalid" in said
    assert "Trying to restart" not in said and "`group-components`" in said


def test_an_account_that_does_not_exist_ends_the_run(site):
    """This cluster keeps no accounts: a script says which there are, as `sacctmgr` would."""
    script = site.slurm.folder / "bin/sacctmgr"
    script.write_text("#!/bin/sh\necho speech\n")
    script.chmod(0o755)
    try:
        with site.names(account="nobody"):
            said = site.again().end(status=1)
    finally:
        script.unlink()
    assert "Slurm did not take group" in said and "take an `account`" in said


def test_snakemake_within_a_slurm_job(site, undisturbed):
    """It submits its jobs as from anywhere else, and they run."""
    part = next(site.folder.glob(".cache/store/states-sid-dev-*/states.npy"))
    known = set(site.jobs())
    site.start("--force", "--", str(part.relative_to(site.folder)), within=["sbatch", "--wait", "--wrap"]).end()
    outer, inner = (job for key, job in sorted(site.jobs().items(), key=lambda pair: int(pair[0])) if key not in known)
    assert outer["JobState"] == inner["JobState"] == "COMPLETED"


def test_the_papers_graph(site, tmp_path):
    """The graph is whole at the paper's scale."""
    said = paper.dry_run(site, tmp_path)
    assert re.search(r"^total +184$", said, re.M), "183 and `all`, says docs/slurm.md"
