"""Downstream: for each task one model per method and seed, trained on the exits that the method takes.

The heads of a task's own exits (task-ee) take none while they are trained: their thresholds come after them.
"""


rule downstream:
    input:
        train_manifest=of("manifest", "train.tsv"),
        train_states=of("train_states", "states.npy"),
        train_entropies=of("train_entropies", "entropies.npz"),
        dev_manifest=of("manifest", "dev.tsv"),
        dev_states=of("dev_states", "states.npy"),
        dev_entropies=of("dev_entropies", "entropies.npz"),
        calibration=of("calibration", "threshold.json"),
        checkpoint=reading,
    output:
        downstream=store_path("downstream-{task}-{method}-seed{seed}-{key}/model.safetensors"),
        exits=store_path("downstream-{task}-{method}-seed{seed}-{key}/exits.json"),
        history=store_path("downstream-{task}-{method}-seed{seed}-{key}/history.csv"),
    log:
        store_path("logs/downstream-{task}-{method}-seed{seed}-{key}.log"),
    benchmark:
        store_path("benchmarks/downstream-{task}-{method}-seed{seed}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(flow.config.workers),
    params:
        settings=stored_settings,
        code=stored_code,
        state=store_path("state/downstream-{task}-{method}-seed{seed}-{key}"),
        curves=store_path("tensorboard/downstream-{task}-{method}-seed{seed}-{key}"),
        train_states=option("train_states"),
        train_entropies=option("train_entropies"),
        dev_states=option("dev_states"),
        dev_entropies=option("dev_entropies"),
        calibration=option("calibration"),
        checkpoint=option("checkpoint"),
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
        train_manifest=of("manifest", "train.tsv"),
        train_states=of("train_states", "states.npy"),
        dev_manifest=of("manifest", "dev.tsv"),
        dev_states=of("dev_states", "states.npy"),
        checkpoint=hubert,
    output:
        downstream=store_path("task_exits-{task}-seed{seed}-{key}/model.safetensors"),
        entropies=store_path("task_exits-{task}-seed{seed}-{key}/entropies.npz"),
        history=store_path("task_exits-{task}-seed{seed}-{key}/history.csv"),
    log:
        store_path("logs/task_exits-{task}-seed{seed}-{key}.log"),
    benchmark:
        store_path("benchmarks/task_exits-{task}-seed{seed}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    resources:
        gpu=gpus(flow.config.workers),
    params:
        settings=stored_settings,
        code=stored_code,
        state=store_path("state/task_exits-{task}-seed{seed}-{key}"),
        curves=store_path("tensorboard/task_exits-{task}-seed{seed}-{key}"),
        train_states=option("train_states"),
        dev_states=option("dev_states"),
        checkpoint=option("checkpoint"),
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
        of("task_exits", "entropies.npz"),
    output:
        store_path("task_thresholds-{task}-seed{seed}-{key}/exits.json"),
    log:
        store_path("logs/task_thresholds-{task}-seed{seed}-{key}.log"),
    benchmark:
        store_path("benchmarks/task_thresholds-{task}-seed{seed}-{key}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=stored_settings,
        code=stored_code,
    shell:
        stage("downstream.task_thresholds", "--entropies {input} --out {output}")
