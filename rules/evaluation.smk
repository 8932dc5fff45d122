"""Evaluation: every trained method on its test set, one cell per strategy, with speed against the full model."""


def evaluation_settings(task, method, seed, rho=None):
    daisy = method.startswith("daisy")
    return settings(
        method="daisy" if daisy else method,
        rho=rho,
        fixed_layer=fixed_layer(method),
        strategies=dict.fromkeys(config["evaluation"]["strategies"], config["tasks"][task]["q"]) if daisy else {},
        draws=config["evaluation"]["bootstrap_draws"],
        timed=config["evaluation"]["timed_recordings"],
        rounds=config["evaluation"]["timing_rounds"],
        seed=SEED,
        training_seed=seed,
    )


rule evaluation:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        upstream=BRANCHES + "/daisy.pt",
        manifest=lambda wildcards: MANIFESTS[wildcards.task] + "/test.tsv",
        features=lambda wildcards: FEATURES[wildcards.task, "test"] + "/states.npy",
        table=lambda wildcards: FEATURES[wildcards.task, "test"] + "/states.npz",
        model=RUN + "/downstream/{task}/seed{seed}/{method}/model.safetensors",
        exits=RUN + "/downstream/{task}/seed{seed}/{method}/exits.json",
        full=RUN + "/downstream/{task}/seed{seed}/full/model.safetensors",
    output:
        RUN + "/evaluation/{task}/seed{seed}/{method}.json",
    log:
        RUN + "/logs/evaluation-{task}-{method}-seed{seed}.log",
    benchmark:
        RUN + "/benchmarks/evaluation-{task}-{method}-seed{seed}.tsv"
    # It measures time, so it takes the machine for itself, though it computes on one core.
    threads: workflow.resource_settings.cores or 1
    params:
        settings=lambda wildcards: evaluation_settings(
            wildcards.task, wildcards.method, int(wildcards.seed), RHOS.get(wildcards.method.removeprefix("daisy-"))
        ),
        code=lambda wildcards: task_code("daisy.evaluate", wildcards.task),
    shell:
        stage(
            "evaluate",
            "--upstream {input.upstream} --manifest {input.manifest} --features {input.features} "
            "--model {input.model} --exits {input.exits} --full {input.full} --out {output} --threads 1",
        )
