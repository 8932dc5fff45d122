"""Target ablation: what the branches are trained on, and what it does to entropies, exits and results.

Run by `snakemake ablation`. Every variant is the pipeline's own rules with other targets; the frozen HuBERT's
states are shared, and so are the models of `full`, which no branch touches.
"""

ABLATION = results("ablation")
ABLATED = config["ablation"]
ABLATED_METHOD = Method("daisy", ABLATED["rho"])


VARIANTS = target_variants()


VARIANT_TARGETS = {name: targets(**{"layer": 0, "clusters": 0, **variant}) for name, variant in VARIANTS.items()}
VARIANT_BRANCHES = {name: branches(labels) for name, labels in VARIANT_TARGETS.items()}
VARIANT_FEATURES = {
    (variant, task, part): features(task, part, model)
    for variant, model in VARIANT_BRANCHES.items()
    for task in ABLATED["tasks"]
    for part in PARTS
}


VARIANT_LINKS = {
    **{f"{name}/targets": labels for name, labels in VARIANT_TARGETS.items()},
    **{f"{name}/{key}": path for name, labels in VARIANT_TARGETS.items() for key, path in behind(labels).items()},
    **{f"{name}/branches": folder for name, folder in VARIANT_BRANCHES.items()},
    **{f"{name}/features/{task}/{part}": folder for (name, task, part), folder in VARIANT_FEATURES.items()},
}


wildcard_constraints:
    variant="|".join(VARIANTS),


rule ablation:
    input:
        results("ablation/store.csv"),
        results("tables/ablation.csv"),
        expand(results("figures/ablation.{ending}"), ending=("png", "svg")),


use rule links as ablation_links with:
    output:
        results("ablation/store.csv"),
    log:
        results("logs/ablation_links.log"),
    benchmark:
        results("benchmarks/ablation_links.tsv")
    params:
        settings=settings(links=VARIANT_LINKS),
        code=code("daisy.links"),


use rule calibration as ablation_calibration with:
    input:
        states=variant_features("train", "states.npy"),
        table=variant_features("train", "states.npz"),
    output:
        results("ablation/{variant}/calibration/{task}.json"),
    log:
        results("logs/ablation_calibration-{variant}-{task}.log"),
    benchmark:
        results("benchmarks/ablation_calibration-{variant}-{task}.tsv")
    params:
        settings=lambda wildcards: calibration_settings(wildcards.task, ABLATED["rho"]),
        code=code("daisy.calibrate"),


use rule downstream as ablation_downstream with:
    input:
        train_manifest=lambda wildcards: f"{MANIFESTS[wildcards.task]}/train.tsv",
        train_features=variant_features("train", "states.npy"),
        train_table=variant_features("train", "states.npz"),
        dev_manifest=lambda wildcards: f"{MANIFESTS[wildcards.task]}/dev.tsv",
        dev_features=variant_features("dev", "states.npy"),
        dev_table=variant_features("dev", "states.npz"),
        calibration=results("ablation/{variant}/calibration/{task}.json"),
        upstream=lambda wildcards: streaming(wildcards.task, "train", "dev", model=VARIANT_BRANCHES[wildcards.variant]),
    output:
        model=results("ablation/{variant}/downstream/{task}/model.safetensors"),
        exits=results("ablation/{variant}/downstream/{task}/exits.json"),
        history=results("ablation/{variant}/downstream/{task}/history.csv"),
    log:
        results("logs/ablation_downstream-{variant}-{task}.log"),
    benchmark:
        results("benchmarks/ablation_downstream-{variant}-{task}.tsv")
    params:
        settings=lambda wildcards: downstream_settings(wildcards.task, ABLATED_METHOD, SEEDS[0]),
        code=lambda wildcards: task_code("daisy.downstream", wildcards.task),
        state=lambda wildcards: state(
            f"ablation-{wildcards.variant}-{wildcards.task}",
            downstream_settings(wildcards.task, ABLATED_METHOD, SEEDS[0]),
            task_code("daisy.downstream", wildcards.task),
        ),
        calibration=option("calibration"),
        upstream=option("upstream"),
        curves=curves,


use rule evaluation as ablation_evaluation with:
    input:
        corpus=lambda wildcards: corpus(wildcards.task),
        upstream=lambda wildcards: f"{VARIANT_BRANCHES[wildcards.variant]}/daisy.pt",
        manifest=lambda wildcards: f"{MANIFESTS[wildcards.task]}/test.tsv",
        features=variant_features("test", "states.npy"),
        table=variant_features("test", "states.npz"),
        model=results("ablation/{variant}/downstream/{task}/model.safetensors"),
        exits=results("ablation/{variant}/downstream/{task}/exits.json"),
        full=f"{RUN}/downstream/{{task}}/seed{SEEDS[0]}/full/model.safetensors",
    output:
        results("ablation/{variant}/evaluation/{task}.json"),
    log:
        results("logs/ablation_evaluation-{variant}-{task}.log"),
    benchmark:
        results("benchmarks/ablation_evaluation-{variant}-{task}.tsv")
    params:
        settings=lambda wildcards: evaluation_settings(wildcards.task, ABLATED_METHOD, SEEDS[0]),
        code=lambda wildcards: task_code("daisy.evaluate", wildcards.task),


rule ablation_table:
    input:
        evaluations=expand(
            results("ablation/{variant}/evaluation/{task}.json"), variant=VARIANTS, task=ABLATED["tasks"]
        ),
        calibrations=expand(
            results("ablation/{variant}/calibration/{task}.json"), variant=VARIANTS, task=ABLATED["tasks"]
        ),
        full=expand(results("evaluation/{task}/seed{seed}/full.json"), task=ABLATED["tasks"], seed=SEEDS[0]),
    output:
        report(
            results("tables/ablation.csv"),
            caption="captions/ablation.rst",
            category="Ablation",
        ),
        results("tables/ablation_entropy.csv"),
        report(
            results("figures/ablation.png"),
            caption="captions/ablation.rst",
            category="Ablation",
        ),
        results("figures/ablation.svg"),
    log:
        results("logs/ablation_table.log"),
    benchmark:
        results("benchmarks/ablation_table.tsv")
    conda:
        "../envs/daisy.yaml"
    params:
        settings=settings(
            variants=VARIANTS, default=f"layer{config['targets']['layer']}-c{config['targets']['clusters']}"
        ),
        code=all_tasks_code("daisy.ablation"),
        folder=lambda wildcards: ABLATION,
        tables=output_folder,
        figures=lambda wildcards, output: os.path.dirname(output[2]),
    shell:
        stage(
            "ablation",
            "--folder {params.folder} --full {input.full} --tables {params.tables} --figures {params.figures}",
        )
