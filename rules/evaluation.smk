"""Evaluation: every trained method on its test set, one cell per strategy, with speed against the full model."""


rule evaluation:
    input:
        corpus=lambda wildcards: flow.corpora.table(wildcards.task),
        upstream=running,
        manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "test"),
        states=states_of("test"),
        entropies=entropies_of("test"),
        dev_manifest=lambda wildcards: flow.corpora.manifest(wildcards.task, "dev"),
        dev_states=states_of("dev"),
        dev_entropies=entropies_of("dev"),
        downstream=lambda wildcards: f"{model_folder(wildcards)}/model.safetensors",
        exits=lambda wildcards: f"{model_folder(wildcards)}/exits.json",
        topline=lambda wildcards: f"{models(wildcards).topline(wildcards.task, wildcards.seed)}/model.safetensors",
        topline_evaluation=topline_evaluation,
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
        states=option("states"),
        entropies=option("entropies"),
        dev_states=option("dev_states"),
        dev_entropies=option("dev_entropies"),
        topline_evaluation=option("topline_evaluation"),
        settings=lambda wildcards: evaluated(wildcards).settings,
        code=lambda wildcards: evaluated(wildcards).code,
    shell:
        stage(
            "evaluation.evaluate",
            "--upstream {input.upstream:q} --manifest {input.manifest} {params.states} {params.entropies} "
            "--dev-manifest {input.dev_manifest} {params.dev_states} {params.dev_entropies} "
            "--downstream {input.downstream} --exits {input.exits} --topline {input.topline} "
            "{params.topline_evaluation} --out {output} --threads 1 --processes {threads}",
        )
