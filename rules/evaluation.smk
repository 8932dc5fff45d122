"""Evaluation: every trained method on its test set, one cell per strategy, with speed against the full model."""


rule evaluation:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        upstream=running,
        topline_upstream=beside,
        manifest=of("manifest", "test.tsv"),
        states=of("states", "states.npy"),
        entropies=of("entropies", "entropies.npz"),
        dev_manifest=of("manifest", "dev.tsv"),
        dev_states=of("dev_states", "states.npy"),
        dev_entropies=of("dev_entropies", "entropies.npz"),
        downstream=of("downstream", "model.safetensors"),
        exits=of("exits", "exits.json"),
        topline=of("topline", "model.safetensors"),
        topline_evaluation=of("topline_evaluation", "evaluation.json"),
    output:
        store_path("evaluation-{task}-{method}-seed{seed}-{key}/evaluation.json"),
    log:
        store_path("logs/evaluation-{task}-{method}-seed{seed}-{key}.log"),
    benchmark:
        store_path("benchmarks/evaluation-{task}-{method}-seed{seed}-{key}.tsv")
    # It measures time, so it takes the machine for itself; what it times computes on one core.
    conda:
        "../envs/daisy.yaml"
    threads: workflow.resource_settings.cores or 1
    resources:
        gpu=gpus(),
    params:
        states=option("states"),
        entropies=option("entropies"),
        dev_states=option("dev_states"),
        dev_entropies=option("dev_entropies"),
        topline_evaluation=option("topline_evaluation"),
        topline_upstream=option("topline_upstream"),
        settings=stored_settings,
        code=stored_code,
    shell:
        stage(
            "evaluation.evaluate",
            "--upstream {input.upstream:q} --manifest {input.manifest} {params.states} {params.entropies} "
            "--dev-manifest {input.dev_manifest} {params.dev_states} {params.dev_entropies} "
            "--downstream {input.downstream} --exits {input.exits} --topline {input.topline} "
            "{params.topline_evaluation} {params.topline_upstream} --out {output} --threads 1 --processes {threads}",
        )
