"""Downstream: for each task one model per method and seed, trained on the exits that the method takes."""


rule downstream:
    input:
        train_manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "train"),
        train_features=lambda wildcards: models(wildcards).upstream.states(wildcards.task, "train"),
        train_entropies=lambda wildcards: models(wildcards).upstream.entropies(wildcards.task, "train"),
        dev_manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "dev"),
        dev_features=lambda wildcards: models(wildcards).upstream.states(wildcards.task, "dev"),
        dev_entropies=lambda wildcards: models(wildcards).upstream.entropies(wildcards.task, "dev"),
        calibration=lambda wildcards: models(wildcards).threshold(wildcards.task, method(wildcards)),
        upstream=lambda wildcards: models(wildcards).upstream.streams(wildcards.task, "train", "dev"),
    output:
        downstream=results("downstream/{task}/seed{seed}/{method}/model.safetensors"),
        exits=results("downstream/{task}/seed{seed}/{method}/exits.json"),
        history=results("downstream/{task}/seed{seed}/{method}/history.csv"),
    log:
        results("logs/downstream-{task}-{method}-seed{seed}.log"),
    benchmark:
        results("benchmarks/downstream-{task}-{method}-seed{seed}.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=lambda wildcards: trained(wildcards).settings,
        code=lambda wildcards: trained(wildcards).code,
        state=lambda wildcards: models(wildcards).state(wildcards.task, method(wildcards), int(wildcards.seed)),
        calibration=option("calibration"),
        upstream=option("upstream"),
        curves=curves,
    shell:
        training(
            "downstream.train",
            "--train-manifest {input.train_manifest} --train-features {input.train_features} "
            "--dev-manifest {input.dev_manifest} --dev-features {input.dev_features} {params.upstream} "
            "{params.calibration} --state {params.state} --curves {params.curves} --out {output.downstream} "
            "--exits {output.exits} --history {output.history} --threads {threads}",
        )
