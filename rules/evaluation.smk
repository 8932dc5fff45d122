"""Evaluation: every trained method on its test set, one cell per strategy, with speed against the full model."""


def evaluation_settings(wildcards):
    daisy = wildcards.method.startswith("daisy")
    q = config["tasks"][wildcards.task]["q"]
    return settings(
        method="daisy" if daisy else wildcards.method,
        rho=RHOS[wildcards.method.removeprefix("daisy-")] if daisy else None,
        fixed_layer=fixed_layer(wildcards.method),
        strategies={name: q for name in config["evaluation"]["strategies"]} if daisy else {},
        draws=config["evaluation"]["bootstrap_draws"],
        timed=config["evaluation"]["timed_recordings"],
        rounds=config["evaluation"]["timing_rounds"],
        seed=SEED,
    )


rule evaluation:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        upstream=RUN + "/branches/daisy.pt",
        manifest=RUN + "/manifests/{task}/test.tsv",
        features=RUN + "/features/{task}/test.npy",
        table=RUN + "/features/{task}/test.npz",
        model=RUN + "/downstream/{task}/{method}/model.safetensors",
        exits=RUN + "/downstream/{task}/{method}/exits.json",
        full=RUN + "/downstream/{task}/full/model.safetensors",
    output:
        RUN + "/evaluation/{task}/{method}.json",
    params:
        settings=evaluation_settings,
        code=lambda wildcards: task_code("daisy.evaluate", wildcards.task),
    log:
        RUN + "/logs/evaluation-{task}-{method}.log",
    # It measures time, so it takes the machine for itself, though it computes on one core.
    threads: workflow.resource_settings.cores or 1
    shell:
        stage(
            "evaluate",
            "--upstream {input.upstream} --manifest {input.manifest} --features {input.features} "
            "--model {input.model} --exits {input.exits} --full {input.full} --out {output} --threads 1",
        )
