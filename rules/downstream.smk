"""Downstream: for each task one model per method and seed, trained on the exits that the method takes.

The heads of a task's own exits (task-ee) take none while they are trained: their thresholds come after them.
"""

TRAINED_ON_EXITS = "|".join(name for name, item in flow.methods.items() if item != TASK_EXITS).replace(".", r"\.")


rule downstream:
    input:
        train_manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "train"),
        train_states=states_of("train"),
        train_entropies=entropies_of("train"),
        dev_manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "dev"),
        dev_states=states_of("dev"),
        dev_entropies=entropies_of("dev"),
        calibration=lambda wildcards: models(wildcards).threshold(wildcards.task, method(wildcards)),
        checkpoint=lambda wildcards: ancient(flow.frozen.model(wildcards.task, "train", "dev")),
    output:
        downstream=results("downstream/{task}/seed{seed}/{method}/model.safetensors"),
        exits=results("downstream/{task}/seed{seed}/{method}/exits.json"),
        history=results("downstream/{task}/seed{seed}/{method}/history.csv"),
    log:
        results("logs/downstream-{task}-{method}-seed{seed}.log"),
    benchmark:
        results("benchmarks/downstream-{task}-{method}-seed{seed}.tsv")
    wildcard_constraints:
        method=TRAINED_ON_EXITS,
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(flow.config.workers),
    params:
        settings=lambda wildcards: trained(wildcards).settings,
        code=lambda wildcards: trained(wildcards).code,
        state=lambda wildcards: models(wildcards).state(wildcards.task, method(wildcards), int(wildcards.seed)),
        train_states=option("train_states"),
        train_entropies=option("train_entropies"),
        dev_states=option("dev_states"),
        dev_entropies=option("dev_entropies"),
        calibration=option("calibration"),
        checkpoint=option("checkpoint"),
        curves=curves,
    shell:
        training(
            "downstream.train",
            "--train-manifest {input.train_manifest} {params.train_states} {params.train_entropies} "
            "--dev-manifest {input.dev_manifest} {params.dev_states} {params.dev_entropies} "
            "{params.checkpoint} {params.calibration} --state {params.state} --curves {params.curves} --out {output.downstream} "
            "--exits {output.exits} --history {output.history} --threads {threads}",
        )


rule task_exits:
    input:
        train_manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "train"),
        train_states=lambda wildcards: flow.frozen.states(wildcards.task, "train", TASK_EXITS),
        dev_manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "dev"),
        dev_states=lambda wildcards: flow.frozen.states(wildcards.task, "dev", TASK_EXITS),
        checkpoint=lambda wildcards: ancient(flow.frozen.model(wildcards.task, "train", "dev")),
    output:
        downstream=results(f"downstream/{{task}}/seed{{seed}}/{TASK_EXITS.name}/model.safetensors"),
        entropies=results(f"downstream/{{task}}/seed{{seed}}/{TASK_EXITS.name}/entropies.npz"),
        history=results(f"downstream/{{task}}/seed{{seed}}/{TASK_EXITS.name}/history.csv"),
    log:
        results("logs/task_exits-{task}-seed{seed}.log"),
    benchmark:
        results("benchmarks/task_exits-{task}-seed{seed}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(flow.config.workers),
    params:
        settings=lambda wildcards: flow.models.task_exits(wildcards.task, int(wildcards.seed)).settings,
        code=lambda wildcards: flow.models.task_exits(wildcards.task, int(wildcards.seed)).code,
        state=lambda wildcards: flow.models.state(wildcards.task, TASK_EXITS, int(wildcards.seed)),
        train_states=option("train_states"),
        dev_states=option("dev_states"),
        checkpoint=option("checkpoint"),
        curves=curves,
    shell:
        training(
            "downstream.train_task_exits",
            "--train-manifest {input.train_manifest} {params.train_states} "
            "--dev-manifest {input.dev_manifest} {params.dev_states} {params.checkpoint} "
            "--state {params.state} --curves {params.curves} --out {output.downstream} "
            "--entropies {output.entropies} --history {output.history} --threads {threads}",
        )


rule task_thresholds:
    input:
        rules.task_exits.output.entropies,
    output:
        results(f"downstream/{{task}}/seed{{seed}}/{TASK_EXITS.name}/exits.json"),
    log:
        results("logs/task_thresholds-{task}-seed{seed}.log"),
    benchmark:
        results("benchmarks/task_thresholds-{task}-seed{seed}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: flow.models.task_thresholds(wildcards.task).settings,
        code=lambda wildcards: flow.models.task_thresholds(wildcards.task).code,
    shell:
        stage("downstream.task_thresholds", "--entropies {input} --out {output}")
