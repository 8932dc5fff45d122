"""Evaluation: every trained method on its test set, one cell per strategy, with speed against the full model."""


rule evaluation:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        upstream=f"{BRANCHES}/daisy.pt",
        manifest=lambda wildcards: f"{MANIFESTS[wildcards.task]}/test.tsv",
        features=lambda wildcards: f"{FEATURES[wildcards.task, 'test']}/states.npy",
        table=lambda wildcards: f"{FEATURES[wildcards.task, 'test']}/states.npz",
        model=results("downstream/{task}/seed{seed}/{method}/model.safetensors"),
        exits=results("downstream/{task}/seed{seed}/{method}/exits.json"),
        full=results("downstream/{task}/seed{seed}/full/model.safetensors"),
    output:
        results("evaluation/{task}/seed{seed}/{method}.json"),
    log:
        results("logs/evaluation-{task}-{method}-seed{seed}.log"),
    benchmark:
        results("benchmarks/evaluation-{task}-{method}-seed{seed}.tsv")
    # It measures time, so it takes the machine for itself; what it times computes on one core.
    conda:
        "../envs/daisy.yaml"
    threads: workflow.resource_settings.cores or 1
    params:
        settings=lambda wildcards: evaluation_settings(wildcards.task, METHODS[wildcards.method], int(wildcards.seed)),
        code=lambda wildcards: task_code("daisy.evaluate", wildcards.task),
    shell:
        stage(
            "evaluate",
            "--upstream {input.upstream} --manifest {input.manifest} --features {input.features} "
            "--model {input.model} --exits {input.exits} --full {input.full} --out {output} "
            "--threads 1 --processes {threads}",
        )
