"""Downstream: for each task one model per method and seed, trained on the exits that the method takes."""


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
    conda:
        "../envs/daisy.yaml"
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
