"""Downstream: for each task one model per method and seed, trained on the exits that the method takes."""


rule downstream:
    input:
        train_manifest=lambda wildcards: f"{MANIFESTS[wildcards.task]}/train.tsv",
        train_features=lambda wildcards: f"{FEATURES[wildcards.task, 'train']}/states.npy",
        train_table=lambda wildcards: f"{FEATURES[wildcards.task, 'train']}/states.npz",
        dev_manifest=lambda wildcards: f"{MANIFESTS[wildcards.task]}/dev.tsv",
        dev_features=lambda wildcards: f"{FEATURES[wildcards.task, 'dev']}/states.npy",
        dev_table=lambda wildcards: f"{FEATURES[wildcards.task, 'dev']}/states.npz",
        calibration=calibration_of,
        upstream=lambda wildcards: streaming(wildcards.task, "train", "dev"),
    output:
        model=results("downstream/{task}/seed{seed}/{method}/model.safetensors"),
        exits=results("downstream/{task}/seed{seed}/{method}/exits.json"),
        history=results("downstream/{task}/seed{seed}/{method}/history.csv"),
    log:
        results("logs/downstream-{task}-{method}-seed{seed}.log"),
    benchmark:
        results("benchmarks/downstream-{task}-{method}-seed{seed}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: downstream_settings(wildcards.task, METHODS[wildcards.method], int(wildcards.seed)),
        code=lambda wildcards: task_code("daisy.downstream", wildcards.task),
        state=lambda wildcards: state(
            f"{wildcards.task}-{wildcards.method}-seed{wildcards.seed}",
            downstream_settings(wildcards.task, METHODS[wildcards.method], int(wildcards.seed)),
            task_code("daisy.downstream", wildcards.task),
        ),
        calibration=option("calibration"),
        upstream=option("upstream"),
        curves=curves,
    shell:
        training(
            "downstream",
            "--train-manifest {input.train_manifest} --train-features {input.train_features} "
            "--dev-manifest {input.dev_manifest} --dev-features {input.dev_features} {params.upstream} "
            "{params.calibration} --state {params.state} --curves {params.curves} --out {output.model} "
            "--exits {output.exits} --history {output.history} --threads {threads}",
        )
