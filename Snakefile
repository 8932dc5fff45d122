"""DAISY, from corpora to report: every file under rules/ is one stage of the paper's figure."""

from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/targets.smk"
include: "rules/branches.smk"
include: "rules/students.smk"
include: "rules/features.smk"
include: "rules/downstream.smk"
include: "rules/bundle.smk"
include: "rules/evaluation.smk"
include: "rules/noise.smk"
include: "rules/links.smk"
include: "rules/report.smk"
include: "rules/ablation.smk"
include: "rules/signals.smk"
include: "rules/pretrain.smk"


if flow.config.upgrades == "rerun" and workflow.is_main_process:
    make_again(workflow, outdated(flow.context))


onstart:
    with shown():
        for note in look(workflow):
            logger.info(note)
    if flow.config.upgrades == "tell" and (told := summary(outdated(flow.context))):
        logger.info(told)
    if workflow.executor_plugin.name == "slurm":
        status_checks.mend(workflow.executor_plugin.executor)
        submissions.mend(workflow.executor_plugin.executor)
        submissions.hear_term(workflow.scheduler)
    with shown():
        for number in end_orphans(workflow):
            logger.info(f"Cancelled Slurm job {number}, left over from an earlier run.")


rule all:
    default_target: True
    input:
        flow.outputs,
