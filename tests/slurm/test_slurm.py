"""The nano reproduction on a real cluster, and a shorter one through what clusters do to jobs."""

from __future__ import annotations

import re
import time

import yaml
from conftest import TABLES


def test_the_nano_run(site, nano):
    """The profile as it stands runs everything, its small jobs together, and a second time there is nothing to do."""
    steps = int(re.search(r"(\d+) of \1 steps \(100%\) done", nano)[1])
    jobs = site.jobs()
    assert {job["JobState"] for job in jobs.values()} == {"COMPLETED"}
    assert len(jobs) < steps / 2
    assert (site.folder / "results/nano/report.html").exists()
    assert "Nothing to be done" in site.start(configs=["config/test.yaml"]).end()


def test_a_second_snakemake_is_refused_and_told_what_to_do(site, undisturbed):
    said = (site.folder / "second.log").read_text()
    assert "cannot be locked" in said and "--unlock" in said


def test_cancelled(site, undisturbed):
    running = site.train_again()
    site.slurm.ask("scancel", site.training)
    running.end()
    assert site.resumed and site.numbers == undisturbed


def test_the_daemon_of_its_node_killed(site, undisturbed):
    """The job itself lives on, so that it may end before Slurm gives up the node, or together with its second run."""
    running = site.train_again()
    node = site.jobs()[site.training]["NodeList"]
    site.slurm.kill(f"slurmd-{node}")
    running.end()
    site.slurm.start_node(node)
    assert site.numbers == undisturbed


def test_over_its_time(site, undisturbed):
    """Told before its time is up, a training saves its state, and goes on in a job that has more time."""
    limits = ["runtime=attempt", "mem_mb=4000", "in_turn=1", "slurm_extra='--signal=TERM@45'"]
    model = "results/short/downstream/sid/seed1337/full/model.safetensors"
    running = site.train_again("--default-resources", *limits, targets=[model])
    first = site.training
    running.end()
    assert site.jobs()[first]["JobState"] in ("FAILED", "TIMEOUT") and site.jobs()[first]["TimeLimit"] == "00:01:00"
    assert site.resumed
    site.start("--", *TABLES).end()
    assert site.numbers == undisturbed


def test_out_of_memory(site, undisturbed):
    running = site.train_again("--default-resources", "mem_mb=450*attempt", "runtime=60", "in_turn=1")
    first = site.training
    said = running.end()
    assert site.jobs()[first]["JobState"] in ("FAILED", "OUT_OF_MEMORY") and "attempt" in said
    assert site.numbers == undisturbed


def test_preempted(site, undisturbed):
    """An urgent job takes all nodes; Slurm starts the training again when it is done."""
    running = site.train_again()
    preempted = site.training
    site.slurm.ask("sbatch", "-p", "urgent", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    running.end()
    assert site.jobs()[preempted]["Restarts"] == "1"
    assert site.resumed and site.numbers == undisturbed


def test_snakemake_killed(site, undisturbed):
    """The next one ends what the last one left running before it makes the same again."""
    running = site.train_again()
    left = site.training
    running.kill()
    site.start("--unlock").end()
    said = site.start("--", *TABLES).end()
    assert f"Cancelled Slurm job {left}" in said
    jobs = site.jobs()
    again = [job for key, job in jobs.items() if int(key) > int(left)]
    assert jobs[left]["JobState"] == "CANCELLED" and again
    assert all(job["StartTime"] >= jobs[left]["EndTime"] for job in again)
    assert site.resumed and site.numbers == undisturbed


def test_the_controller_restarted(site, undisturbed):
    running = site.train_again()
    training = site.training
    site.slurm.kill("slurmctld")
    time.sleep(5)
    site.slurm.start_controller()
    running.end()
    assert site.jobs()[training]["JobState"] == "COMPLETED"
    assert site.numbers == undisturbed


def test_gpus_by_either_name(site, nano):
    """What a site sets in one place reaches the jobs: partition and GPU, asked for as `gpus` or as `gres`."""
    profile = site.folder / "slurm/config.yaml"
    before = profile.read_text()
    part = next(site.folder.glob(".cache/store/features-sid-dev-*/states.npy"))
    for asked in ("gpu", "gres"):
        values = {"gpu_partition": "gpu", "gpus": 1, "gpu_model": "h200", "gpus_as": asked, "cpu_partition": "cpu"}
        text = before
        for key, value in values.items():
            text = re.sub(rf"^(  {key}:) \S+", rf"\1 {yaml.safe_dump(value).split()[0]}", text, flags=re.M)
        profile.write_text(text)
        known = set(site.jobs())
        site.start("--force", "--", str(part.relative_to(site.folder)), configs=["config/test.yaml"]).end()
        (job,) = (job for key, job in site.jobs().items() if key not in known)
        assert job["Partition"] == "gpu" and "gres/gpu:h200=1" in job["AllocTRES"], job
    profile.write_text(before)
